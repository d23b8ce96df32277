"""Whether the database can be read and written by this version, as the doctor, /readyz and every command ask."""

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
READ_ALL = text(f"SELECT 1 FROM {_TABLES} WHERE 1 = 0")  # noqa: S608  # names of ours


def schema_problem(engine: Engine, head: str | None) -> DatabaseProblem | None:
    """Return what keeps the database from being used at revision `head`, or None."""
    try:
        with engine.connect() as connection:
            return _schema_problem(connection, head) or _reading_problem(engine, connection)
    except database_errors(engine) as error:
        if problem := damage(error):
            return problem
        why, said = _why(engine, error)
        sentence = f"the database cannot be reached ({said})"
        return DatabaseProblem(
            "database_unreachable", sentence, f"check SCORELET_DATABASE_URL and the {_place(engine)}", why
        )


def write_problem(engine: Engine) -> DatabaseProblem | None:
    """Return what keeps the database from taking a score, or None.

    A copy of the newest prediction is written and rolled back, then the revision is written as it stands.
    """
    try:
        with engine.connect() as connection:
            connection.execute(_copy_of_the_newest())
            connection.rollback()
            connection.execute(text("UPDATE alembic_version SET version_num = version_num"))
            connection.commit()
    except database_errors(engine) as error:
        if problem := damage(error):
            return problem
        why, said = _why(engine, error)
        sentence = f"the database takes no writes ({said})"
        return DatabaseProblem("database_takes_no_writes", sentence, _advice_on_writing(engine), why)
    return None


def damage(error: Exception) -> DatabaseProblem | None:
    """Return the problem of an error by which SQLite says that its file is damaged or is no database, else None."""
    name = getattr(getattr(error, "orig", error), "sqlite_errorname", "")
    if not name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return None
    return DatabaseProblem(
        "database_damaged",
        "the database's file is damaged, or is no database",
        "stop the service, move the file away, and restore a backup (`scorelet restore DIR`), or begin an empty one "
        f"(`{UPGRADE}`)",
        {"why": name},
    )


def encoding_problem(connection: Connection) -> DatabaseProblem | None:
    """Return what is wrong where a PostgreSQL database cannot hold every character, or None."""
    if connection.dialect.name == "sqlite":  # holds UTF-8, or UTF-16, which has the same characters
        return None
    encoding = str(connection.execute(text("SHOW server_encoding")).scalar())
    if encoding == UTF8:
        return None
    return DatabaseProblem(
        "database_encoding",
        f"the database's encoding is {encoding}, which cannot hold every character (server_encoding must be UTF8)",
        "make another one with `createdb --encoding=UTF8 --template=template0 NAME`, "
        "and name it in SCORELET_DATABASE_URL",
        {"encoding": encoding},
    )


def exposed_files(engine: Engine) -> list[Path]:
    """Return the files of a SQLite database that any user of this machine can read."""
    if engine.dialect.name != "sqlite" or os.name != "posix":
        return []
    file = file_of(engine)
    if not all(_mode(folder) & stat.S_IXOTH for folder in file.parents):
        return []
    return [path for path in files_of(file) if path.exists() and _mode(path) & stat.S_IROTH]


def files_of(file: Path) -> list[Path]:
    """Return the files that SQLite keeps a database in, whether they exist or not."""
    return [file, *(file.with_name(f"{file.name}{end}") for end in ("-wal", "-shm", "-journal"))]


def database_errors(engine: Engine) -> tuple[type[Exception], ...]:
    """Return SQLAlchemy's errors and the driver's."""
    return (SQLAlchemyError, engine.dialect.loaded_dbapi.Error)


def _schema_problem(connection: Connection, head: str | None) -> DatabaseProblem | None:
    if problem := encoding_problem(connection):
        return problem
    if not inspect(connection).has_table("alembic_version"):
        return DatabaseProblem("database_empty", "the database has no tables of scorelet", f"run `{UPGRADE}`")
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    revisions = {"found": found, "head": head}
    if _is_read_only(connection):
        advice = "let the server take writes (default_transaction_read_only, a standby)"
        return DatabaseProblem(
            "database_read_only", "the database is read-only, so that no score can be recorded", advice
        )
    if found is not None and head is not None and found > head:  # revisions are numbers, with zeros before
        return DatabaseProblem(
            "database_newer",
            f"the database is of a newer scorelet (revision {found}, not {head})",
            "install that one, or restore a backup",
            revisions,
        )
    if found != head:
        sentence = f"the database is at revision {found}, this version needs {head}"
        return DatabaseProblem("database_older", sentence, f"run `{UPGRADE}`", revisions)
    return None


def _reading_problem(engine: Engine, connection: Connection) -> DatabaseProblem | None:
    try:
        connection.execute(READ_ALL)
    except database_errors(engine) as error:
        if problem := damage(error):
            return problem
        why, said = _why(engine, error)
        advice = "see whether a table is gone (restore a backup then), or locked, or its user may not read it"
        return DatabaseProblem("tables_unreadable", f"a table of scorelet cannot be read ({said})", advice, why)
    return None


def _is_read_only(connection: Connection) -> bool:
    if connection.dialect.name == "sqlite":  # says so only when it is written to
        return False
    return connection.execute(text("SHOW transaction_read_only")).scalar() == "on"


def _copy_of_the_newest() -> Insert:
    table = Base.metadata.tables[LoggedPrediction.__tablename__]
    others = [column for column in table.columns if column.name != "prediction_id"]
    newest = select(literal(uuid7()), *others).order_by(table.c.prediction_id.desc()).limit(1)
    return insert(table).from_select(["prediction_id", *(column.name for column in others)], newest)


def _why(engine: Engine, error: Exception) -> tuple[dict[str, object], str]:
    """Return fields and words for an error.  Its message may name a host, a user, a path or a learner's words.

    SQLite has one message for many causes, so the cause is looked for from outside.
    """
    name = type(error).__name__
    state = getattr(getattr(error, "orig", error), "sqlstate", None)
    if engine.dialect.name != "sqlite":
        return {"why": name, "sqlstate": state}, f"{name} {state}" if state else name
    file = file_of(engine)
    if not file.parent.is_dir():
        return {"why": "no_folder"}, "its folder does not exist"
    if file.exists() and not os.access(file, os.W_OK):
        return {"why": "file_not_writable"}, "its file may not be written to by this user"
    if not os.access(file.parent, os.W_OK):
        return {"why": "folder_not_writable"}, "its folder may not be written to by this user"
    return {"why": name}, name


def _place(engine: Engine) -> str:
    return "file and its folder" if engine.dialect.name == "sqlite" else "server"


def _advice_on_writing(engine: Engine) -> str:
    if engine.dialect.name == "sqlite":
        return "see whether another program locks it, its disk is full, or its file is damaged (restore a backup then)"
    return "see whether its disk is full, its user may not write, or a table is gone (restore a backup then)"


def _mode(path: Path) -> int:
    return path.stat().st_mode
