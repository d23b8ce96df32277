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


def bad(settings: Settings) -> list[str]:
    return [finding.code for finding in examine(settings) if not finding.good]


def codes(settings: Settings) -> set[str]:
    return {finding.code for finding in examine(settings)}


def test_nearly_full_disk_is_reported(tmp_path: Path) -> None:
    configured = settings(tmp_path)
    assert bad(configured) == []

    codes_of_bad = [finding.code for finding in examine(configured, min_free=2**62) if not finding.good]

    assert codes_of_bad == ["disk_full"]


def test_risk_of_losing_scores_in_a_power_cut_is_reported(tmp_path: Path) -> None:
    assert "synchronous_normal" in codes(settings(tmp_path, sqlite_synchronous="NORMAL"))
    assert "synchronous_normal" not in codes(settings(tmp_path))


def test_locked_database_is_reported(tmp_path: Path) -> None:
    url = settings(tmp_path).database_url.get_secret_value()
    outside = connect(url)

    configured = settings(tmp_path, database_url=f"{url}?timeout=0.1")

    with outside.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        codes_of_bad = bad(configured)

    assert codes_of_bad == ["database_takes_no_writes"]


def test_students_that_exceed_the_memory_limit_are_reported(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "models", "heat-2")

    assert "students_read_again" in codes(settings(tmp_path, students_mib=1))
    assert "students_read_again" not in codes(settings(tmp_path))


def test_proxies_that_are_no_addresses_are_reported(tmp_path: Path) -> None:
    assert bad(settings(tmp_path, trusted_proxies="10.0.0.0/8, 192.168.1.2,::1")) == []

    configured = settings(tmp_path, trusted_proxies="the proxy,*,10.0.0.1")

    assert bad(configured) == ["bad_proxy", "bad_proxy"]
    sentences = [finding.sentence for finding in examine(configured) if finding.code == "bad_proxy"]
    assert [sentence.split("'")[1] for sentence in sentences] == ["the proxy", "*"]


def test_database_file_that_others_can_read_is_reported(tmp_path: Path) -> None:
    with TemporaryDirectory() as temporary:  # pytest's own folder is closed to other users
        folder = Path(temporary)
        folder.chmod(0o755)
        configured = settings(tmp_path, database_url=f"sqlite:///{folder / 'log.db'}")
        engine = connect(configured.database_url.get_secret_value())
        upgrade(engine)
        engine.dispose()  # an open connection keeps `-wal` and `-shm`
        assert bad(configured) == []
        (folder / "log.db").chmod(0o644)

        [finding_of_files] = [finding for finding in examine(configured) if not finding.good]

        names = [str(folder / f"log.db{end}") for end in ("", "-wal", "-shm")]
        assert finding_of_files.code == "database_readable_by_others"
        # SQLite may keep `-wal` and `-shm` while any connection is open.
        assert finding_of_files.advice in [f"chmod 600 {' '.join(names[:count])}" for count in (1, 2, 3)]


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
    configured = settings(
        tmp_path, trusted_proxies="the proxy", host="192.0.2.1", allowed_hosts="scores.school.example"
    )
    (tmp_path / "models" / "heat-1" / "ACTIVE").unlink()

    bad_findings = [finding for finding in examine(configured) if not finding.good]

    assert [finding.code for finding in bad_findings] == ["no_items_ready", "item_refused", "no_key_made", "bad_proxy"]
    assert all(finding.advice for finding in bad_findings)
