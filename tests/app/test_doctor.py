from pathlib import Path

import pytest
from sqlalchemy import text

from app import doctor
from app.doctor import examine
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
    return [finding.what for finding in examine(own) if not finding.good]


def said(own: Settings) -> str:
    return "\n".join(finding.what for finding in examine(own))


def test_a_full_disk_is_seen_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = settings(tmp_path)
    assert bad(own) == []

    monkeypatch.setattr(doctor, "LEAST_FREE", 2**62)

    [what] = bad(own)
    assert what.endswith("MiB are free for it")


def test_a_power_cut_that_may_cost_scores_is_named(tmp_path: Path) -> None:
    assert "power cut" in said(settings(tmp_path, sqlite_synchronous="NORMAL"))
    assert "power cut" not in said(settings(tmp_path))


def test_a_database_that_only_reads_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = settings(tmp_path)
    monkeypatch.setattr("app.storage.database.LOCKED", 0.1)
    outside = connect(own.database_url.get_secret_value())

    with outside.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        [what] = bad(own)

    assert what.startswith("sqlite: the database takes no writes")


def test_students_that_do_not_fit_are_named(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "models", "heat-2")

    assert "students need about 2 MiB, and may have 1" in said(settings(tmp_path, students_mib=1))
    assert "students need" not in said(settings(tmp_path))


def test_a_proxy_that_is_no_address_is_named(tmp_path: Path) -> None:
    assert bad(settings(tmp_path, trusted_proxies="10.0.0.0/8, 192.168.1.2,::1")) == []
    assert bad(settings(tmp_path, trusted_proxies="the proxy,*,10.0.0.1")) == [
        "'the proxy' is no address of a proxy",
        "'*' is no address of a proxy",
    ]


@pytest.mark.parametrize(
    ("setting", "value", "what"),
    [
        ("synchronous_commit", "off", "a crash may lose acknowledged scores: synchronous_commit is off"),
        ("default_transaction_read_only", "on", "postgresql: the database is read-only: no score can be recorded"),
    ],
)
def test_a_database_that_forgets_or_takes_nothing_is_named(
    postgres: Postgres, tmp_path: Path, setting: str, value: str, what: str
) -> None:
    url = postgres.create("doctored", MIGRATED)
    try:
        engine = connect(url)
        with engine.begin() as connection:
            connection.execute(text(f"ALTER DATABASE doctored SET {setting} = {value}"))
        engine.dispose()

        assert bad(settings(tmp_path, database_url=url)) == [what]
    finally:
        postgres.drop("doctored")
