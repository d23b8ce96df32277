"""Create the engine, and migrate the schema to a revision."""

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

LIBPQ_OPTIONS = {
    "connect_timeout": 10,  # seconds
    "tcp_user_timeout": 15_000,  # milliseconds
    "keepalives_idle": 15,  # seconds
    "keepalives_interval": 5,  # seconds
    "keepalives_count": 3,
    "client_encoding": "utf-8",  # else psycopg returns bytes from a database in SQL_ASCII
}
# A connection for each of 40 threads, for the threads that read keys, and for the log.
POOL = {"pool_size": 10, "max_overflow": 40}


class BadUrl(ValueError):
    """A URL names neither a SQLite file nor PostgreSQL.  The message omits the URL, which may hold a password."""


def connect(
    url: str, synchronous: Literal["FULL", "NORMAL"] = "FULL", lock_timeout: float = DEFAULT_LIMITS.lock
) -> Engine:
    """Return an engine whose statements wait at most `lock_timeout` seconds for a lock.  Raise BadUrl.

    SQLite runs in WAL mode; with synchronous=FULL a returned commit survives a power cut.  A PostgreSQL server that
    stops answering causes an error after a while.

    SQLAlchemy hides parameters from its log and errors, because responses are parameters.
    """
    try:
        return _engine(make_url(url), synchronous, lock_timeout)
    except (ArgumentError, ImportError, TypeError, ValueError):  # a missing driver; a bad port; no file
        raise BadUrl("not the URL of a SQLite file or of PostgreSQL") from None


def _engine(url: URL, synchronous: str, lock_timeout: float) -> Engine:
    if url.get_backend_name() != "sqlite":
        options = {name: value for name, value in LIBPQ_OPTIONS.items() if name not in url.query}
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=options, **POOL)
        event.listen(engine, "connect", partial(_prepare_postgres, lock_timeout))
        return engine
    timeout = {} if "timeout" in url.query else {"timeout": lock_timeout}
    engine = create_engine(url, hide_parameters=True, connect_args=timeout, **POOL)
    event.listen(engine, "do_connect", _create_private_file)
    event.listen(engine, "connect", partial(_prepare_sqlite, synchronous))
    return engine


def _create_private_file(_: object, __: object, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    """Create a new database file with mode 0600, regardless of the umask.  SQLite copies it to `-wal` and `-shm`."""
    if options.get("uri"):  # a `file:` URI may name a file that must not be created
        return
    with suppress(OSError):  # the file exists, or SQLite will report why it cannot be created
        os.close(os.open(arguments[0], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _prepare_postgres(lock_timeout: float, connection: Any, _: object) -> None:
    connection.execute(f"SET lock_timeout = '{1000 * lock_timeout:.0f}ms'")
    connection.commit()


def _prepare_sqlite(synchronous: str, connection: Any, _: object) -> None:
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def file_of(engine: Engine) -> Path:
    """Return the file of a SQLite database, named by path or by a `file:` URI."""
    name = str(engine.url.database)
    if name.startswith("file:"):
        name = unquote(urlsplit(name).path)
    return Path(name).absolute()


def insert_if_new(engine: Engine, table: type[DeclarativeBase]) -> Any:
    """Return INSERT … ON CONFLICT DO NOTHING in the database's dialect: the first of two equal rows is kept."""
    dialect = sqlite if engine.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing()


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Upgrade the schema to a revision in one transaction."""
    with transaction(engine, altering=True) as connection:
        upgrade_within(connection, revision)


def upgrade_within(connection: Connection, revision: str = "head", script: Path | None = None) -> None:
    """Upgrade the schema within the caller's transaction.  `script` is another folder of migrations."""
    from alembic import command

    command.upgrade(_alembic(connection, script), revision)


def downgrade(engine: Engine, revision: str) -> None:
    from alembic import command

    with transaction(engine, altering=True) as connection:
        command.downgrade(_alembic(connection), revision)


@contextmanager
def transaction(engine: Engine, *, altering: bool = False) -> Iterator[Connection]:
    """Begin a transaction that may write; commit it at the end.

    With `altering` it may change tables.  SQLite changes most columns by recreating the table, and dropping the old
    table would violate foreign keys, so they are checked at the end instead.
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
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins no transaction for CREATE TABLE
                yield connection
                if altering and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise IntegrityError("PRAGMA foreign_key_check", None, Exception("a row refers to a missing row"))
        finally:
            if altering:
                connection.exec_driver_sql("PRAGMA foreign_keys=ON")
                connection.commit()


def head_revision() -> str | None:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_alembic(None)).get_current_head()


def migrations_folder() -> Path:
    """Return the installed folder of migrations, in a checkout or in site-packages."""
    spec = importlib.util.find_spec("migrations")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package `migrations` is not installed beside `app`")
    return Path(spec.origin).parent


def _alembic(connection: object, script: Path | None = None) -> Any:
    from alembic.config import Config

    config = Config()
    location = str(script or migrations_folder())
    config.set_main_option("script_location", location.replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
