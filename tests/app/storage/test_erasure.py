"""Plant a learner's words and pseudonym wherever the service stores any, and search every table and file after erasing.

The service runs meanwhile, with its own connections to the database; in the first test it is another process.
"""

import json
import sqlite3
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from app.cli.console import BadUsage, WorkFailed
from app.storage.database import connect
from app.storage.erasure import rewrite
from app.storage.learners import DELETED, ERASED, erase, pseudonym, rows_of
from app.storage.queries import add_feedback
from app.storage.tables import Base, GeneratedFeedback
from tests.app.commands import Commands
from tests.app.conftest import LEARNER_KEY, Serve, Sql
from tests.conftest import Postgres
from tests.programs import run, serving
from tests.refusals import refused
from tests.waiting import HANGS

ANNA, BEN = "anna@school.example", "ben@school.example"
CALLS = 6
MARKERS = {ANNA: "zyzzyva", BEN: "quokkas"}
# Columns that erasing keeps: none holds words of a learner or identifies the learner.
KEPT = {
    "predictions": {
        "prediction_id", "created_at", "key_id", "item_id", "bundle_version", "scored_by", "score", "label",
        "expected_score", "max_score", "gradebook_max", "gradebook_score", "probabilities", "interval",
        "prediction_set", "confidence", "decision", "condition", "flags", "teacher", "first_score", "feedback",
        "feedback_withheld", "response_format", "scale",
    },
    "human_marks": {"id", "prediction_id", "marked_at", "key_id", "reviewer", "score", "label", "gradebook_score"},
    "generated_feedback": {"prediction_id", "created_at", "feedback_withheld", "model", "tokens", "seconds"},
    "shadow_scores": {
        "prediction_id", "created_at", "teacher", "score", "label", "expected_score", "confidence",
    },
    "shadow_versions": {
        "prediction_id", "version", "created_at", "score", "label", "expected_score", "confidence", "decision",
    },
}  # fmt: skip
WITHOUT_LEARNERS = {"api_keys", "seen_activations"}


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def address(settings: dict[str, Any], tmp_path: Path) -> Iterator[str]:
    """Yield the address of a service in another process."""
    with serving(said=tmp_path / "said.log", **settings) as (_, address):
        yield address


class Post(Protocol):
    def __call__(self, path: str, body: object, key: str | None = None) -> Any: ...


def headers(key: str | None) -> dict[str, str]:
    return {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})


def poster(address: str) -> Post:
    """Return a function that posts to a service in another process."""

    def post(path: str, body: object, key: str | None = None) -> Any:
        request = urllib.request.Request(f"{address}{path}", json.dumps(body).encode(), headers(key))  # noqa: S310  # our service
        with urllib.request.urlopen(request, timeout=HANGS) as reply:  # noqa: S310
            return json.load(reply)

    return post


@pytest.fixture
def post(serve: Serve) -> Post:
    """Return a function that posts to a service in this process."""
    client = serve(learner_key=LEARNER_KEY)

    def post(path: str, body: object, key: str | None = None) -> Any:
        return client.post(path, json=body, headers=headers(key)).raise_for_status().json()

    return post


def response(learner: str, number: int) -> dict[str, Any]:
    marker = MARKERS[learner]
    repeats = 600 if number % 5 == 0 else 0  # some responses fill pages
    words = f"{marker} {number} warm air" + f" and {marker}" * repeats
    return {"item_id": "heat-1", "response": words, "learner_id": learner, "attempt_id": f"{marker}-{number}"}


def plant(post: Post, sql: Sql) -> list[str]:
    """Make the service store rows of every kind for both learners in turn; return the ids of Anna's predictions."""
    of_anna: list[str] = []
    for number in range(CALLS):
        for learner in (ANNA, BEN):
            prediction = post("/score", response(learner, number), f"{MARKERS[learner]}-call-{number}")
            prediction_id = prediction["prediction_id"]
            mark = {"score": 1, "reviewer": "A. Teacher", "reason": f"{MARKERS[learner]} is right"}
            post(f"/predictions/{prediction_id}/review", mark)
            feedback = json.dumps({"text": MARKERS[learner], "source": "model", "version": "m/1"}).replace(":", "\\:")
            sql(
                "INSERT INTO generated_feedback (prediction_id, created_at, feedback, model, tokens, seconds) VALUES "  # noqa: S608
                f"('{prediction_id}', '2026-11-28 00:00:00', '{feedback}', 'm/1', 1, 1)"
            )
            if learner == ANNA:
                of_anna.append(prediction_id)
    both = {"responses": [response(ANNA, 98), response(BEN, 99)]}
    of_anna.append(post("/score/batch", both, "both")["results"][0]["prediction_id"])
    return of_anna


