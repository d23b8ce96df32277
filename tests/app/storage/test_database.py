import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app.storage.database import (
    LOCKED,
    SILENT_SERVER,
    connect,
    downgrade,
    head_revision,
    migrations_folder,
    schema_problem,
    upgrade,
    write_problem,
)
from app.storage.tables import Base


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    engine = connect(empty_database_url)
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_the_schema_goes_up_down_and_up_again(engine: Engine) -> None:
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


def test_an_upgrade_happens_whole_or_not_at_all(engine: Engine) -> None:
    """The last of the first tables is there already, so the upgrade fails after having made the others."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE predictions (mine INTEGER)"))

    with pytest.raises(SQLAlchemyError):
        upgrade(engine)

    assert tables(engine) == {"predictions"}


def test_an_empty_database_says_what_to_do(engine: Engine) -> None:
    assert "scorelet db upgrade" in (schema_problem(engine, head_revision()) or "")


def test_a_database_at_another_revision_says_which(engine: Engine) -> None:
    upgrade(engine)

    problem = schema_problem(engine, "9999")

    assert problem is not None
    assert "9999" in problem
    assert str(head_revision()) in problem


def test_a_newer_database_is_not_to_be_upgraded(engine: Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    problem = schema_problem(engine, head_revision())

    assert problem is not None
    assert problem.startswith("the database is of a newer scorelet (revision 9999, ")
    assert "upgrade" not in problem


def test_what_keeps_sqlite_from_its_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = connect(f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}")
    assert schema_problem(nowhere, None) == "the database cannot be reached (its folder does not exist)"

    engine = connect(f"sqlite:///{tmp_path / 'x.db'}")
    upgrade(engine)
    assert write_problem(engine) is None
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")  # stays with the pool's only connection
    assert (write_problem(engine) or "").startswith("the database takes no writes (OperationalError)")
    monkeypatch.setattr(
        "app.storage.database.os.access", lambda path, _: Path(path) != tmp_path / "x.db"
    )  # not as root
    assert (write_problem(engine) or "").startswith("the database takes no writes (its file may not be written to")


def test_a_failing_statement_does_not_tell_its_parameters(engine: Engine) -> None:
    with pytest.raises(SQLAlchemyError) as caught, engine.connect() as connection:
        connection.execute(text("SELECT * FROM nothing WHERE response = :response"), {"response": "a learner's words"})

    assert "a learner's words" not in str(caught.value)


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_sqlite_survives_a_power_cut_and_reads_while_writing(engine: Engine) -> None:
    with engine.connect() as connection:
        found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]

    assert found == ["wal", 2]  # 2 is FULL


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_the_migrations_are_found_with_a_head(engine: Engine) -> None:
    upgrade(engine)

    assert (migrations_folder() / "env.py").is_file()
    assert head_revision() is not None


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_a_lock_is_not_waited_for_without_end(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar() == f"{LOCKED}s"


def test_a_server_that_says_nothing_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SILENT_SERVER, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = connect(f"postgresql+psycopg://127.0.0.1:{silent.getsockname()[1]}/scorelet")
        began = time.monotonic()

        with pytest.raises(OperationalError), engine.connect():
            pass

    assert time.monotonic() - began < 10


def test_what_the_url_says_about_waiting_goes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr(psycopg, "connect", lambda *_, **options: given.update(options) or 1 / 0)

    with pytest.raises(ZeroDivisionError):
        connect("postgresql+psycopg://127.0.0.1/scorelet?connect_timeout=3").connect()

    assert given["connect_timeout"] == "3"
    assert given["tcp_user_timeout"] == SILENT_SERVER["tcp_user_timeout"]


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_a_database_that_takes_no_writes_says_so(engine: Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {engine.url.database} SET default_transaction_read_only = on"))
    engine.dispose()

    assert "read-only" in (schema_problem(engine, head_revision()) or "")
