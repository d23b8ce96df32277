"""The newest human mark on any prediction of an attempt stands for the whole attempt."""

from typing import Any

import pytest
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from app.scoring.scale import Scale
from app.storage.api_keys import rotate
from tests.app.api.assertions import BOTH, body, read_prediction
from tests.app.conftest import MakeKey, Serve, Sql
from tests.tiny import write_tiny_bundle

WORDS = "warm air goes"  # full marks
ATTEMPT = {"response": WORDS, "attempt_id": "quiz-7/attempt-2", "gradebook_max": 10}


def scored(client: TestClient, headers: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    reply: dict[str, Any] = client.post("/score", json=body(**ATTEMPT | fields), headers=headers).json()
    return reply


def mark(
    client: TestClient,
    prediction: dict[str, Any],
    score: float | None = None,
    headers: dict[str, str] | None = None,
    label: str | None = None,
) -> None:
    path = f"/predictions/{prediction['prediction_id']}/review"
    reply = client.post(path, json={"score": score, "label": label, "reviewer": "A. Teacher"}, headers=headers)
    assert reply.status_code == 201, reply.text


def final(client: TestClient, prediction: dict[str, Any]) -> dict[str, Any]:
    standing: dict[str, Any] = read_prediction(client, prediction)["final"]
    return standing


@BOTH
def test_newer_machine_scores_do_not_override_a_mark(client: TestClient) -> None:
    first = scored(client)
    again = scored(client)
    mark(client, first, 1)

    newer = scored(client, gradebook_max=100)

    assert (first["decision"], again["decision"], again["flags"]) == ("auto", "auto", [])
    assert (newer["decision"], newer["flags"]) == ("review", ["marked_before"])
    assert newer["grading_progress"] == "PendingManual"
    assert (newer["score"], newer["gradebook_score"]) == (3, 100)  # the machine's scores stay unchanged
    read = read_prediction(client, newer)
    assert read["final"] == {
        "by": "human", "score": 1, "label": None, "gradebook_score": 100 / 3, "prediction_id": first["prediction_id"],
    }  # fmt: skip
    assert (read["human_marks"], read["grading_progress"]) == ([], "FullyGraded")
    assert client.get("/predictions", params={"limit": 1}).json()["predictions"] == [read]
    assert final(client, again)["gradebook_score"] == 10 / 3


@BOTH
def test_newest_mark_on_any_prediction_of_an_attempt_stands(client: TestClient, sql: Sql) -> None:
    first, second = scored(client), scored(client)
    mark(client, second, 1)
    sql("UPDATE human_marks SET id = 'ffffff00' || substr(id, 9)")  # as if the clock had run ahead

    for prediction, score in ((first, 2), (second, 0), (first, 3)):
        mark(client, prediction, score)
        wanted = ("human", score, prediction["prediction_id"])
        for sibling in (first, second):
            standing = final(client, sibling)
            assert (standing["by"], standing["score"], standing["prediction_id"]) == wanted

    assert len(read_prediction(client, first)["human_marks"]) == 2


@BOTH
def test_marked_attempts_are_looked_up_row_by_row_in_a_batch(client: TestClient) -> None:
    mark(client, scored(client), 1)
    mark(client, scored(client, item_id="plants-2", attempt_id="quiz-9"), label="partial")
    changes: list[dict[str, Any]] = [
        {"attempt_id": "quiz-7/attempt-3"},
        {"attempt_id": None},
        {"item_id": "plants-2"},  # another item under the attempt_id of a marked attempt
        {"attempt_id": "quiz-9"},
        {},
        {"response": " "},
        {"item_id": "gone"},
    ]

    batch = {"responses": [body(**ATTEMPT | change) for change in changes]}
    results = client.post("/score/batch", json=batch).json()["results"]

    assert [(result.get("decision"), result.get("flags")) for result in results] == [
        ("auto", []),
        ("auto", []),
        ("auto", []),
        ("auto", []),
        ("review", ["marked_before"]),
        ("not_scorable", ["marked_before"]),  # nothing was scored, and the mark still stands
        (None, None),
    ]
    assert final(client, results[5])["score"] == 1
    listed = client.get("/predictions", params={"limit": 6}).json()["predictions"]
    authors = {prediction["prediction_id"]: prediction["final"]["by"] for prediction in listed}
    assert [authors[result["prediction_id"]] for result in results[:6]] == ["machine"] * 4 + ["human"] * 2


@BOTH
def test_attempts_of_different_callers_are_separate(serve: Serve, make_key: MakeKey, engine: Engine) -> None:
    from datetime import timedelta

    from sqlalchemy.orm import Session

    school, other, reviewer = make_key("score"), make_key("score"), make_key("review")
    client = serve()
    mark(client, scored(client, school.headers), 1, reviewer.headers)
    with Session(engine) as session, session.begin():
        rotated = rotate(session, school.id, timedelta(days=1))
    assert rotated is not None

    assert scored(client, other.headers)["decision"] == "auto"
    assert scored(client, school.headers)["decision"] == "review"
    rotated_key = {"Authorization": f"Bearer {rotated[1]}"}
    assert scored(client, rotated_key)["decision"] == "review"


@BOTH
def test_repeated_call_gets_the_first_reply_despite_a_later_mark(client: TestClient) -> None:
    mark(client, scored(client), 1)
    headers = {"Idempotency-Key": "quiz-7"}

    first, again = scored(client, headers), scored(client, headers)

    assert (first["decision"], first["flags"]) == ("review", ["marked_before"])
    assert again == first


@BOTH
def test_mark_given_during_scoring_stands(client: TestClient) -> None:
    """The reply comes too early to know of the mark; reading the prediction shows it."""
    first = scored(client)
    late: list[bool] = []

    def give(*executed: Any) -> None:
        if "INSERT INTO predictions" in executed[2] and not late:
            late.append(True)
            mark(client, first, 1)

    event.listen(Engine, "before_cursor_execute", give)
    try:
        newer = scored(client)
    finally:
        event.remove(Engine, "before_cursor_execute", give)

    assert late
    assert newer["decision"] == "auto"
    assert final(client, newer)["score"] == 1


def test_gradebook_score_of_a_mark_follows_the_scale_of_the_marked_prediction(serve: Serve, models: Any) -> None:
    first = scored(serve())
    client = serve()
    mark(client, first, 1)
    write_tiny_bundle(models, item={"scale": "points", "max_score": 9}, version="20260303T000000Z-00000003")

    client = serve()
    newer = scored(client)

    assert newer["max_score"] == 9
    assert (final(client, newer)["score"], final(client, newer)["gradebook_score"]) == (1, 10 / 3)
    mark(client, newer, 6)
    assert final(client, first)["gradebook_score"] == pytest.approx(20 / 3)


def test_prediction_shows_its_scale(client: TestClient) -> None:
    read = client.get(f"/predictions/{scored(client, item_id='shade-6')['prediction_id']}").json()

    assert Scale(**read["scale"]) == Scale(scale="continuous", min_score=1, max_score=6)
