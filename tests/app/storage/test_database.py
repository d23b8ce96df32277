import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app.concurrency.time_limits import DEFAULT_LIMITS
from app.storage.database import (
    LIBPQ_OPTIONS,
    connect,
    downgrade,
    file_of,
    head_revision,
    migrations_folder,
    upgrade,
)
from app.storage.health import schema_problem
from app.storage.tables import Base


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    engine = connect(empty_database_url)
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_schema_is_upgraded_downgraded_and_upgraded_again(engine: Engine) -> None:
    upgrade(engine)
    up = tables(engine)
    downgrade(engine, "base")
    down = tables(engine)
    upgrade(engine)

    assert up == tables(engine) == set(Base.metadata.tables)
    assert down == set()
    assert schema_problem(engine, head_revision()) is None


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO api_keys (id, name, sha256, scopes, created_at) VALUES ('1', 'a', 'b', '', '2026-01-01')")
        )

    upgrade(engine)

    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM api_keys")).scalar() == 1


def test_failing_upgrade_changes_nothing(engine: Engine) -> None:
    """The table created last exists already, so the upgrade fails after creating the others."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE predictions (mine INTEGER)"))

    with pytest.raises(SQLAlchemyError):
        upgrade(engine)

    assert tables(engine) == {"predictions"}


def test_error_of_a_statement_hides_its_parameters(engine: Engine) -> None:
    with pytest.raises(SQLAlchemyError) as caught, engine.connect() as connection:
        connection.execute(text("SELECT * FROM nothing WHERE response = :response"), {"response": "a learner's words"})

    assert "a learner's words" not in str(caught.value)


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_sqlite_uses_wal_and_full_synchronisation(engine: Engine) -> None:
    with engine.connect() as connection:
        values = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]

    assert values == ["wal", 2]  # 2 is FULL


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_migrations_are_found_with_a_head(engine: Engine) -> None:
    upgrade(engine)

    assert (migrations_folder() / "env.py").is_file()
    assert head_revision() is not None


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_waiting_for_a_lock_times_out(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar() == f"{DEFAULT_LIMITS.lock:.0f}s"


def test_connecting_to_a_silent_server_times_out() -> None:
    """libpq waits at least two seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = connect(f"postgresql+psycopg://127.0.0.1:{silent.getsockname()[1]}/scorelet?connect_timeout=2")

        with pytest.raises(OperationalError, match="timeout expired"), engine.connect():
            pass


def test_timeouts_in_the_url_override_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    options_of_psycopg: dict[str, object] = {}
    monkeypatch.setattr(psycopg, "connect", lambda *_, **options: options_of_psycopg.update(options) or 1 / 0)

    with pytest.raises(ZeroDivisionError):
        connect("postgresql+psycopg://127.0.0.1/scorelet?connect_timeout=3").connect()

    assert options_of_psycopg["connect_timeout"] == "3"
    assert options_of_psycopg["tcp_user_timeout"] == LIBPQ_OPTIONS["tcp_user_timeout"]


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_sqlite_files_are_private_to_the_user(engine: Engine, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        upgrade(engine)
        with engine.connect() as connection:
            connection.execute(text("SELECT 1 FROM predictions"))
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("empty.db*")}
    finally:
        os.umask(before)

    assert modes == dict.fromkeys(("empty.db", "empty.db-wal", "empty.db-shm"), 0o600)


@pytest.mark.parametrize("name", ["a b.db", "file:a%20b.db?uri=true"])
def test_file_of_a_url_is_the_opened_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    engine = connect(f"sqlite:///{name}")
    with engine.connect() as connection:
        [row] = connection.exec_driver_sql("PRAGMA database_list")
    engine.dispose()

    assert file_of(engine) == Path(row[2]) == tmp_path / "a b.db"


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_url_may_set_the_lock_timeout_of_sqlite(empty_database_url: str) -> None:
    with connect(f"{empty_database_url}?timeout=0.25").connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 250
    with connect(empty_database_url).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == DEFAULT_LIMITS.lock * 1000
