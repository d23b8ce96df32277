"""Erased rows taken out of the database's files, too, as far as SQL reaches; and where copies remain."""

import re
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from app.storage.database import file_of
from app.storage.health import files_of
from app.storage.problems import DatabaseProblem, DatabaseUnusable
from app.storage.upgrade import OURS, objects_of

AGAIN = "run the same command again"


def rewrite(engine: Engine, tables: list[str]) -> list[dict[str, str]]:
    """Write the tables anew, so that no file holds what was erased from them; return where copies remain, until when.

    Raises DatabaseUnusable where another program's old view of the rows keeps them: what is erased then is no longer
    found by a query, but still stands in a file.
    """
    if engine.dialect.name == "sqlite":
        _rewrite_sqlite(engine)
        return [BACKUPS, *_tables_of_the_user(engine), _DISK]
    kept = _rewrite_postgres(engine, tables)
    return [BACKUPS, *_tables_of_the_user(engine), *kept, *_copies_of_postgres(engine)]


BACKUPS = {
    "where": "backups and exports that were made before",
    "until": "they are deleted; after restoring one, erase again",
}
_DISK = {
    "where": "the disk's free blocks, and snapshots of the disk",
    "until": "the system writes over them; whoever makes snapshots deletes them",
}


def _tables_of_the_user(engine: Engine) -> list[dict[str, str]]:
    """Name whatever else in the database has rows of its own, and so may have copied some of scorelet's."""
    with engine.connect() as connection:
        kinds = objects_of(connection)
    names = [
        name
        for name, kind in sorted(kinds.items())
        if kind in ("table", "materialized view") and name not in OURS and not name.startswith("sqlite_")
    ]
    if not names:
        return []
    where = f"tables and materialized views of yours, if rows were copied to them: {', '.join(names)}"
    return [{"where": where, "until": "you delete these rows, or refresh the view"}]


def _rewrite_sqlite(engine: Engine) -> None:
    """VACUUM copies every row that is left into fresh pages; the checkpoint leaves nothing in the `-wal` file."""
    file = file_of(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
            connection.exec_driver_sql("VACUUM")
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
        except OperationalError as error:
            why = str(getattr(error.orig, "sqlite_errorname", ""))
            raise _unfinished("another program holds the database, or its disk is full", why) from None
    wal = files_of(file)[1]
    if busy or (wal.exists() and wal.stat().st_size):
        said = f"another program still reads the database as it was before, so {wal.name} keeps it"
        raise _unfinished(said, "checkpoint_busy")


def _rewrite_postgres(engine: Engine, tables: list[str]) -> list[dict[str, str]]:
    """VACUUM FULL copies every row that is left into a new file, and ANALYZE forgets values that were sampled."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver: Any = connection.connection.driver_connection
        notices: list[tuple[str, str]] = []

        def note(notice: Any) -> None:  # what it says is gone when the statement is
            notices.append((notice.severity_nonlocalized, notice.message_detail or ""))

        driver.add_notice_handler(note)
        try:
            for table in tables:
                connection.execute(text(f"VACUUM (FULL, ANALYZE, VERBOSE) {table}"))
        except OperationalError as error:
            state = str(getattr(error.orig, "sqlstate", ""))
            raise _unfinished("another program holds a table, or the disk is full", state) from None
        if any(_dead_rows(detail) for severity, detail in notices if severity == "INFO"):
            raise _unfinished("another program's transaction still sees the rows as they were before", "dead_rows")
        notices.clear()
        connection.execute(text("VACUUM (FULL) pg_statistic"))
        driver.remove_notice_handler(note)
    if not any(severity == "WARNING" for severity, _ in notices):
        return []
    return [
        {
            "where": "old samples of the server's planner (pg_statistic), which only a superuser may remove",
            "until": "the server's own vacuum has removed them",
        }
    ]


def _dead_rows(detail: str) -> int:
    """Return how many dead rows a verbose VACUUM had to keep: the first number of its detail, in every language."""
    found = re.match(r"\D*(\d+)", detail)
    return int(found[1]) if found else 0


def _copies_of_postgres(engine: Engine) -> list[dict[str, str]]:
    names = ("archive_mode", "max_wal_size", "wal_keep_size", "log_statement", "log_min_duration_statement")
    with engine.connect() as connection:
        found = {name: str(connection.execute(text(f"SHOW {name}")).scalar()) for name in names}
        slots = connection.execute(text("SELECT count(*) FROM pg_replication_slots")).scalar()
    until = (
        f"the server has written over them, after checkpoints (max_wal_size {found['max_wal_size']}, "
        f"wal_keep_size {found['wal_keep_size']}, replication slots that hold them back: {slots})"
    )
    copies = [{"where": "the server's write-ahead log (pg_wal)", "until": until}, _DISK]
    if found["archive_mode"] != "off":
        copies.append({"where": "the archive of write-ahead logs (archive_mode is on)", "until": "it is deleted there"})
    if found["log_statement"] != "none" or found["log_min_duration_statement"] != "-1":
        where = (
            "the server's own log, if it writes parameters of statements (log_statement, log_min_duration_statement)"
        )
        copies.append({"where": where, "until": "the log is deleted"})
    return copies


def _unfinished(said: str, why: str) -> DatabaseUnusable:
    sentence = f"no query finds what was erased, but a file of the database still holds it: {said}"
    advice = f"end that program, or stop the service, then {AGAIN}"
    return DatabaseUnusable(DatabaseProblem("erasure_unfinished", sentence, advice, {"why": why}))
