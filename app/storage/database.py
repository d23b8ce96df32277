"""The engine and the state of the schema."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase

LOCKED = 15  # seconds that a statement waits for another's lock
SILENT_SERVER = {  # libpq's own: seconds to connect, milliseconds that what was sent may stay unacknowledged, and so on
    "connect_timeout": 10,
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
POOL = {"pool_size": 10, "max_overflow": 40}  # one for each of 40 threads, for those that look up keys, and for the log


class BadUrl(ValueError):
    """No URL of SQLite in a file or of PostgreSQL.  The message does not repeat it: it may hold a password."""


def connect(url: str, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> Engine:
    """An engine.  SQLite gets WAL, and, with synchronous=FULL, a commit that returned survives a power cut.

    No database is waited for without end: not for a lock, and not for a server that went without a word.
    Parameters are hidden from SQLAlchemy's own log and errors: a response is one of them.  Raises BadUrl.
    """
    try:
        return _connected(make_url(url), synchronous)
    except (ArgumentError, ImportError, TypeError, ValueError):  # no such driver; a port that is no number; no file
        raise BadUrl("no URL of SQLite in a file or of PostgreSQL") from None


def _connected(parsed: URL, synchronous: str) -> Engine:
    if parsed.get_backend_name() != "sqlite":
        waiting = {name: value for name, value in SILENT_SERVER.items() if name not in parsed.query}
        engine = create_engine(parsed, hide_parameters=True, pool_pre_ping=True, connect_args=waiting, **POOL)
        event.listen(engine, "connect", _prepare_postgres)
        return engine
    engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": LOCKED}, **POOL)
    event.listen(engine, "connect", partial(_prepare_sqlite, synchronous))
    return engine


def _prepare_postgres(connection: Any, _: object) -> None:
    connection.execute(f"SET lock_timeout = '{LOCKED}s'")
    connection.commit()


def _prepare_sqlite(synchronous: str, connection: Any, _: object) -> None:
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def insert_if_new(engine: Engine, table: type[DeclarativeBase]) -> Any:
    """INSERT … ON CONFLICT DO NOTHING in the database's own dialect: a unique constraint decides who came first."""
    dialect = sqlite if engine.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing()


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to a revision.  One transaction: it happens whole or not at all."""
    from alembic import command

    with _transaction(engine) as connection:
        command.upgrade(_alembic(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    from alembic import command

    with _transaction(engine) as connection:
        command.downgrade(_alembic(connection), revision)


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":  # Python's driver begins none before CREATE TABLE
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


def head_revision() -> str | None:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_alembic(None)).get_current_head()


def schema_problem(engine: Engine, head: str | None) -> str | None:
    """What keeps the database from being used, in words for an operator; None if nothing does."""
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return "the database is empty: run `scorelet db upgrade`"
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            if connection.dialect.name != "sqlite":  # SQLite only says so when it is written to
                read_only = connection.execute(text("SHOW transaction_read_only")).scalar() == "on"
                if read_only:
                    return "the database is read-only: no score can be recorded"
    except SQLAlchemyError as error:
        # Not the whole message: it names host and user.
        return f"the database cannot be reached ({_why(engine, error)})"
    if found is not None and head is not None and found > head:  # revisions are numbers, with zeros before
        return f"the database is of a newer scorelet (revision {found}, not {head}): install that, or restore a backup"
    if found != head:
        return f"the database is at revision {found}, this version needs {head}: run `scorelet db upgrade`"
    return None


def write_problem(engine: Engine) -> str | None:
    """What keeps the database from taking a write, in words for an operator; found by writing what stands there."""
    try:
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = version_num"))
    except SQLAlchemyError as error:
        return f"the database takes no writes ({_why(engine, error)}): is it locked, or its disk full?"
    return None


def _why(engine: Engine, error: SQLAlchemyError) -> str:
    """Of SQLite what can be seen from outside: its own words are the same for all of it, and may name a path."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return type(error).__name__
    file = Path(engine.url.database).absolute()
    if not file.parent.is_dir():
        return "its folder does not exist"
    for path, name in ((file, "its file"), (file.parent, "its folder")):
        if path.exists() and not os.access(path, os.W_OK):
            return f"{name} may not be written to by this user"
    return type(error).__name__


def migrations_folder() -> Path:
    """Where `migrations` is installed, in a checkout or in site-packages."""
    spec = importlib.util.find_spec("migrations")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package `migrations` is not installed beside `app`")
    return Path(spec.origin).parent


def _alembic(connection: object) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
