import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import Engine, text

from app.storage.database import connect, head_revision, upgrade
from app.storage.health import exposed_files, schema_problem, write_problem
from app.storage.problems import DatabaseProblem
from app.storage.upgrade import rehearse, upgrade_schema
from tests.app.storage.problems import reports_problem
from tests.conftest import Postgres

NO_PROBLEM: tuple[str, dict[str, object]] = ("", {})


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    engine = connect(empty_database_url)
    yield engine
    engine.dispose()


@pytest.fixture(params=["LATIN1", "SQL_ASCII"])  # with SQL_ASCII, psycopg returns bytes for text
def narrow(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[tuple[Engine, str]]:
    """Yield an engine on a database that cannot store every character, and its encoding."""
    postgres.create("narrow", f"template0 ENCODING '{request.param}' LC_COLLATE 'C' LC_CTYPE 'C'")
    engine = connect(postgres.url("narrow"))
    yield engine, request.param
    engine.dispose()
    postgres.drop("narrow")


def code_and_fields(problem: DatabaseProblem | None) -> tuple[str, dict[str, object]]:
    return (problem.code, dict(problem.fields)) if problem else NO_PROBLEM


def test_empty_database_needs_an_upgrade(engine: Engine) -> None:
    problem = schema_problem(engine, head_revision())

    assert problem is not None
    assert (problem.code, "`scorelet db upgrade`" in problem.advice) == ("database_empty", True)


def test_older_database_is_reported_with_its_revision(engine: Engine) -> None:
    upgrade(engine)

    assert code_and_fields(schema_problem(engine, "9999")) == (
        "database_older",
        {"found": head_revision(), "head": "9999"},
    )


def test_newer_database_is_not_advised_to_upgrade(engine: Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    problem = schema_problem(engine, head_revision())

    assert code_and_fields(problem) == ("database_newer", {"found": "9999", "head": head_revision()})
    assert "db upgrade" not in str(problem)


def test_database_with_a_narrow_encoding_is_refused(narrow: tuple[Engine, str]) -> None:
    engine, encoding = narrow
    expected = ("database_encoding", {"encoding": encoding})

    assert code_and_fields(schema_problem(engine, head_revision())) == expected
    assert code_and_fields(rehearse(engine)) == expected
    with reports_problem(*expected):
        upgrade_schema(engine)
    upgrade(engine)  # as an earlier version did
    assert code_and_fields(schema_problem(engine, head_revision())) == expected


def test_sqlite_file_without_a_folder_is_unreachable(tmp_path: Path) -> None:
    nowhere = connect(f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}")

    assert code_and_fields(schema_problem(nowhere, None)) == ("database_unreachable", {"why": "no_folder"})


def test_file_that_is_no_database_is_reported_as_damaged(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database" * 100)

    problem = schema_problem(connect(f"sqlite:///{tmp_path / 'x.db'}"), None)

    assert code_and_fields(problem) == ("database_damaged", {"why": "SQLITE_NOTADB"})


def test_reason_for_an_unwritable_sqlite_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'x.db'}")
    upgrade(engine)
    assert code_and_fields(write_problem(engine)) == NO_PROBLEM

    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")  # applies to the pool's only connection
    assert code_and_fields(write_problem(engine)) == ("database_takes_no_writes", {"why": "OperationalError"})

    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path / "x.db")  # root may write anywhere
    assert code_and_fields(write_problem(engine)) == ("database_takes_no_writes", {"why": "file_not_writable"})


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_read_only_database_is_reported(engine: Engine) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {engine.url.database} SET default_transaction_read_only = on"))
    engine.dispose()

    assert code_and_fields(schema_problem(engine, head_revision())) == ("database_read_only", {})


@pytest.mark.parametrize("table", ["api_keys", "predictions", "shadow_versions"])
def test_unreadable_table_is_reported(engine: Engine, table: str) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO gone"))

    code, _ = code_and_fields(schema_problem(engine, head_revision()))

    assert code == "tables_unreadable"


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_missing_right_to_write_is_reported(engine: Engine, postgres: Postgres) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        for statement in (
            "CREATE ROLE reader LOGIN",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
            "GRANT UPDATE ON alembic_version TO reader",
        ):
            connection.execute(text(statement))
    reader = connect(postgres.url(str(engine.url.database)).replace("postgres:", "reader:"))
    try:
        assert code_and_fields(schema_problem(reader, head_revision())) == NO_PROBLEM
        assert code_and_fields(write_problem(reader)) == (
            "database_takes_no_writes",
            {"why": "ProgrammingError", "sqlstate": "42501"},
        )
    finally:
        reader.dispose()
        with engine.begin() as connection:
            connection.execute(text("DROP OWNED BY reader"))
            connection.execute(text("DROP ROLE reader"))


def test_file_that_every_user_can_read_is_found() -> None:
    with TemporaryDirectory() as temporary:  # pytest's own folder is closed to other users
        folder = Path(temporary)
        folder.chmod(0o755)
        engine = connect(f"sqlite:///{folder / 'x.db'}")
        upgrade(engine)
        assert exposed_files(engine) == []

        (folder / "x.db").chmod(0o644)
        assert exposed_files(engine) == [folder / "x.db"]

        folder.chmod(0o700)
        assert exposed_files(engine) == []
        engine.dispose()
