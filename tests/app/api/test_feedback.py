"""Feedback from the bank that teachers wrote.  The tiny student counts words: two words are two points."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.app.api.assertions import BOTH, assert_problem, read_prediction
from tests.app.conftest import Logged, MakeKey, Serve, Sql
from tests.tiny import write_tiny_bundle

pytestmark = pytest.mark.usefixtures("models")

VERSION = "20260101T000000Z-00000001"
BANKS: dict[str, dict[str, Any]] = {
    "rain-7": {"scale": "points", "max_score": 3, "feedback": {"1": "Say where it rises.", "2": "Nearly."}},
    "wind-8": {"scale": "nominal", "labels": ["no idea", "air moves"], "feedback": {"air moves": "Yes, it moves."}},
    "snow-9": {"scale": "continuous", "min_score": 1, "max_score": 6, "feedback": {"1": "Try again.", "3.5": "Good."}},
}


@pytest.fixture
def models(models: Path) -> Path:
    for item_id, item in BANKS.items():
        write_tiny_bundle(models, item_id, item=item)
    return models


def score(client: TestClient, item_id: str, response: str, **more: Any) -> dict[str, Any]:
    reply = client.post("/score", json={"item_id": item_id, "response": response, "feedback": True} | more)
    assert reply.status_code == 200, reply.text
    scored: dict[str, Any] = reply.json()
    return scored


@BOTH
@pytest.mark.parametrize(
    ("item_id", "response", "text"),
    [
        ("rain-7", "air", "Say where it rises."),
        ("rain-7", "warm air", "Nearly."),
        ("wind-8", "warm", "Yes, it moves."),
        ("snow-9", "warm", "Try again."),
        ("snow-9", "warm air", "Good."),
    ],
)
def test_bank_feedback_for_the_score_is_returned_and_logged(
    client: TestClient, logged: Logged, item_id: str, response: str, text: str
) -> None:
    reply = score(client, item_id, response)

    assert reply["feedback"] == {"text": text, "source": "bank", "version": VERSION, "instead_because": None}
    assert reply["feedback_withheld"] is None
    assert read_prediction(client, reply)["feedback"] == reply["feedback"]
    [row] = logged()
    assert row.feedback == reply["feedback"]


@pytest.mark.parametrize(
    ("item_id", "response", "why"),
    [
        ("rain-7", "warm air goes", "no_text"),  # three points, for which the bank has no text
        ("heat-1", "warm air", "no_text"),  # no bank at all
        ("rain-7", " ", "not_scored"),
    ],
)
def test_reply_says_why_feedback_is_withheld(
    client: TestClient, sql: Sql, item_id: str, response: str, why: str
) -> None:
    reply = score(client, item_id, response)

    assert (reply["feedback"], reply["feedback_withheld"]) == (None, why)
    [row] = sql("SELECT feedback IS NULL AS absent, feedback_withheld FROM predictions")
    assert row == {"absent": 1, "feedback_withheld": why}


def test_feedback_is_returned_only_if_requested(client: TestClient, logged: Logged) -> None:
    reply = score(client, "rain-7", "warm air", feedback=False)

    assert (reply["feedback"], reply["feedback_withheld"]) == (None, None)
    assert [row.feedback for row in logged()] == [None]


def test_feedback_is_requested_row_by_row_in_a_batch(client: TestClient) -> None:
    asked = {"item_id": "rain-7", "response": "warm air", "feedback": True}
    sent = [asked, asked | {"feedback": False}, asked | {"response": "air"}, asked | {"item_id": "asap-99"}]

    results = client.post("/score/batch", json={"responses": sent}).json()["results"]

    assert [result.get("feedback") and result["feedback"]["text"] for result in results] == [
        "Nearly.", None, "Say where it rises.", None,
    ]  # fmt: skip
    assert results[3]["status"] == 404


def test_repeated_request_gets_the_first_feedback_after_the_bank_changed(serve: Serve, models: Path) -> None:
    once = {"Idempotency-Key": "feedback-1"}
    sent = {"item_id": "rain-7", "response": "warm air", "feedback": True}
    first = serve().post("/score", json=sent, headers=once)
    changed = BANKS["rain-7"] | {"feedback": {"2": "Other words."}}
    write_tiny_bundle(models, "rain-7", version="20260202T000000Z-00000002", item=changed)
    client = serve()

    again = client.post("/score", json=sent, headers=once)

    assert again.content == first.content
    assert score(client, "rain-7", "warm air")["feedback"]["text"] == "Other words."


@pytest.mark.parametrize("wanted", ["yes", 1, None, "true"])
def test_feedback_must_be_true_or_false(client: TestClient, wanted: object) -> None:
    reply = client.post("/score", json={"item_id": "rain-7", "response": "warm air", "feedback": wanted})

    assert_problem(reply, 422, "invalid-request")


def test_items_show_the_source_of_their_feedback(client: TestClient) -> None:
    sources = {item["item_id"]: item["feedback"] for item in client.get("/items").json()["items"]}

    assert (sources["rain-7"], sources["heat-1"]) == ("bank", None)


def test_caller_reads_feedback_of_its_own_predictions_only(client: TestClient, make_key: MakeKey) -> None:
    owner, other = make_key("score"), make_key("score")
    sent = {"item_id": "rain-7", "response": "warm air", "feedback": True}
    prediction = client.post("/score", json=sent, headers=owner.headers).json()

    path = f"/predictions/{prediction['prediction_id']}"
    assert client.get(path, headers=owner.headers).json()["feedback"] is not None
    assert client.get(path, headers=other.headers).status_code == 404