def leave_in_free_pages(file: Path, words: str) -> None:
    """Drop a table without secure_delete: its free pages hold the words until SQLite reuses them."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("CREATE TABLE gone (words TEXT)")
        connection.executemany("INSERT INTO gone VALUES (?)", [(words * 100,)] * 100)
        connection.execute("DROP TABLE gone")


def in_tables(sql: Sql, marker: str) -> int:
    return sum(str(sql(f"SELECT * FROM {name}")).count(marker) for name in Base.metadata.tables)  # noqa: S608


def in_files(sql: Sql, dialect: str, tmp_path: Path, *markers: str) -> list[str]:
    """Return the names of database files that hold a marker, without PostgreSQL's write-ahead log."""
    if dialect == "sqlite":
        files = sorted(tmp_path.glob("scorelet.db*"))
        assert [path.name for path in files] == ["scorelet.db", "scorelet.db-shm", "scorelet.db-wal"]
    else:
        sql("CHECKPOINT")
        [setting] = sql("SHOW data_directory")
        [database] = sql("SELECT oid FROM pg_database WHERE datname = current_database()")
        folder = Path(setting["data_directory"])
        files = [path for path in folder.rglob("*") if path.is_file() and "pg_wal" not in path.parts]
        files = [path for path in files if "base" not in path.parts or str(database["oid"]) in path.parts]
    return [path.name for path in files if holds_any(path.read_bytes(), markers)]


def holds_any(content: bytes, markers: Sequence[str]) -> bool:
    return any(marker.encode() in content for marker in markers)


def test_erased_learner_is_in_no_table_or_file_while_the_service_runs(
    address: str, settings: dict[str, Any], sql: Sql, dialect: str, tmp_path: Path
) -> None:
    post = poster(address)
    of_anna, learner_hash = plant(post, sql), pseudonym(LEARNER_KEY, ANNA)
    if dialect == "postgresql":
        sql("ANALYZE")  # stores sampled values in pg_statistic
        assert MARKERS[ANNA] in str(sql("SELECT stavalues1::text, stavalues2::text FROM pg_statistic"))
    else:
        leave_in_free_pages(tmp_path / "scorelet.db", MARKERS[ANNA])
    assert in_tables(sql, MARKERS[ANNA]) > 40
    assert in_files(sql, dialect, tmp_path, MARKERS[ANNA], learner_hash)

    first, again = (run("scorelet", "learner", "erase", learner, **settings) for learner in (ANNA, learner_hash))

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    receipt, second = json.loads(first.stdout), json.loads(again.stdout)
    assert receipt["erased"] == {
        "generated_feedback": CALLS, "human_marks": CALLS, "idempotency_claims": CALLS + 1, "predictions": CALLS + 1,
    }  # fmt: skip
    assert set(second["erased"].values()) == {0}
    assert receipt["pseudonym"] == learner_hash
    assert receipt["remains"]
    assert MARKERS[ANNA] not in first.stdout
    assert in_tables(sql, MARKERS[ANNA]) == in_tables(sql, learner_hash) == 0
    assert in_files(sql, dialect, tmp_path, MARKERS[ANNA], learner_hash, ANNA) == []
    if dialect == "postgresql":
        assert MARKERS[ANNA] not in str(sql("SELECT stavalues1::text, stavalues2::text FROM pg_statistic"))

    assert in_tables(sql, MARKERS[BEN]) > 40  # other learners' rows stay
    again_sent = post("/score", response(BEN, 4), f"{MARKERS[BEN]}-call-4")
    assert sql(f"SELECT count(*) AS n FROM predictions WHERE prediction_id = '{again_sent['prediction_id']}'")  # noqa: S608
    with urllib.request.urlopen(f"{address}/predictions/{of_anna[0]}") as reply:  # noqa: S310
        anna = json.load(reply)
    assert (anna["response"], anna["learner_hash"], anna["attempt_id"]) == (None, None, None)
    assert (anna["score"], anna["final"]["score"], anna["human_marks"][0]["reason"]) == (3, 1, None)


