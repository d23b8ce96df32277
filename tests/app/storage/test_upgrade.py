"""Upgrade a database that holds the user's own objects, with a migration that exists only here."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from app.storage.database import connect, head_revision, migrations_folder, upgrade
from app.storage.upgrade import rehearse, upgrade_schema
from tests.app.storage.problems import reports_problem

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "9000", "{head}", None, None

def upgrade():
    op.create_table("badges", sa.Column("id", sa.Integer, primary_key=True))
    with op.batch_alter_table("predictions") as batch:
        batch.alter_column("item_id", type_=sa.String(300), existing_type=sa.String(128))
"""
PREDICTION = (
    "INSERT INTO predictions (prediction_id, created_at, item_id, bundle_version, scored_by, decision, flags) "
    "VALUES ('1', '2026-01-01 00:00:00', 'heat-1', 'v1', 'student', 'auto', '[]')"
)
MARK = (
    "INSERT INTO human_marks (id, prediction_id, marked_at, reviewer) VALUES ('1', '1', '2026-01-01 00:00:00', 'Ana')"
)
VIEW = "CREATE VIEW my_report AS SELECT item_id, count(*) AS n FROM predictions GROUP BY item_id"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    shutil.copytree(migrations_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9000_badges.py").write_text(MIGRATION.format(head=head_revision()))
    return folder


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    run(engine, PREDICTION, MARK)
    yield engine
    engine.dispose()


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def ask(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def revision(engine: Engine) -> object:
    return ask(engine, "SELECT version_num FROM alembic_version")[0][0]


def test_upgrade_keeps_rows_that_refer_to_recreated_tables(engine: Engine, script: Path) -> None:
    assert rehearse(engine, script) is None
    assert revision(engine) == head_revision()

    upgrade_schema(engine, script)

    joined = "SELECT item_id, reviewer FROM human_marks JOIN predictions USING (prediction_id)"
    assert (revision(engine), ask(engine, joined)) == ("9000", [("heat-1", "Ana")])
    if engine.dialect.name == "sqlite":
        assert ask(engine, "PRAGMA foreign_keys") == [(1,)]


def test_blocking_view_is_named_and_kept(engine: Engine, script: Path) -> None:
    run(engine, VIEW)
    named = {"kind": "view", "name": "my_report"}

    rehearsed = rehearse(engine, script)
    with reports_problem("object_in_the_way", named):
        upgrade_schema(engine, script)

    assert rehearsed is not None
    assert (rehearsed.code, rehearsed.fields) == ("object_in_the_way", named)
    assert ask(engine, "SELECT * FROM my_report") == [("heat-1", 1)]
    assert revision(engine) == head_revision()
    run(engine, "DROP VIEW my_report")  # as advised
    upgrade_schema(engine, script)
    run(engine, VIEW)
    assert ask(engine, "SELECT * FROM my_report") == [("heat-1", 1)]


def test_unrelated_view_is_kept(engine: Engine, script: Path) -> None:
    run(engine, "CREATE TABLE mine (id INTEGER)", "CREATE VIEW my_report AS SELECT id FROM mine")

    upgrade_schema(engine, script)

    assert ask(engine, "SELECT * FROM my_report") == []


def test_table_with_a_needed_name_is_named_and_kept(engine: Engine, script: Path) -> None:
    run(engine, "CREATE TABLE badges (mine INTEGER)", "INSERT INTO badges VALUES (7)")

    with reports_problem("name_taken", {"kind": "table", "name": "badges"}):
        upgrade_schema(engine, script)

    assert ask(engine, "SELECT mine FROM badges") == [(7,)]
    run(engine, "ALTER TABLE badges RENAME TO my_badges")  # as advised
    upgrade_schema(engine, script)
    assert ask(engine, "SELECT mine FROM my_badges") == [(7,)]


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_trigger_that_would_be_lost_is_named_and_kept(engine: Engine, script: Path) -> None:
    run(engine, "CREATE TRIGGER my_trigger AFTER INSERT ON predictions BEGIN SELECT 1; END")

    with reports_problem("object_in_the_way", {"kind": "trigger", "name": "my_trigger"}):
        upgrade_schema(engine, script)

    assert ask(engine, "SELECT name FROM sqlite_master WHERE type = 'trigger'") == [("my_trigger",)]
    assert revision(engine) == head_revision()


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_blocking_view_of_another_schema_is_named(engine: Engine, script: Path) -> None:
    run(engine, "CREATE SCHEMA office", VIEW.replace("my_report", "office.my_report"))

    with reports_problem("object_in_the_way", {"kind": "view", "name": "my_report"}):
        upgrade_schema(engine, script)


def test_table_named_like_ours_in_a_new_database_is_named_and_kept(empty_database_url: str) -> None:
    engine = connect(empty_database_url)
    run(engine, "CREATE TABLE predictions (mine INTEGER)")

    with reports_problem("name_taken", {"kind": "table", "name": "predictions"}):
        upgrade_schema(engine)

    assert ask(engine, "SELECT mine FROM predictions") == []
    assert not inspect(engine).has_table("alembic_version")
    engine.dispose()


@pytest.mark.parametrize(("unknown", "code"), [("9999", "database_newer"), ("0000", "revision_unknown")])
def test_unknown_revision_is_reported(engine: Engine, unknown: str, code: str) -> None:
    run(engine, f"UPDATE alembic_version SET version_num = '{unknown}'")  # noqa: S608

    with reports_problem(code):
        upgrade_schema(engine)


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_upgrade_of_a_locked_database_times_out(database_url: str, script: Path) -> None:
    other, engine = connect(database_url), connect(f"{database_url}?timeout=0.1")
    with other.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

        with reports_problem("database_in_use"):
            upgrade_schema(engine, script)

    upgrade(engine)
