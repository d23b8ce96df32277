"""The upgrade of the schema, with the user's own views, tables and triggers kept and named when they are in the way."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from app.storage.database import head_revision, transaction, upgrade_within
from app.storage.health import damage, database_errors, encoding_problem, schema_problem
from app.storage.problems import UPGRADE, DatabaseProblem, DatabaseUnusable
from app.storage.tables import Base

OURS = {*Base.metadata.tables, "alembic_version"}
LOCKS = {"55P03", "40P01"}  # PostgreSQL: lock_not_available, deadlock_detected
# PostgreSQL's errors about an object whose message and detail hold names and no values: dependent objects exist,
# feature not supported (a column of a view), and duplicate table, column or object.
TAKEN = {"42P07", "42701", "42710"}
OF_OBJECTS = {"2BP01", "0A000", *TAKEN}


def upgrade_schema(engine: Engine, script: Path | None = None) -> None:
    """Bring the schema to this version, whole or not at all.  Raises DatabaseUnusable, and then nothing has changed."""
    with _naming(engine), transaction(engine, altering=True) as connection:
        _upgrade(connection, script)


def rehearse(engine: Engine, script: Path | None = None) -> DatabaseProblem | None:
    """Return what would be in the way of an upgrade, or None.  It is carried out and rolled back."""
    try:
        with _naming(engine), transaction(engine, altering=True) as connection:
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
    # SQLite changes most columns by making the table anew, and the old one's triggers go with it.
    if lost := sorted(before.items() - _objects_of_the_user(connection).items()):
        raise DatabaseUnusable(_in_the_way(*lost[0]))


@contextmanager
def _naming(engine: Engine) -> Iterator[None]:
    from alembic.util import CommandError

    try:
        yield
    except CommandError:  # no migration leads from the database's revision to this version's
        sentence = "the database is at a revision that this version does not know"
        unknown = DatabaseProblem("revision_unknown", sentence, "install the scorelet that made it")
        found = schema_problem(engine, head_revision())
        newer = found is not None and found.code == "database_newer"
        raise DatabaseUnusable(found if found and newer else unknown) from None
    except database_errors(engine) as error:
        raise DatabaseUnusable(_problem_of(engine, error)) from None


def _problem_of(engine: Engine, error: Exception) -> DatabaseProblem:
    if problem := damage(error):
        return problem
    original = getattr(error, "orig", None) or error
    state = getattr(original, "sqlstate", None)
    if state in LOCKS or "database is locked" in str(original):
        advice = f"stop the service and whatever else uses the database, then run `{UPGRADE}` again"
        return DatabaseProblem("database_in_use", "the tables were not changed: another program holds them", advice)
    if state is None or state in OF_OBJECTS:
        with engine.connect() as connection:
            objects = objects_of(connection)
        named = named_in(original, objects)
        taken = state in TAKEN or (state is None and "already" in _said(original))
        for name in named:
            return (_name_taken if taken else _in_the_way)(name, objects[name])
    why = f"{type(error).__name__} {state}" if state else type(error).__name__
    advice = "see whether its disk is full and its user may change tables, then run it again, or restore a backup"
    return DatabaseProblem(
        "upgrade_failed", f"the tables were not changed: the upgrade failed ({why})", advice, {"why": why}
    )


def named_in(error: BaseException, objects: Iterable[str]) -> list[str]:
    """Return the objects that an error names: the user's before a table of ours that it uses."""
    said = _said(error)
    named = [name for name in objects if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said)]
    return sorted(named, key=lambda own: own in OURS)


def _name_taken(name: str, kind: str) -> DatabaseProblem:
    sentence = f"the tables were not changed: your {kind} {name} has a name that scorelet needs"
    advice = f"rename it, or restore a backup if scorelet made it, then run `{UPGRADE}` again"
    return DatabaseProblem("name_taken", sentence, advice, {"kind": kind, "name": name})


def _in_the_way(name: str, kind: str) -> DatabaseProblem:
    sentence = f"the tables were not changed: your {kind} {name} uses what the upgrade changes"
    advice = f"keep its definition, drop it, run `{UPGRADE}` again, then make it again"
    if kind == "table":
        advice = f"keep and drop the constraint by which it does, run `{UPGRADE}` again, then make it again"
    return DatabaseProblem("object_in_the_way", sentence, advice, {"kind": kind, "name": name})


def _said(error: BaseException) -> str:
    diag = getattr(error, "diag", None)
    if diag is None:
        return str(error)
    return f"{diag.message_primary} {diag.message_detail or ''}"


def objects_of(connection: Connection) -> dict[str, str]:
    """Return the kind of every table, view, trigger and index by name, of every schema."""
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
    """Return the views and triggers: scorelet makes none."""
    kinds = ("view", "materialized view", "trigger")
    return {name: kind for name, kind in objects_of(connection).items() if kind in kinds}
