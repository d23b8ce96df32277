from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event
from typing import Any

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.concurrency.time_limits import DEFAULT_LIMITS
from app.storage.attempts import LogRow
from app.storage.ids import uuid7
from app.storage.prediction_log import DATABASE_ERRORS, AlreadyClaimed, Claim, PredictionLog
from app.storage.tables import LoggedPrediction
from app.storage.timeouts import DatabaseSilent
from tests.app.conftest import Locked, Logged, Sql
from tests.waiting import HANGS, Clock, until


@pytest.fixture
def log(engine: Engine) -> PredictionLog:
    return PredictionLog(engine)


def row(prediction_id: str | None = None) -> LogRow:
    return dict.fromkeys(LoggedPrediction.__table__.columns.keys()) | {
        "prediction_id": prediction_id or uuid7(),
        "created_at": datetime.now(UTC),
        "item_id": "heat-1",
        "bundle_version": "20260101T000000Z-00000001",
        "scored_by": "student",
        "score": 2,
        "max_score": 3,
        "probabilities": [0.1, 0.2, 0.7],
        "decision": "auto",
        "flags": [],
        "response": "warm air",
        "response_format": "text",
    }


def claim(caller: str = "open", body_sha256: str = "0" * 64) -> Claim:
    return Claim(caller, "quiz-7/attempt-2", body_sha256, lambda rows: [{"score": row["score"]} for row in rows])


def test_rows_are_committed_when_the_call_returns(log: PredictionLog, logged: Logged, sql: Sql) -> None:
    anyio.run(log.record, [row(), row(), row()], claim())

    assert [each.probabilities for each in logged()] == [[0.1, 0.2, 0.7]] * 3
    assert sql("SELECT caller, idempotency_key FROM idempotency_claims") == [
        {"caller": "open", "idempotency_key": "quiz-7/attempt-2"}
    ]


def statements(engine: Engine, log: PredictionLog, rows: list[LogRow]) -> list[str]:
    """Return the first words of the statements that write the rows."""
    executed_statements: list[str] = []

    def note(*executed: Any) -> None:
        executed_statements.append(executed[2])

    event.listen(engine, "before_cursor_execute", note)
    anyio.run(log.record, rows)
    event.remove(engine, "before_cursor_execute", note)
    return [statement.split()[0] for statement in executed_statements]


def test_only_calls_with_attempts_query_marks(engine: Engine, log: PredictionLog) -> None:
    statements(engine, log, [row()])  # opens a connection

    assert statements(engine, log, [row(), row()]) == ["INSERT"]
    named = [row() | {"attempt_id": f"quiz-{n}", "item_id": f"heat-{n % 9}"} for n in range(400)]
    assert statements(engine, log, named) == ["SELECT", "INSERT"]


def test_attempts_are_found_by_their_index(engine: Engine, log: PredictionLog) -> None:
    anyio.run(log.record, [row() | {"attempt_id": f"quiz-{n}"} for n in range(400)])
    queries: list[tuple[str, Any]] = []

    def note(*executed: Any) -> None:
        queries.append((executed[2], executed[3]))

    event.listen(engine, "before_cursor_execute", note)
    anyio.run(log.record, [row() | {"attempt_id": "quiz-7"}])
    event.remove(engine, "before_cursor_execute", note)

    [(statement, parameters)] = [query for query in queries if query[0].startswith("SELECT")]
    with engine.connect() as connection:
        explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
        if engine.dialect.name != "sqlite":
            connection.exec_driver_sql("SET enable_seqscan = off")  # else it scans a small table
            connection.exec_driver_sql("ANALYZE predictions")
        plan = str(connection.exec_driver_sql(f"{explain} {statement}", parameters).all())
    assert "ix_predictions_attempt_id_item_id_key_id" in plan
    assert "SCAN human_marks" not in plan


def test_recording_no_rows_is_no_error(log: PredictionLog, logged: Logged) -> None:
    anyio.run(log.record, [])

    assert logged() == []


def test_rows_are_committed_together_or_not_at_all(log: PredictionLog, logged: Logged, sql: Sql) -> None:
    repeated_id = uuid7()
    anyio.run(log.record, [row(repeated_id)])

    with pytest.raises(SQLAlchemyError):
        anyio.run(log.record, [row(), row(), row(repeated_id)], claim())

    assert [each.prediction_id for each in logged()] == [repeated_id]
    assert sql("SELECT * FROM idempotency_claims") == []


@pytest.mark.parametrize("second", [claim(), claim(body_sha256="1" * 64)])  # the body does not matter
def test_call_with_a_used_claim_writes_nothing(log: PredictionLog, logged: Logged, second: Claim) -> None:
    first = row()
    anyio.run(log.record, [first], claim())

    with pytest.raises(AlreadyClaimed):
        anyio.run(log.record, [row(), row()], second)

    assert len(logged()) == 1


def test_callers_may_use_equal_idempotency_keys(log: PredictionLog, logged: Logged) -> None:
    anyio.run(log.record, [row()], claim("open"))
    anyio.run(log.record, [row()], claim("another"))

    assert len(logged()) == 2


def test_one_of_many_concurrent_calls_gets_the_claim(log: PredictionLog, logged: Logged, sql: Sql) -> None:
    def record(_: int) -> bool:
        try:
            anyio.run(log.record, [row()], claim())
        except AlreadyClaimed:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(record, range(16)))

    assert sum(taken) == 1
    assert len(logged()) == 1
    assert sql("SELECT count(*) AS claims FROM idempotency_claims") == [{"claims": 1}]


def test_concurrent_writers_lose_no_rows(log: PredictionLog, logged: Logged) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: anyio.run(log.record, [row(), row()]), range(40)))

    assert len(logged()) == 80


