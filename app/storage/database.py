"""Make the engine, and bring the schema to a revision."""

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, IntegrityError
from sqlalchemy.orm import DeclarativeBase

from app.concurrency.time_limits import DEFAULT_LIMITS

OPTIONS = {  # libpq's own: seconds to connect, milliseconds that what was sent may stay unacknowledged, and so on
    "connect_timeout": 10,
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "client_encoding": "utf-8",  # psycopg gives no text, but bytes, of a database in SQL_ASCII
}
POOL = {"pool_size": 10, "max_overflow": 40}  # one for each of 40 threads, for those that look up keys, and for the log


class BadUrl(ValueError):
    """A URL names neither SQLite in a file nor PostgreSQL.  The message does not repeat it: it may hold a password."""


def connect(url: str, synchronous: Literal["FULL", "NORMAL"] = "FULL", locked: float = DEFAULT_LIMITS.lock) -> Engine:
    """Return an engine whose statements wait `locked` seconds for another's lock.

    SQLite gets WAL, and, with synchronous=FULL, a commit that returned survives a power cut.

    No database is waited for without end: not for a lock, and not for a server that went without a word.
    Parameters are hidden from SQLAlchemy's own log and errors: a response is one of them.  Raises BadUrl.
    """
    try:
        return _connected(make_url(url), synchronous, locked)
    except (ArgumentError, ImportError, TypeError, ValueError):  # no such driver; a port that is no number; no file
        raise BadUrl("no URL of SQLite in a file or of PostgreSQL") from None


def _connected(parsed: URL, synchronous: str, locked: float) -> Engine:
    if parsed.get_backend_name() != "sqlite":
        options = {name: value for name, value in OPTIONS.items() if name not in parsed.query}
        engine = create_engine(parsed, hide_parameters=True, pool_pre_ping=True, connect_args=options, **POOL)
        event.listen(engine, "connect", partial(_prepare_postgres, locked))
        return engine
    waiting = {} if "timeout" in parsed.query else {"timeout": locked}
    engine = create_engine(parsed, hide_parameters=True, connect_args=waiting, **POOL)
    event.listen(engine, "do_connect", _create_for_this_user_alone)
    event.listen(engine, "connect", partial(_prepare_sqlite, synchronous))
    return engine


def _create_for_this_user_alone(_: object, __: object, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    """Create a new database file with mode 0600, whatever the umask says.  SQLite gives `-wal` and `-shm` its mode."""
    if options.get("uri"):  # names a file in a way of its own, perhaps one that must not be created
        return
    with suppress(OSError):  # it exists already, or SQLite will say why it cannot be created
        os.close(os.open(arguments[0], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _prepare_postgres(locked: float, connection: Any, _: object) -> None:
    connection.execute(f"SET lock_timeout = '{1000 * locked:.0f}ms'")
    connection.commit()


def _prepare_sqlite(synchronous: str, connection: Any, _: object) -> None:
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def file_of(engine: Engine) -> Path:
    """Return the file of a SQLite database, whether the URL names it by path or by SQLite's own `file:` URI."""
    name = str(engine.url.database)
    return Path(unquote(urlsplit(name).path) if name.startswith("file:") else name).absolute()


def insert_if_new(engine: Engine, table: type[DeclarativeBase]) -> Any:
    """Return INSERT … ON CONFLICT DO NOTHING in the database's dialect: a unique constraint decides who came first."""
    dialect = sqlite if engine.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing()


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to a revision.  One transaction: it happens whole or not at all."""
    with transaction(engine, altering=True) as connection:
        upgrade_within(connection, revision)


def upgrade_within(connection: Connection, revision: str = "head", script: Path | None = None) -> None:
    """Bring the schema to a revision within the caller's transaction.  `script`: another folder of migrations."""
    from alembic import command

    command.upgrade(_alembic(connection, script), revision)


def downgrade(engine: Engine, revision: str) -> None:
    from alembic import command

    with transaction(engine, altering=True) as connection:
        command.downgrade(_alembic(connection), revision)


@contextmanager
def transaction(engine: Engine, *, altering: bool = False) -> Iterator[Connection]:
    """Begin a transaction that may write; commit it at the end.

    `altering`: it may change tables.  SQLite changes most columns by making the table anew, and dropping the old table
    would offend the rows that refer to it: foreign keys are checked at the end instead.
    """
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            yield connection
        return
    with engine.connect() as connection:
        if altering:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.commit()
        try:
            with connection.begin():
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # Python's driver begins none before CREATE TABLE
                yield connection
                if altering and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise IntegrityError("PRAGMA foreign_key_check", None, Exception("a row refers to none"))
        finally:
            if altering:
                connection.exec_driver_sql("PRAGMA foreign_keys=ON")
                connection.commit()


def head_revision() -> str | None:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_alembic(None)).get_current_head()


def migrations_folder() -> Path:
    """Return the folder where `migrations` is installed, in a checkout or in site-packages."""
    spec = importlib.util.find_spec("migrations")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package `migrations` is not installed beside `app`")
    return Path(spec.origin).parent


def _alembic(connection: object, script: Path | None = None) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(script or migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
