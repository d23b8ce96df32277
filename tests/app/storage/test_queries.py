from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.storage.queries import find, find_claim, note_activations, page
from app.storage.tables import IdempotencyClaim, LoggedPrediction, SeenActivation
from tests.app.conftest import Sql

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
IDS = [f"0197a3c2-5e1b-7c44-9a57-{number:012}" for number in range(6)]


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """Yield a session with six predictions: two items in turn, every third for review."""
    with Session(engine) as session:
        session.add_all(
            LoggedPrediction(
                prediction_id=prediction_id,
                created_at=NOW,
                item_id=["heat-1", "plants-2"][number % 2],
                bundle_version="1",
                scored_by="student",
                decision="review" if number % 3 == 0 else "auto",
                flags=[],
            )
            for number, prediction_id in enumerate(IDS)
        )
        session.commit()
        yield session


def activation(item_id: str, at: datetime, mode: str = "auto", sha256: str = "0" * 64) -> SeenActivation:
    seen = {"item_id": item_id, "version": "1", "mode": mode, "by": "A. Rater", "reason": "the gate passed", "at": at}
    return SeenActivation(**seen, sha256=sha256)


@pytest.mark.parametrize(
    ("before", "item_id", "decision", "limit", "expected"),
    [
        (None, None, None, 10, [5, 4, 3, 2, 1, 0]),
        (None, None, None, 2, [5, 4]),
        (IDS[4], None, None, 2, [3, 2]),
        (IDS[0], None, None, 2, []),
        (None, "heat-1", None, 10, [4, 2, 0]),
        (None, None, "review", 10, [3, 0]),
        (IDS[3], "heat-1", "review", 10, [0]),
        (None, "asap-99", None, 10, []),
    ],
)
def test_page_is_newest_first_and_filtered(
    session: Session, before: str | None, item_id: str | None, decision: str | None, limit: int, expected: list[int]
) -> None:
    rows = page(session, before=before, limit=limit, item_id=item_id, decisions=decision and [decision])

    assert [row.prediction_id for row in rows] == [IDS[number] for number in expected]


def test_prediction_is_found_by_its_id(session: Session) -> None:
    prediction = find(session, IDS[2])

    assert prediction is not None
    assert prediction.item_id == "heat-1"
    assert find(session, IDS[2][:-1]) is None


def test_claim_is_found_by_caller_and_key(session: Session) -> None:
    claim = IdempotencyClaim(
        caller="open", idempotency_key="quiz-7", body_sha256="0" * 64, results=[{"score": 2}], created_at=NOW
    )
    session.add(claim)
    session.commit()

    assert find_claim(session, "open", "quiz-7") is claim
    assert find_claim(session, "another", "quiz-7") is None
    assert find_claim(session, "open", "quiz-8") is None


def test_activation_is_logged_once_a_change(engine: Engine, sql: Sql) -> None:
    later = NOW + timedelta(microseconds=1)

    note_activations(engine, [activation("heat-1", NOW), activation("plants-2", NOW)])
    note_activations(engine, [activation("heat-1", NOW), activation("plants-2", later, "suggest")])

    seen = sql("SELECT item_id, mode FROM seen_activations ORDER BY id")
    assert [tuple(row.values()) for row in seen] == [("heat-1", "auto"), ("plants-2", "auto"), ("plants-2", "suggest")]
    assert sql("SELECT item_id FROM seen_activations WHERE seen_at IS NULL") == []


def test_changed_file_of_the_same_time_is_another_activation(engine: Engine, sql: Sql) -> None:
    note_activations(engine, [activation("heat-1", NOW)])
    note_activations(engine, [activation("heat-1", NOW, "suggest", "1" * 64)])

    assert [row["mode"] for row in sql("SELECT mode FROM seen_activations ORDER BY id")] == ["auto", "suggest"]


def test_replicas_that_start_together_log_an_activation_once(engine: Engine, sql: Sql) -> None:
    with ThreadPoolExecutor(8) as replicas:
        list(replicas.map(lambda _: note_activations(engine, [activation("heat-1", NOW)]), range(16)))

    assert len(sql("SELECT item_id FROM seen_activations")) == 1
