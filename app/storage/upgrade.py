"""Upgrade the schema; keep the user's own views, tables and triggers, and name those that block it."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from app.storage.database import head_revision, transaction, upgrade_within
from app.storage.health import damage, database_errors, encoding_problem, schema_problem
from app.storage.problems import UPGRADE, DatabaseProblem, DatabaseUnusable
from app.storage.tables import Base

OUR_TABLES = {*Base.metadata.tables, "alembic_version"}
LOCK_STATES = {"55P03", "40P01"}  # PostgreSQL: lock_not_available, deadlock_detected
# PostgreSQL's errors about an object, whose message and detail hold names and no values: dependent objects exist,
# feature not supported (a column of a view), and duplicate table, column or object.
DUPLICATE_STATES = {"42P07", "42701", "42710"}
OBJECT_STATES = {"2BP01", "0A000", *DUPLICATE_STATES}


def upgrade_schema(engine: Engine, script: Path | None = None) -> None:
    """Upgrade the schema to this version in one transaction.  Raise DatabaseUnusable, with nothing changed."""
    with _translate_errors(engine), transaction(engine, altering=True) as connection:
        _upgrade(connection, script)


def rehearse(engine: Engine, script: Path | None = None) -> DatabaseProblem | None:
    """Run the upgrade and roll it back; return the problem that would stop it, or None."""
    try:
        with _translate_errors(engine), transaction(engine, altering=True) as connection:
            _upgrade(connection, script)
            raise _Rehearsed
    except _Rehearsed:
        return None
    except DatabaseUnusable as error:
        return error.problem


class _Rehearsed(Exception):
    """Ends the transaction of a rehearsal."""


def _upgrade(connection: Connection, script: Path | None) -> None:
    if problem := encoding_problem(connection):
        raise DatabaseUnusable(problem)
    before = _objects_of_the_user(connection)
    upgrade_within(connection, "head", script)
    # SQLite changes most columns by recreating the table, and drops the old table's triggers with it.
    after = _objects_of_the_user(connection)
    if lost := sorted(before.items() - after.items()):
        raise DatabaseUnusable(_blocking(*lost[0]))


@contextmanager
def _translate_errors(engine: Engine) -> Iterator[None]:
    from alembic.util import CommandError

    try:
        yield
    except CommandError:  # no migration leads from the database's revision to this version's
        raise DatabaseUnusable(_unknown_revision(engine)) from None
    except database_errors(engine) as error:
        raise DatabaseUnusable(_problem_of(engine, error)) from None


def _unknown_revision(engine: Engine) -> DatabaseProblem:
    problem = schema_problem(engine, head_revision())
    if problem is not None and problem.code == "database_newer":
        return problem
    sentence = "this version does not know the revision of the database"
    return DatabaseProblem("revision_unknown", sentence, "install the scorelet that created it")


def _problem_of(engine: Engine, error: Exception) -> DatabaseProblem:
    if problem := damage(error):
        return problem
    original = getattr(error, "orig", None) or error
    state = getattr(original, "sqlstate", None)
    if state in LOCK_STATES or "database is locked" in str(original):
        advice = f"stop the service and all other programs that use the database, then run `{UPGRADE}` again"
        return DatabaseProblem("database_in_use", "the upgrade failed: another program locks the tables", advice)
    if state is None or state in OBJECT_STATES:
        with engine.connect() as connection:
            kinds = objects_of(connection)
        duplicate = state in DUPLICATE_STATES or (state is None and "already" in _message(original))
        for name in named_in(original, kinds):
            return _name_taken(name, kinds[name]) if duplicate else _blocking(name, kinds[name])
    why = f"{type(error).__name__} {state}" if state else type(error).__name__
    sentence = f"the upgrade failed and changed nothing ({why})"
    advice = "check whether the disk is full or the user may not change tables, then run it again or restore a backup"
    return DatabaseProblem("upgrade_failed", sentence, advice, {"why": why})


def named_in(error: BaseException, objects: Iterable[str]) -> list[str]:
    """Return the objects that an error names, the user's before scorelet's tables."""
    message = _message(error)
    names = [name for name in objects if _is_named(name, message)]
    return sorted(names, key=lambda name: name in OUR_TABLES)


def _is_named(name: str, message: str) -> bool:
    pattern = rf"(?<!\w){re.escape(name)}(?!\w)"
    return re.search(pattern, message) is not None


def _name_taken(name: str, kind: str) -> DatabaseProblem:
    sentence = f"the upgrade failed: your {kind} {name} has a name that scorelet needs"
    advice = f"rename it, or restore a backup if scorelet created it, then run `{UPGRADE}` again"
    return DatabaseProblem("name_taken", sentence, advice, {"kind": kind, "name": name})


def _blocking(name: str, kind: str) -> DatabaseProblem:
    sentence = f"the upgrade failed: your {kind} {name} depends on a table that it changes"
    dropped = "drop its foreign key" if kind == "table" else "save its definition, drop it"
    advice = f"{dropped}, run `{UPGRADE}` again, then create it again"
    return DatabaseProblem("object_in_the_way", sentence, advice, {"kind": kind, "name": name})


def _message(error: BaseException) -> str:
    diagnostics = getattr(error, "diag", None)
    if diagnostics is None:
        return str(error)
    return f"{diagnostics.message_primary} {diagnostics.message_detail or ''}"


def objects_of(connection: Connection) -> dict[str, str]:
    """Return the kind of every table, view, trigger and index by name, in every schema."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name, type FROM sqlite_master"
    else:
        query = (
            "SELECT relname, CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' "
            "WHEN 'i' THEN 'index' ELSE 'table' END FROM pg_class WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'i') "
            "AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname LIKE 'pg\\_%' "
            "OR nspname = 'information_schema')"
        )
    return {str(name): str(kind) for name, kind in connection.execute(text(query))}


def _objects_of_the_user(connection: Connection) -> dict[str, str]:
    """Return the views and triggers: scorelet creates none."""
    kinds = ("view", "materialized view", "trigger")
    return {name: kind for name, kind in objects_of(connection).items() if kind in kinds}