def test_every_column_is_erased_or_listed_as_harmless() -> None:
    """A new column needs a decision here."""
    decided = {table: set(columns) for table, columns in KEPT.items()}
    for table, columns in ERASED.items():
        decided[table.__tablename__] |= set(columns)
    whole = WITHOUT_LEARNERS | {table.__tablename__ for table in DELETED}
    undecided = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if table.name not in whole and column.name not in decided[table.name]
    }

    assert undecided == set()


def test_feedback_that_finishes_after_the_erasure_is_not_stored(serve: Serve, engine: Engine, sql: Sql) -> None:
    client = serve(learner_key=LEARNER_KEY)
    prediction = client.post("/score", json=response(ANNA, 1)).json()
    sql("UPDATE predictions SET feedback_withheld = 'pending'")

    erase(engine, pseudonym(LEARNER_KEY, ANNA))
    late = GeneratedFeedback(
        prediction_id=prediction["prediction_id"],
        created_at=datetime.now(UTC),
        feedback={"text": MARKERS[ANNA]},
        model="m/1",
        tokens=1,
        seconds=1.0,
    )
    with pytest.raises(IntegrityError):
        add_feedback(engine, late)

    assert in_tables(sql, MARKERS[ANNA]) == 0
    assert client.get(f"/predictions/{prediction['prediction_id']}").json()["feedback_withheld"] == "erased"


def test_expire_erases_rows_older_than_some_days(
    post: Post, commands: Commands, sql: Sql, dialect: str, tmp_path: Path
) -> None:
    plant(post, sql)
    old = f"response LIKE '{MARKERS[ANNA]}%'"
    sql(f"UPDATE predictions SET created_at = '2000-01-01 00:00:00' WHERE {old}")  # noqa: S608
    old = f"idempotency_key LIKE '{MARKERS[ANNA]}%' OR idempotency_key = 'both'"
    sql(f"UPDATE idempotency_claims SET created_at = '2000-01-01 00:00:00' WHERE {old}")  # noqa: S608

    first, again = (json.loads(commands("learner", "expire", 1)) for _ in range(2))

    assert first["erased"]["predictions"] == first["erased"]["idempotency_claims"] == CALLS + 1
    assert set(again["erased"].values()) == {0}
    assert in_tables(sql, MARKERS[ANNA]) == 0
    assert in_files(sql, dialect, tmp_path, MARKERS[ANNA]) == []
    assert in_tables(sql, MARKERS[BEN]) > 40


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_erasure_reports_a_reader_of_an_old_snapshot_and_succeeds_later(
    post: Post, commands: Commands, outside: Engine, sql: Sql, database_url: str, tmp_path: Path
) -> None:
    post("/score", response(ANNA, 1))
    commands.set(SCORELET_DATABASE_URL=f"{database_url}?timeout=0.1")

    with outside.connect() as reader:
        reader.execute(text("BEGIN"))
        reader.execute(text("SELECT * FROM predictions"))
        with refused(WorkFailed, "erasure_unfinished", why="checkpoint_busy"):
            commands("learner", "erase", ANNA)
        assert in_tables(sql, MARKERS[ANNA]) == 0
        assert in_files(sql, "sqlite", tmp_path, MARKERS[ANNA])

    assert set(json.loads(commands("learner", "erase", ANNA))["erased"].values()) == {0}
    assert in_files(sql, "sqlite", tmp_path, MARKERS[ANNA]) == []


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_erasure_reports_rows_that_a_transaction_sees_and_succeeds_later(
    post: Post, commands: Commands, outside: Engine
) -> None:
    post("/score", response(ANNA, 1))

    with outside.connect() as reader:
        reader.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        reader.execute(text("SELECT 1"))  # takes a snapshot of the rows, and no lock
        with refused(WorkFailed, "erasure_unfinished", why="dead_rows"):
            commands("learner", "erase", ANNA)

    assert set(json.loads(commands("learner", "erase", ANNA))["erased"].values()) == {0}


