"""Remove erased rows from the database's files, as far as SQL can, and list the copies that remain."""

import re
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from app.storage.database import file_of
from app.storage.health import files_of
from app.storage.problems import DatabaseProblem, DatabaseUnusable
from app.storage.upgrade import OUR_TABLES, objects_of

AGAIN = "run the same command again"
BACKUPS = {
    "where": "earlier backups and exports",
    "until": "you delete them; after restoring a backup, erase again",
}
DISK = {
    "where": "free blocks and snapshots of the disk",
    "until": "the system overwrites the blocks, and you delete the snapshots",
}
PLANNER_SAMPLES = {
    "where": "old samples of the server's query planner (pg_statistic), which only a superuser may remove",
    "until": "the server's own vacuum removes them",
}
PG_WAL = "the server's write-ahead log (pg_wal)"
WAL_ARCHIVE = {"where": "the archive of write-ahead logs (archive_mode is on)", "until": "you delete it there"}
SERVER_LOG = {
    "where": "the server's log, if it contains statement parameters (log_statement, log_min_duration_statement)",
    "until": "you delete the log",
}


def rewrite(engine: Engine, tables: list[str]) -> list[dict[str, str]]:
    """Remove erased rows from the files of tables; return where copies remain, and until when.

    Raise DatabaseUnusable if a snapshot of another program still needs the old rows.  Queries no longer find them
    then, but a file holds them.
    """
    if engine.dialect.name == "sqlite":
        _rewrite_sqlite(engine)
        return [BACKUPS, *_tables_of_the_user(engine), DISK]
    samples = _rewrite_postgres(engine, tables)
    return [BACKUPS, *_tables_of_the_user(engine), *samples, *_copies_of_postgres(engine)]


def _tables_of_the_user(engine: Engine) -> list[dict[str, str]]:
    """List the user's tables and materialized views, which may hold copies of scorelet's rows."""
    with engine.connect() as connection:
        kinds = objects_of(connection)
    stored = [name for name, kind in sorted(kinds.items()) if kind in ("table", "materialized view")]
    names = [name for name in stored if name not in OUR_TABLES and not name.startswith("sqlite_")]
    if not names:
        return []
    where = f"your own tables and materialized views, if rows were copied to them: {', '.join(names)}"
    return [{"where": where, "until": "you delete the copied rows or refresh the view"}]


def _rewrite_sqlite(engine: Engine) -> None:
    """Copy the remaining rows into fresh pages (VACUUM), and empty the `-wal` file by a checkpoint."""
    file = file_of(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
            connection.exec_driver_sql("VACUUM")
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
        except OperationalError as error:
            why = str(getattr(error.orig, "sqlite_errorname", ""))
            raise _unfinished("another program locks the database, or the disk is full", why) from None
    wal = files_of(file)[1]
    if busy or (wal.exists() and wal.stat().st_size):
        cause = f"another program still reads an old snapshot, which {wal.name} keeps"
        raise _unfinished(cause, "checkpoint_busy")


def _rewrite_postgres(engine: Engine, tables: list[str]) -> list[dict[str, str]]:
    """Copy the remaining rows into new files (VACUUM FULL), and drop sampled values (ANALYZE)."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver: Any = connection.connection.driver_connection
        notices: list[tuple[str, str]] = []

        def collect(notice: Any) -> None:  # a notice is valid only during its statement
            notices.append((notice.severity_nonlocalized, notice.message_detail or ""))

        driver.add_notice_handler(collect)
        try:
            for table in tables:
                connection.execute(text(f"VACUUM (FULL, ANALYZE, VERBOSE) {table}"))
        except OperationalError as error:
            state = str(getattr(error.orig, "sqlstate", ""))
            raise _unfinished("another program locks a table, or the disk is full", state) from None
        if any(_dead_rows(detail) for severity, detail in notices if severity == "INFO"):
            raise _unfinished("another program's transaction still sees the old rows", "dead_rows")
        notices.clear()
        connection.execute(text("VACUUM (FULL) pg_statistic"))
        driver.remove_notice_handler(collect)
    refused = any(severity == "WARNING" for severity, _ in notices)
    return [PLANNER_SAMPLES] if refused else []


def _dead_rows(detail: str) -> int:
    """Return the dead rows that a verbose VACUUM kept: the first number of its detail, in every language."""
    number = re.match(r"\D*(\d+)", detail)
    return int(number[1]) if number else 0


def _copies_of_postgres(engine: Engine) -> list[dict[str, str]]:
    names = ("archive_mode", "max_wal_size", "wal_keep_size", "log_statement", "log_min_duration_statement")
    with engine.connect() as connection:
        settings = {name: _setting(connection, name) for name in names}
        slots = connection.execute(text("SELECT count(*) FROM pg_replication_slots")).scalar()
    until = (
        f"the server overwrites it after checkpoints (max_wal_size {settings['max_wal_size']}, "
        f"wal_keep_size {settings['wal_keep_size']}, replication slots that delay this: {slots})"
    )
    copies = [{"where": PG_WAL, "until": until}, DISK]
    if settings["archive_mode"] != "off":
        copies.append(WAL_ARCHIVE)
    if settings["log_statement"] != "none" or settings["log_min_duration_statement"] != "-1":
        copies.append(SERVER_LOG)
    return copies


def _setting(connection: Connection, name: str) -> str:
    statement = text(f"SHOW {name}")
    return str(connection.execute(statement).scalar())


def _unfinished(cause: str, why: str) -> DatabaseUnusable:
    sentence = f"the rows are erased, but a file of the database still holds them: {cause}"
    advice = f"end that program or stop the service, then {AGAIN}"
    return DatabaseUnusable(DatabaseProblem("erasure_unfinished", sentence, advice, {"why": why}))