def test_failing_database_raises_an_error(log: PredictionLog, sql: Sql) -> None:
    sql("ALTER TABLE predictions RENAME TO gone")

    with pytest.raises(SQLAlchemyError):
        anyio.run(log.record, [row()])


def test_concurrent_calls_share_transactions(engine: Engine, log: PredictionLog, logged: Logged) -> None:
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)

    async def run_all() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(60):
                group.start_soon(log.record, [row()])

    anyio.run(run_all)

    assert len(logged()) == 60
    assert len(commits) < 30


def test_bad_call_does_not_fail_others_in_its_transaction(log: PredictionLog, logged: Logged) -> None:
    repeated_id = uuid7()
    anyio.run(log.record, [row(repeated_id)])
    failed: list[str] = []

    async def record_row(prediction_id: str) -> None:
        try:
            await log.record([row(prediction_id)])
        except SQLAlchemyError:
            failed.append(prediction_id)

    async def run_all() -> None:
        async with anyio.create_task_group() as group:
            for number in range(40):
                prediction_id = repeated_id if number % 10 == 5 else uuid7()
                group.start_soon(record_row, prediction_id)

    anyio.run(run_all)

    assert failed == [repeated_id] * 4
    assert len(logged()) == 37


def test_one_of_equal_claims_in_a_transaction_is_accepted(log: PredictionLog, logged: Logged) -> None:
    refused: list[int] = []

    async def record_row(number: int) -> None:
        try:
            await log.record([row()], claim())
        except AlreadyClaimed:
            refused.append(number)

    async def run_all() -> None:
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(record_row, number)

    anyio.run(run_all)

    assert len(refused) == 19
    assert len(logged()) == 1


def test_claims_of_a_transaction_are_inserted_in_order(engine: Engine, log: PredictionLog) -> None:
    """By caller and key: otherwise two writers of the same claims could deadlock."""
    arrived = [("b", "quiz-2"), ("b", "quiz-1"), ("a", "quiz-2"), ("a", "quiz-1")]
    inserted: list[tuple[str, str]] = []
    at_work, all_arrived = Event(), Event()

    def hold(_: object) -> None:
        at_work.set()
        all_arrived.wait(HANGS)

    def note(*executed: Any) -> None:
        _, _, statement, _, context, _ = executed
        if "INTO idempotency_claims" in statement:
            [values] = context.compiled_parameters
            inserted.append((values["caller"], values["idempotency_key"]))

    event.listen(engine, "begin", hold)
    event.listen(engine, "before_cursor_execute", note)

    async def run_all() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(log.record, [row()])
            await anyio.to_thread.run_sync(at_work.wait, HANGS)
            for caller, key in arrived:
                group.start_soon(log.record, [row()], Claim(caller, key, "0" * 64, lambda _: []))
            while log.waiting < len(arrived):
                await anyio.sleep(0.001)
            all_arrived.set()

    anyio.run(run_all)

    assert inserted == sorted(arrived)


def test_cancelled_call_does_not_affect_others(log: PredictionLog, logged: Logged) -> None:
    async def run_all() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(log.record, [row()])
            with anyio.move_on_after(0):
                await log.record([row()])

    anyio.run(run_all)

    assert 20 <= len(logged()) <= 21


def test_closing_commits_waiting_calls_and_later_calls_start_again(log: PredictionLog, logged: Logged) -> None:
    async def run() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(log.record, [row()])
            await anyio.sleep(0)
            await log.aclose()
        await log.record([row()])
        await log.aclose()
        await log.aclose()

    anyio.run(run)

    assert len(logged()) == 2


@pytest.mark.parametrize("kind", DATABASE_ERRORS)
def test_database_error_fails_all_waiting_calls_at_once(
    engine: Engine, log: PredictionLog, logged: Logged, kind: type[SQLAlchemyError]
) -> None:
    raised: list[SQLAlchemyError] = []
    failures: list[SQLAlchemyError] = []
    rows: list[LogRow] = []

    def fail(_: object) -> None:
        until(lambda: len(rows) == 40)  # until all calls wait
        error = kind("INSERT", {}, Exception()) if issubclass(kind, DBAPIError) else kind()
        raised.append(error)
        raise error

    event.listen(engine, "begin", fail)

    async def record_row() -> None:
        rows.append(row())
        with suppress(*DATABASE_ERRORS):
            await log.record(rows[-1:])
            return
        failures.append(raised[-1])

    async def run_all() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(record_row)

    anyio.run(run_all)

    assert len(failures) == 40
    assert len(raised) < 10
    assert logged() == []


def test_calls_to_a_silent_database_time_out_and_waiting_calls_are_dropped(
    engine: Engine, logged: Logged, locked: Locked
) -> None:
    log = PredictionLog(engine, limits=replace(DEFAULT_LIMITS, end=HANGS))
    writing = Event()
    event.listen(engine, "before_cursor_execute", lambda *_: writing.set())
    started, waiting = row(), row()
    silent: list[str] = []

    async def record_row(logged_row: LogRow) -> None:
        try:
            await log.record([logged_row])
        except DatabaseSilent:
            silent.append(logged_row["prediction_id"])

    async def both() -> None:
        clock = Clock()
        with locked("predictions"):
            async with anyio.create_task_group() as group:
                group.start_soon(record_row, started)
                await anyio.to_thread.run_sync(writing.wait, HANGS)
                group.start_soon(record_row, waiting)
                await anyio.to_thread.run_sync(until, lambda: log.waiting == 1)
                await clock.put_forward(DEFAULT_LIMITS.database)
        await log.aclose()

    anyio.run(both)

    assert silent == [started["prediction_id"], waiting["prediction_id"]]
    assert [logged_row.prediction_id for logged_row in logged()] == [started["prediction_id"]]
