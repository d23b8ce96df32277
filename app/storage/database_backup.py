"""Dump the database to files, and load them: SQLite as one file, PostgreSQL as COPY's text, one file a table."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, inspect, select, text

from app.storage.database import file_of, head_revision, upgrade_within
from app.storage.health import database_errors, files_of, schema_problem
from app.storage.problems import DatabaseProblem, DatabaseUnusable
from app.storage.tables import Base
from app.storage.upgrade import OUR_TABLES, named_in, objects_of

SQLITE_FILE = "scorelet.db"
TABLES: list[Table] = Base.metadata.sorted_tables
BUSY_TIMEOUT = 2.0  # seconds that a restore waits until other programs close a SQLite file
# Fix how COPY writes values, which servers and roles may configure otherwise.
COPY_SETTINGS = ("client_encoding = 'UTF8'", "timezone = 'UTC'", "datestyle = 'ISO'", "extra_float_digits = 1")


def dump(engine: Engine, folder: Path) -> dict[str, int]:
    """Write a consistent snapshot of the database to files in `folder`; return the number of rows by table."""
    if engine.dialect.name == "sqlite":
        return _dump_sqlite(engine, folder / SQLITE_FILE)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        _configure_copy(connection)
        for table in TABLES:
            _copy_out(connection, table, folder / f"{table.name}.copy")
        return _counts(connection)


def holds_rows(engine: Engine) -> bool:
    """Return whether any table of scorelet has a row, or the database cannot be read."""
    if engine.dialect.name == "sqlite" and not file_of(engine).exists():
        return False
    try:
        with engine.connect() as connection:
            names = set(inspect(connection).get_table_names())
            return any(_has_row(connection, table) for table in TABLES if table.name in names)
    except database_errors(engine):
        return True


@contextmanager
def loaded(engine: Engine, folder: Path, rows: dict[str, int]) -> Iterator[None]:
    """Replace the database's rows by those of a dump when the block ends without an error.

    Raise DatabaseUnusable if another program uses the database, or the database rejects the rows.
    """
    with _translate_errors(engine):
        load = _loaded_sqlite if engine.dialect.name == "sqlite" else _loaded_postgres
        with load(engine, folder, rows):
            yield


def _has_row(connection: Connection, table: Table) -> bool:
    query = select(1).select_from(table).limit(1)
    return connection.execute(query).first() is not None


def _dump_sqlite(engine: Engine, file: Path) -> dict[str, int]:
    with _private(file):
        pass
    with engine.connect() as connection, closing(sqlite3.connect(file, isolation_level=None)) as copy:
        source: Any = connection.connection.driver_connection
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without `-wal`
        return _check_sqlite(copy)


def _check_sqlite(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of rows by table.  Raise DatabaseUnusable for a damaged file."""
    [result] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        advice = "restore an older backup"
        raise DatabaseUnusable(DatabaseProblem("database_damaged", "the database file is damaged", advice))
    counts = {}
    for table in TABLES:
        [counts[table.name]] = connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()  # noqa: S608
    return counts


@contextmanager
def _loaded_sqlite(engine: Engine, folder: Path, rows: dict[str, int]) -> Iterator[None]:
    target = file_of(engine)
    staged = target.with_name(f".{target.name}.restored")
    engine.dispose()
    try:
        with _private(staged) as file, (folder / SQLITE_FILE).open("rb") as source:
            shutil.copyfileobj(source, file)
        with closing(sqlite3.connect(staged)) as connection:
            _check_counts(_check_sqlite(connection), rows)
        _require_unused(target)
        yield
        _require_unused(target)
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def _require_unused(file: Path) -> None:
    """Merge `-wal` into the database and remove it, or raise DatabaseUnusable if another program has the file open."""
    if not file.exists():
        return
    mode = "delete"
    with suppress(sqlite3.DatabaseError), closing(_sqlite(file)) as connection:
        mode = _leave_wal_mode(connection)
    if mode != "delete":
        raise DatabaseUnusable(_in_use())
    for companion in files_of(file)[1:]:
        companion.unlink(missing_ok=True)


def _sqlite(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, timeout=BUSY_TIMEOUT, isolation_level=None)


def _leave_wal_mode(connection: sqlite3.Connection) -> str:
    try:
        [mode] = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
        return str(mode)
    except sqlite3.OperationalError:
        return "in use"
    except sqlite3.DatabaseError:  # a damaged file, which the restore replaces
        return "delete"


