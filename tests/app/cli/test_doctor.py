from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import text

from app.cli.doctor import examine
from app.settings import Settings
from app.storage.database import connect, upgrade
from tests.conftest import MIGRATED, Postgres
from tests.tiny import write_tiny_bundle


def settings(tmp_path: Path, **more: object) -> Settings:
    if not (tmp_path / "models" / "heat-1").exists():
        write_tiny_bundle(tmp_path / "models")
    url = f"sqlite:///{tmp_path / 'log.db'}"
    engine = connect(url)
    upgrade(engine)
    engine.dispose()
    return Settings.model_validate({"models_dir": tmp_path / "models", "database_url": url} | more)


def bad(own: Settings) -> list[str]:
    return [finding.code for finding in examine(own) if not finding.good]


def codes(own: Settings) -> set[str]:
    return {finding.code for finding in examine(own)}


def test_nearly_full_disk_is_reported(tmp_path: Path) -> None:
    own = settings(tmp_path)
    assert bad(own) == []

    found = [finding.code for finding in examine(own, min_free=2**62) if not finding.good]

    assert found == ["disk_full"]


def test_risk_of_losing_scores_in_a_power_cut_is_reported(tmp_path: Path) -> None:
    assert "synchronous_normal" in codes(settings(tmp_path, sqlite_synchronous="NORMAL"))
    assert "synchronous_normal" not in codes(settings(tmp_path))


def test_locked_database_is_reported(tmp_path: Path) -> None:
    url = settings(tmp_path).database_url.get_secret_value()
    outside = connect(url)

    own = settings(tmp_path, database_url=f"{url}?timeout=0.1")

    with outside.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        found = bad(own)

    assert found == ["database_takes_no_writes"]


def test_students_that_exceed_the_memory_limit_are_reported(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "models", "heat-2")

    assert "students_read_again" in codes(settings(tmp_path, students_mib=1))
    assert "students_read_again" not in codes(settings(tmp_path))


def test_proxies_that_are_no_addresses_are_reported(tmp_path: Path) -> None:
    assert bad(settings(tmp_path, trusted_proxies="10.0.0.0/8, 192.168.1.2,::1")) == []

    own = settings(tmp_path, trusted_proxies="the proxy,*,10.0.0.1")

    assert bad(own) == ["bad_proxy", "bad_proxy"]
    assert [finding.sentence.split("'")[1] for finding in examine(own) if finding.code == "bad_proxy"] == [
        "the proxy",
        "*",
    ]


def test_database_file_that_others_can_read_is_reported(tmp_path: Path) -> None:
    with TemporaryDirectory() as made:  # pytest's own folder is closed to other users
        folder = Path(made)
        folder.chmod(0o755)
        own = settings(tmp_path, database_url=f"sqlite:///{folder / 'log.db'}")
        engine = connect(own.database_url.get_secret_value())
        upgrade(engine)
        engine.dispose()  # an open connection keeps files beside the database
        assert bad(own) == []
        (folder / "log.db").chmod(0o644)

        [found] = [finding for finding in examine(own) if not finding.good]

        names = [str(folder / f"log.db{end}") for end in ("", "-wal", "-shm")]
        assert found.code == "database_readable_by_others"
        # SQLite may keep its two other files for as long as any connection is open.
        assert found.advice in [f"chmod 600 {' '.join(names[:count])}" for count in (1, 2, 3)]


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        ("synchronous_commit", "off", "synchronous_commit_off"),
        ("default_transaction_read_only", "on", "database_read_only"),
    ],
)
def test_database_that_loses_or_rejects_writes_is_reported(
    postgres: Postgres, tmp_path: Path, setting: str, value: str, code: str
) -> None:
    url = postgres.create("doctored", MIGRATED)
    try:
        engine = connect(url)
        with engine.begin() as connection:
            connection.execute(text(f"ALTER DATABASE doctored SET {setting} = {value}"))
        engine.dispose()

        assert bad(settings(tmp_path, database_url=url)) == [code]
    finally:
        postgres.drop("doctored")


def test_every_bad_finding_has_advice(tmp_path: Path) -> None:
    own = settings(tmp_path, trusted_proxies="the proxy", host="192.0.2.1", allowed_hosts="scores.school.example")
    (tmp_path / "models" / "heat-1" / "ACTIVE").unlink()

    found = [finding for finding in examine(own) if not finding.good]

    assert [finding.code for finding in found] == ["no_items_ready", "item_refused", "no_key_made", "bad_proxy"]
    assert all(finding.advice for finding in found)
