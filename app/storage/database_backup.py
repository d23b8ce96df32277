"""The database as files of a backup, and back: SQLite as one file, PostgreSQL as one file of COPY's text a table."""

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
from app.storage.upgrade import OURS, named_in, objects_of

FILE = "scorelet.db"
TABLES: list[Table] = Base.metadata.sorted_tables
BUSY = 2.0  # seconds that a restore waits for other programs to leave a SQLite file
# COPY's text must not depend on how a server or a role shows values.
PLAIN = ("client_encoding = 'UTF8'", "timezone = 'UTC'", "datestyle = 'ISO'", "extra_float_digits = 1")


def dump(engine: Engine, folder: Path) -> dict[str, int]:
    """Write the database to files in `folder`, as it is at one moment while others use it; return rows by table."""
    if engine.dialect.name == "sqlite":
        return _dump_sqlite(engine, folder / FILE)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        _show_plainly(connection)
        for table in TABLES:
            columns = [column.name for column in table.columns]
            with _private(folder / f"{table.name}.copy") as file, _cursor(connection) as cursor:
                file.write(("\t".join(columns) + "\n").encode())
                with cursor.copy(f"COPY {table.name} ({_names(columns)}) TO STDOUT") as copy:
                    for part in copy:
                        file.write(part)
        return _counts(connection)


def holds_rows(engine: Engine) -> bool:
    """Return whether the database has a row in any of scorelet's tables, or cannot be read."""
    if engine.dialect.name == "sqlite" and not file_of(engine).exists():
        return False
    try:
        with engine.connect() as connection:
            there = set(inspect(connection).get_table_names())
            return any(
                connection.execute(select(1).select_from(own).limit(1)).first() for own in TABLES if own.name in there
            )
    except database_errors(engine):
        return True


@contextmanager
def loaded(engine: Engine, folder: Path, rows: dict[str, int]) -> Iterator[None]:
    """Load the files of `dump` in place of the database's rows; they count at the end of the block, if it ends well.

    Raises DatabaseUnusable where the database is used by others, or does not take them.
    """
    with _translate_errors(engine):
        work = _loaded_sqlite if engine.dialect.name == "sqlite" else _loaded_postgres
        with work(engine, folder, rows):
            yield


def _dump_sqlite(engine: Engine, file: Path) -> dict[str, int]:
    with _private(file):
        pass
    with engine.connect() as connection, closing(sqlite3.connect(file, isolation_level=None)) as copied:
        source: Any = connection.connection.driver_connection
        source.backup(copied)
        copied.execute("PRAGMA journal_mode=DELETE")  # one file, with no `-wal` beside it
        return _check_sqlite(copied)


def _check_sqlite(connection: sqlite3.Connection) -> dict[str, int]:
    """Return rows by table.  Raises DatabaseUnusable for a damaged file."""
    [found] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        advice = "restore an older backup"
        raise DatabaseUnusable(DatabaseProblem("database_damaged", "the database's file is damaged", advice))
    return {own.name: connection.execute(f"SELECT count(*) FROM {own.name}").fetchone()[0] for own in TABLES}  # noqa: S608


@contextmanager
def _loaded_sqlite(engine: Engine, folder: Path, rows: dict[str, int]) -> Iterator[None]:
    target = file_of(engine)
    staged = target.with_name(f".{target.name}.restored")
    engine.dispose()
    try:
        with _private(staged) as file, (folder / FILE).open("rb") as source:
            shutil.copyfileobj(source, file)
        with closing(sqlite3.connect(staged)) as connection:
            _check_counts(_check_sqlite(connection), rows)
        _leave_to_us(target)
        yield
        _leave_to_us(target)
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def _leave_to_us(file: Path) -> None:
    """Fold the `-wal` file into the database and remove it, which succeeds only while nobody else has it open."""
    if not file.exists():
        return
    mode = "delete"
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(file, timeout=BUSY, isolation_level=None)) as own:
        mode = "in use"
        try:
            [mode] = own.execute("PRAGMA journal_mode=DELETE").fetchone()
        except sqlite3.OperationalError:
            mode = "in use"
        except sqlite3.DatabaseError:
            mode = "delete"  # damaged, so that nothing is lost with it
    if mode != "delete":
        raise DatabaseUnusable(_in_use())
    for beside in files_of(file)[1:]:
        beside.unlink(missing_ok=True)


