"""Check whether this version can read and write the database, for the doctor, /readyz and every command."""

import os
import stat
from pathlib import Path

from sqlalchemy import Connection, Engine, Insert, insert, inspect, literal, select, text
from sqlalchemy.exc import SQLAlchemyError

from app.storage.database import file_of
from app.storage.ids import uuid7
from app.storage.problems import UPGRADE, DatabaseProblem
from app.storage.tables import Base, LoggedPrediction

UTF8 = "UTF8"
_TABLES = ", ".join(table.name for table in Base.metadata.sorted_tables)
READ_ALL = text(f"SELECT 1 FROM {_TABLES} WHERE 1 = 0")  # noqa: S608  # our own names


def schema_problem(engine: Engine, head: str | None) -> DatabaseProblem | None:
    """Return the problem that keeps the database from being used at revision `head`, or None."""
    try:
        with engine.connect() as connection:
            return _schema_problem(connection, head) or _reading_problem(engine, connection)
    except database_errors(engine) as error:
        if problem := damage(error):
            return problem
        fields, cause = _cause(engine, error)
        sentence = f"cannot connect to the database ({cause})"
        places = "SCORELET_DATABASE_URL and the server"
        if engine.dialect.name == "sqlite":
            places = "SCORELET_DATABASE_URL, the file and its folder"
        advice = f"check {places}"
        return DatabaseProblem("database_unreachable", sentence, advice, fields)


def write_problem(engine: Engine) -> DatabaseProblem | None:
    """Return the problem that keeps the database from recording a score, or None.

    Writes a copy of the newest prediction and rolls it back, then writes the revision unchanged.
    """
    try:
        with engine.connect() as connection:
            connection.execute(_copy_of_newest())
            connection.rollback()
            connection.execute(text("UPDATE alembic_version SET version_num = version_num"))
            connection.commit()
    except database_errors(engine) as error:
        if problem := damage(error):
            return problem
        fields, cause = _cause(engine, error)
        sentence = f"cannot write to the database ({cause})"
        return DatabaseProblem("database_takes_no_writes", sentence, _advice_on_writing(engine), fields)
    return None


def damage(error: Exception) -> DatabaseProblem | None:
    """Return the problem if SQLite's error says that the file is damaged or is no database, else None."""
    name = getattr(getattr(error, "orig", error), "sqlite_errorname", "")
    if not name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return None
    return DatabaseProblem(
        "database_damaged",
        "the database file is damaged or is not a SQLite database",
        "stop the service, move the file away, then restore a backup (`scorelet restore DIR`) or create an empty "
        f"database (`{UPGRADE}`)",
        {"why": name},
    )


def encoding_problem(connection: Connection) -> DatabaseProblem | None:
    """Return the problem of a PostgreSQL database that cannot store every character, or None."""
    if connection.dialect.name == "sqlite":  # stores UTF-8 or UTF-16
        return None
    encoding = connection.execute(text("SHOW server_encoding")).scalar()
    if encoding == UTF8:
        return None
    return DatabaseProblem(
        "database_encoding",
        f"the database's encoding is {encoding}, which cannot store every character (server_encoding must be UTF8)",
        "create a database with `createdb --encoding=UTF8 --template=template0 NAME` and set SCORELET_DATABASE_URL "
        "to it",
        {"encoding": encoding},
    )


def exposed_files(engine: Engine) -> list[Path]:
    """Return the files of a SQLite database that every user of this machine can read."""
    if engine.dialect.name != "sqlite" or os.name != "posix":
        return []
    file = file_of(engine)
    reachable = all(_mode(folder) & stat.S_IXOTH for folder in file.parents)
    if not reachable:
        return []
    return [path for path in files_of(file) if path.exists() and _mode(path) & stat.S_IROTH]


def files_of(file: Path) -> list[Path]:
    """Return the files of a SQLite database, existing or not."""
    companions = [file.with_name(f"{file.name}{ending}") for ending in ("-wal", "-shm", "-journal")]
    return [file, *companions]