def test_export_holds_all_rows_of_a_learner_and_no_others(
    post: Post, commands: Commands, sql: Sql, tmp_path: Path
) -> None:
    of_anna = plant(post, sql)
    out = tmp_path / "anna.json"

    commands("learner", "export", ANNA, "--out", out)

    exported = json.loads(out.read_text(encoding="utf-8"))
    assert out.stat().st_mode & 0o777 == 0o600
    assert [row["prediction_id"] for row in exported["tables"]["predictions"]] == of_anna
    assert {name: len(rows) for name, rows in exported["tables"].items()} == {
        "predictions": CALLS + 1, "human_marks": CALLS, "generated_feedback": CALLS, "shadow_scores": 0,
        "shadow_versions": 0, "idempotency_claims": CALLS + 1,
    }  # fmt: skip
    assert all(MARKERS[ANNA] in row["response"] for row in exported["tables"]["predictions"])
    assert MARKERS[BEN] not in out.read_text(encoding="utf-8")
    assert sum(len(row["results"]) for row in exported["tables"]["idempotency_claims"]) == CALLS + 1
    with refused(WorkFailed, "file_exists"):
        commands("learner", "export", ANNA, "--out", out)


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_planner_keeps_no_sample_of_an_erased_learner(post: Post, commands: Commands, sql: Sql, tmp_path: Path) -> None:
    """ANALYZE keeps the old samples of a table that has become empty."""
    for number in range(3):
        post("/score", response(ANNA, number), f"{MARKERS[ANNA]}-{number}")
    sql("ANALYZE")

    commands("learner", "erase", ANNA)

    assert sql("SELECT count(*) AS n FROM idempotency_claims") == [{"n": 0}]
    assert in_files(sql, "postgresql", tmp_path, MARKERS[ANNA]) == []


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_owner_of_the_tables_is_told_of_samples_only_a_superuser_can_remove(
    engine: Engine, sql: Sql, postgres: Postgres
) -> None:
    sql("CREATE ROLE school LOGIN")
    for name in [*Base.metadata.tables, "alembic_version"]:
        sql(f"ALTER TABLE {name} OWNER TO school")
    school = connect(postgres.url(str(engine.url.database)).replace("postgres:", "school:"))
    try:
        remains = rewrite(school, sorted(erase(school, "0" * 64)))
    finally:
        school.dispose()
        sql("DROP OWNED BY school CASCADE")
        sql("DROP ROLE school")

    assert [copy["where"] for copy in remains if "pg_statistic" in copy["where"]]
    assert not [copy for copy in rewrite(engine, []) if "pg_statistic" in copy["where"]]


def test_receipt_names_tables_of_the_user_that_may_hold_copies(commands: Commands, sql: Sql, dialect: str) -> None:
    sql("CREATE VIEW seen AS SELECT response FROM predictions")  # a view stores no rows
    sql("CREATE TABLE copied AS SELECT response FROM predictions")
    names = ["copied"]
    if dialect == "postgresql":
        sql("CREATE MATERIALIZED VIEW sampled AS SELECT response FROM predictions")
        names.append("sampled")

    remains = json.loads(commands("learner", "erase", ANNA))["remains"]

    assert [copy["where"].rpartition(": ")[2] for copy in remains if "your own tables" in copy["where"]] == [
        ", ".join(names)
    ]


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_id_needs_the_learner_key_and_a_hash_does_not(commands: Commands, engine: Engine, tmp_path: Path) -> None:
    looks_like_one = "0123456789abcdef" * 4
    commands("learner", "export", looks_like_one, "--id", "--out", tmp_path / "id.json")
    commands("learner", "export", looks_like_one, "--out", tmp_path / "hash.json")
    commands("learner", "export", f" {looks_like_one.upper()}", "--out", tmp_path / "copied.json")
    of_id, *of_hash = (
        json.loads((tmp_path / f"{name}.json").read_text())["pseudonym"] for name in ("id", "hash", "copied")
    )
    assert (of_id, of_hash) == (pseudonym(LEARNER_KEY, looks_like_one), [looks_like_one] * 2)

    commands.clear("SCORELET_LEARNER_KEY")

    with refused(BadUsage, "no_learner_key"):
        commands("learner", "erase", ANNA)
    assert json.loads(commands("learner", "erase", looks_like_one))["pseudonym"] == looks_like_one
    assert rows_of(engine, looks_like_one)["predictions"] == []
