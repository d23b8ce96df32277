"""A continuous item through every route.  The tiny student gives 1 and 1.25 more per word, up to 6."""

import uuid
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from tests.app.api.assertions import BOTH, read_prediction
from tests.app.conftest import Logged, Sql

ALL_FOUR, HALF, QUARTER = "warm air goes up", "warm air", "warm"


def body(response: str, **more: Any) -> dict[str, Any]:
    return {"item_id": "shade-6", "response": response} | more


def score(client: TestClient, response: str, **more: Any) -> Response:
    reply = client.post("/score", json=body(response, **more))
    assert reply.status_code == 200, reply.text
    return reply


@BOTH
def test_reply_for_a_grade_has_every_field(client: TestClient) -> None:
    reply = score(client, HALF, gradebook_max=10).json()

    assert uuid.UUID(reply.pop("prediction_id")).version == 7
    assert reply == {
        "item_id": "shade-6",
        "bundle_version": "20260101T000000Z-00000001",
        "scored_by": "student",
        "score": 3.5,
        "label": None,
        "expected_score": 3.5,
        "max_score": 6,
        "gradebook_score": 5.0,  # as far from 0 to 10 as the grade is from 1 to 6
        "probabilities": None,
        "interval": [pytest.approx(2.6776, abs=1e-4), pytest.approx(4.3224, abs=1e-4)],
        "prediction_set": None,
        "confidence": pytest.approx(0.6827, abs=1e-4),
        "first_score": None,
        "teacher": None,
        "decision": "review",
        "condition": None,
        "flags": [],
        "feedback": None,
        "feedback_withheld": None,
        "grading_progress": "PendingManual",
    }


@BOTH
def test_row_is_committed_before_the_reply(client: TestClient, logged: Logged) -> None:
    reply = score(client, QUARTER, gradebook_max=10).json()

    [row] = logged()
    recorded = {name: getattr(row, name) for name in reply if name != "grading_progress"}
    assert recorded == {name: value for name, value in reply.items() if name != "grading_progress"}
    assert (row.score, row.gradebook_score) == (2.25, 2.5)


@BOTH
def test_grades_store_no_probabilities_and_points_store_no_interval(client: TestClient, sql: Sql) -> None:
    score(client, HALF)
    client.post("/score", json={"item_id": "heat-1", "response": HALF})

    of_grades = sql("SELECT item_id FROM predictions WHERE probabilities IS NULL AND interval IS NOT NULL")
    of_points = sql("SELECT item_id FROM predictions WHERE probabilities IS NOT NULL AND interval IS NULL")
    without_set = sql("SELECT item_id FROM predictions WHERE prediction_set IS NULL")
    assert of_grades == without_set == [{"item_id": "shade-6"}]
    assert of_points == [{"item_id": "heat-1"}]


@BOTH
def test_grade_can_be_read_from_the_log(client: TestClient) -> None:
    scored = score(client, QUARTER, gradebook_max=10).json()

    read = read_prediction(client, scored)
    [listed] = client.get("/predictions").json()["predictions"]

    assert read.items() >= scored.items()
    assert listed == read


@BOTH
def test_every_route_shows_whole_numbers_without_a_fraction(client: TestClient) -> None:
    scored = score(client, ALL_FOUR)
    batch = client.post("/score/batch", json={"responses": [body(ALL_FOUR)]})
    read = client.get(f"/predictions/{scored.json()['prediction_id']}")
    item = client.get("/items/shade-6")

    for reply in (scored, batch, read):
        assert '"score":6,' in reply.text
        assert '"max_score":6,' in reply.text
    assert '"min_score":1,"max_score":6,' in item.text


@pytest.mark.parametrize(
    ("response", "decision", "progress"),
    [(ALL_FOUR, "auto", "FullyGraded"), (HALF, "review", "PendingManual")],  # confidence .84 and .68, threshold .8
)
def test_confidence_decides_on_grades_as_on_points(
    client: TestClient, response: str, decision: str, progress: str
) -> None:
    reply = score(client, response).json()

    assert (reply["decision"], reply["grading_progress"]) == (decision, progress)


@pytest.mark.parametrize(
    ("words", "gradebook_max", "gradebook_score"),
    [
        (1, 10, 2.5),
        (4, 10, 10.0),
        (9, 6.666, 6.666),
        (3, 1_000_000, 750_000.0),
        (2, None, None),
    ],
)
def test_gradebook_score_is_zero_at_the_worst_grade(
    client: TestClient, words: int, gradebook_max: float | None, gradebook_score: float | None
) -> None:
    assert score(client, "air " * words, gradebook_max=gradebook_max).json()["gradebook_score"] == gradebook_score


def test_batch_of_mixed_items_equals_single_calls(client: TestClient) -> None:
    rows = [
        {"item_id": item_id, "response": text, "gradebook_max": 7}
        for text in (QUARTER, "", ALL_FOUR, "a Ω → ∞ 🙂 and more", HALF)
        for item_id in ("shade-6", "heat-1")
    ]

    together = client.post("/score/batch", json={"responses": rows}).json()["results"]

    for result, row in zip(together, rows, strict=True):
        alone = client.post("/score", json=row).json()
        del alone["prediction_id"], result["prediction_id"]
        for name in ("probabilities", "interval", "confidence", "expected_score"):
            assert result.pop(name) == pytest.approx(alone.pop(name), abs=1e-5)
        assert result == alone


def test_blank_response_has_neither_grade_nor_interval(client: TestClient) -> None:
    reply = score(client, " ", gradebook_max=10).json()

    nulls = ("score", "expected_score", "probabilities", "interval", "confidence", "gradebook_score")
    assert [reply[name] for name in nulls] == [None] * 6
    assert (reply["decision"], reply["condition"], reply["max_score"]) == ("not_scorable", "blank", 6)


@BOTH
@pytest.mark.parametrize("path", ["/score", "/score/batch"])
def test_repeated_call_gets_the_stored_grade(client: TestClient, logged: Logged, path: str) -> None:
    sent = body(HALF) if path == "/score" else {"responses": [body(HALF), body(ALL_FOUR), body("")]}
    once = {"Idempotency-Key": "quiz-7"}

    first = client.post(path, json=sent, headers=once)
    rows = len(logged())
    again = client.post(path, json=sent, headers=once)

    assert first.status_code == 200
    assert again.content == first.content
    assert len(logged()) == rows