@contextmanager
def _loaded_postgres(engine: Engine, folder: Path, rows: dict[str, int]) -> Iterator[None]:
    with engine.begin() as connection:
        if not inspect(connection).has_table("alembic_version"):
            upgrade_within(connection)
        elif problem := schema_problem(engine, head_revision()):
            raise DatabaseUnusable(problem)
        _configure_copy(connection)
        names = _quoted([table.name for table in TABLES])
        connection.execute(text(f"TRUNCATE {names}"))
        for table in TABLES:
            _copy_in(connection, table, folder / f"{table.name}.copy")
        _check_counts(_counts(connection), rows)
        yield


def _copy_out(connection: Connection, table: Table, path: Path) -> None:
    """Write a line of column names, then the rows as COPY's text."""
    columns = [column.name for column in table.columns]
    with _private(path) as file, _cursor(connection) as cursor:
        file.write(("\t".join(columns) + "\n").encode())
        with cursor.copy(f"COPY {table.name} ({_quoted(columns)}) TO STDOUT") as copy:
            for block in copy:
                file.write(block)


def _copy_in(connection: Connection, table: Table, path: Path) -> None:
    with path.open("rb") as file, _cursor(connection) as cursor:
        columns = file.readline().decode().rstrip("\n").split("\t")
        if sorted(columns) != sorted(column.name for column in table.columns):
            sentence = f"the backup's columns of {table.name} are not those of this version"
            raise _damaged_backup(sentence, path.name)
        with cursor.copy(f"COPY {table.name} ({_quoted(columns)}) FROM STDIN") as copy:
            while block := file.read(2**20):
                copy.write(block)
    counter = table.autoincrement_column
    if counter is not None:
        sequence = func.pg_get_serial_sequence(table.name, counter.name)
        largest = func.coalesce(func.max(counter), 0)
        following = select(largest + 1).scalar_subquery()
        connection.execute(select(func.setval(sequence, following, False)))


@contextmanager
def _translate_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except database_errors(engine) as error:
        raise DatabaseUnusable(_problem_of(engine, error)) from None


def _problem_of(engine: Engine, error: Exception) -> DatabaseProblem:
    original = getattr(error, "orig", None) or error
    state = getattr(original, "sqlstate", None)
    if state == "55P03":  # lock_not_available
        return _in_use()
    if state == "0A000":  # feature_not_supported: TRUNCATE of a table with a foreign key to it
        with engine.connect() as connection:
            tables = [name for name in objects_of(connection) if name not in OUR_TABLES]
        for name in named_in(original, tables):
            sentence = f"the restore failed and changed nothing: your table {name} has a foreign key to scorelet's rows"
            advice = "drop the foreign key, restore again, then create it again"
            return DatabaseProblem("object_in_the_way", sentence, advice, {"name": name})
    why = f"{type(error).__name__} {state}" if state else type(error).__name__
    sentence = f"the restore failed and changed nothing ({why})"
    advice = "check whether the disk is full or the user may not write, or restore another backup"
    return DatabaseProblem("restore_failed", sentence, advice, {"why": why})


def _damaged_backup(sentence: str, file: str) -> DatabaseUnusable:
    return DatabaseUnusable(DatabaseProblem("backup_damaged", sentence, "restore another backup", {"file": file}))


def _in_use() -> DatabaseProblem:
    return DatabaseProblem(
        "database_in_use", "another program uses the database", "stop the service, then restore again"
    )


def _check_counts(counts: dict[str, int], expected: dict[str, int]) -> None:
    if counts != expected:
        sentence = "the numbers of rows in the backup differ from its manifest"
        raise _damaged_backup(sentence, "manifest.json")


def _counts(connection: Connection) -> dict[str, int]:
    counts = {}
    for table in TABLES:
        query = select(func.count()).select_from(table)
        counts[table.name] = connection.execute(query).scalar_one()
    return counts


def _configure_copy(connection: Connection) -> None:
    for setting in COPY_SETTINGS:
        connection.execute(text(f"SET LOCAL {setting}"))


def _cursor(connection: Connection) -> Any:
    driver: Any = connection.connection.driver_connection
    return driver.cursor()


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


@contextmanager
def _private(path: Path) -> Iterator[Any]:
    """Open a new file with mode 0600, and flush it to the disk at the end."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