@contextmanager
def _loaded_postgres(engine: Engine, folder: Path, rows: dict[str, int]) -> Iterator[None]:
    with engine.begin() as connection:
        if not inspect(connection).has_table("alembic_version"):
            upgrade_within(connection)
        elif problem := schema_problem(engine, head_revision()):
            raise DatabaseUnusable(problem)
        _show_plainly(connection)
        connection.execute(text(f"TRUNCATE {_names([table.name for table in TABLES])}"))
        for table in TABLES:
            _copy_in(connection, table, folder / f"{table.name}.copy")
        _check_counts(_counts(connection), rows)
        yield


def _copy_in(connection: Connection, table: Table, path: Path) -> None:
    with path.open("rb") as file, _cursor(connection) as cursor:
        columns = file.readline().decode().rstrip("\n").split("\t")
        if sorted(columns) != sorted(column.name for column in table.columns):
            sentence = f"the backup's columns of {table.name} are not those of this version"
            raise _damaged_backup(sentence, path.name)
        with cursor.copy(f"COPY {table.name} ({_names(columns)}) FROM STDIN") as copy:
            while part := file.read(2**20):
                copy.write(part)
    counter = table.autoincrement_column
    if counter is not None:
        sequence = func.pg_get_serial_sequence(table.name, counter.name)
        newest = select(func.coalesce(func.max(counter), 0) + 1).scalar_subquery()
        connection.execute(select(func.setval(sequence, newest, False)))


@contextmanager
def _translate_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except database_errors(engine) as error:
        original = getattr(error, "orig", None) or error
        state = getattr(original, "sqlstate", None)
        if state == "55P03":  # lock_not_available
            raise DatabaseUnusable(_in_use()) from None
        if state == "0A000":  # feature_not_supported: a table that another refers to is emptied
            with engine.connect() as connection:
                tables = [name for name in objects_of(connection) if name not in OURS]
            for name in named_in(original, tables):
                sentence = (
                    f"the database did not take the backup, and is as it was: your table {name} refers to its rows"
                )
                advice = "keep and drop the constraint by which it does, restore again, then make it again"
                raise DatabaseUnusable(DatabaseProblem("object_in_the_way", sentence, advice, {"name": name})) from None
        why = f"{type(error).__name__} {state}" if state else type(error).__name__
        sentence = f"the database did not take the backup ({why}), and is as it was"
        advice = "see whether its disk is full and its user may write, or take another backup"
        raise DatabaseUnusable(DatabaseProblem("restore_failed", sentence, advice, {"why": why})) from None


def _damaged_backup(sentence: str, file: str) -> DatabaseUnusable:
    return DatabaseUnusable(DatabaseProblem("backup_damaged", sentence, "take another backup", {"file": file}))


def _in_use() -> DatabaseProblem:
    return DatabaseProblem(
        "database_in_use", "another program uses the database", "stop the service, then restore again"
    )


def _check_counts(found: dict[str, int], expected: dict[str, int]) -> None:
    if found != expected:
        sentence = "the backup does not have as many rows as its manifest says"
        raise _damaged_backup(sentence, "manifest.json")


def _counts(connection: Connection) -> dict[str, int]:
    return {own.name: connection.execute(select(func.count()).select_from(own)).scalar_one() for own in TABLES}


def _show_plainly(connection: Connection) -> None:
    for setting in PLAIN:
        connection.execute(text(f"SET LOCAL {setting}"))


def _cursor(connection: Connection) -> Any:
    driver: Any = connection.connection.driver_connection
    return driver.cursor()


def _names(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


@contextmanager
def _private(path: Path) -> Iterator[Any]:
    """Open a new file that this user alone can read; at the end it is on the disk."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