def database_errors(engine: Engine) -> tuple[type[Exception], ...]:
    """Return the base classes of SQLAlchemy's and the driver's errors."""
    return (SQLAlchemyError, engine.dialect.loaded_dbapi.Error)


def _schema_problem(connection: Connection, head: str | None) -> DatabaseProblem | None:
    if problem := encoding_problem(connection):
        return problem
    if not inspect(connection).has_table("alembic_version"):
        return DatabaseProblem("database_empty", "the database has no tables of scorelet", f"run `{UPGRADE}`")
    if _is_read_only(connection):
        sentence = "the database is read-only, so no score can be recorded"
        advice = "make the server writable (default_transaction_read_only, or a standby)"
        return DatabaseProblem("database_read_only", sentence, advice)
    return _revision_problem(connection, head)


def _revision_problem(connection: Connection, head: str | None) -> DatabaseProblem | None:
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision == head:
        return None
    fields = {"found": revision, "head": head}
    if revision is not None and head is not None and revision > head:  # numbers with leading zeros
        sentence = f"the database belongs to a newer scorelet (revision {revision}; this version needs {head})"
        return DatabaseProblem("database_newer", sentence, "install that version, or restore a backup", fields)
    sentence = f"the database is at revision {revision}; this version needs {head}"
    return DatabaseProblem("database_older", sentence, f"run `{UPGRADE}`", fields)


def _reading_problem(engine: Engine, connection: Connection) -> DatabaseProblem | None:
    try:
        connection.execute(READ_ALL)
    except database_errors(engine) as error:
        if problem := damage(error):
            return problem
        fields, cause = _cause(engine, error)
        sentence = f"cannot read a table of scorelet ({cause})"
        advice = "check whether a table is missing (then restore a backup) or locked, and whether the user may read it"
        return DatabaseProblem("tables_unreadable", sentence, advice, fields)
    return None


def _is_read_only(connection: Connection) -> bool:
    if connection.dialect.name == "sqlite":  # tells only on a write
        return False
    return connection.execute(text("SHOW transaction_read_only")).scalar() == "on"


def _copy_of_newest() -> Insert:
    table = Base.metadata.tables[LoggedPrediction.__tablename__]
    columns = [column for column in table.columns if column.name != "prediction_id"]
    newest_first = select(literal(uuid7()), *columns).order_by(table.c.prediction_id.desc())
    names = [table.c.prediction_id, *columns]
    return insert(table).from_select(names, newest_first.limit(1))


def _cause(engine: Engine, error: Exception) -> tuple[dict[str, object], str]:
    """Return fields and words for an error.  Its own message may hold a host, a user, a path or a learner's words.

    SQLite has one message for many causes, so the file and its folder are examined.
    """
    name = type(error).__name__
    if engine.dialect.name != "sqlite":
        sqlstate = getattr(getattr(error, "orig", error), "sqlstate", None)
        words = f"{name} {sqlstate}" if sqlstate else name
        return {"why": name, "sqlstate": sqlstate}, words
    file = file_of(engine)
    if not file.parent.is_dir():
        return {"why": "no_folder"}, "its folder does not exist"
    if file.exists() and not os.access(file, os.W_OK):
        return {"why": "file_not_writable"}, "this user may not write to its file"
    if not os.access(file.parent, os.W_OK):
        return {"why": "folder_not_writable"}, "this user may not write to its folder"
    return {"why": name}, name


def _advice_on_writing(engine: Engine) -> str:
    if engine.dialect.name == "sqlite":
        return (
            "check whether another program locks the file, the disk is full, or the file is damaged (then restore a "
            "backup)"
        )
    return "check whether the disk is full, the user may not write, or a table is missing (then restore a backup)"


def _mode(path: Path) -> int:
    return path.stat().st_mode
