"""Human marks always win, and no earlier score or mark is lost."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.scoring.bundle import STUDENT
from tests.app.api.assertions import BOTH, CANARY, assert_problem, body, read_prediction
from tests.app.conftest import MakeKey, Serve, Sql
from tests.tiny import write_tiny_bundle

TEACHER = {"reviewer": "A. Teacher"}


def scored(client: TestClient, **fields: Any) -> dict[str, Any]:
    reply: dict[str, Any] = client.post("/score", json=body(**fields)).json()
    return reply


def review(client: TestClient, prediction: dict[str, Any], **mark: Any) -> Any:
    return client.post(f"/predictions/{prediction['prediction_id']}/review", json=TEACHER | mark)


def read(client: TestClient, prediction: dict[str, Any]) -> dict[str, Any]:
    logged: dict[str, Any] = read_prediction(client, prediction)
    return logged


@BOTH
def test_human_mark_wins_and_both_scores_are_kept(client: TestClient) -> None:
    prediction = scored(client, response="warm air goes", gradebook_max=10)

    reply = review(client, prediction, score=1, reason="Only one idea.")

    assert reply.status_code == 201
    marked = reply.json()
    assert (marked["score"], marked["gradebook_score"]) == (3, 10.0)  # the machine's score stays
    assert marked["final"] == {
        "by": "human", "score": 1, "label": None, "gradebook_score": 10 / 3,
        "prediction_id": prediction["prediction_id"],
    }  # fmt: skip
    [mark] = marked["human_marks"]
    assert mark["marked_at"] > marked["created_at"]
    assert mark | {"marked_at": None} == {
        "score": 1, "label": None, "gradebook_score": 10 / 3, "reviewer": "A. Teacher", "reason": "Only one idea.",
        "marked_at": None,
    }  # fmt: skip
    assert marked["grading_progress"] == "FullyGraded"
    assert read(client, prediction) == marked
    assert client.get("/predictions").json()["predictions"] == [marked]


@BOTH
def test_newest_mark_counts_after_the_clock_was_set_back(client: TestClient, sql: Sql) -> None:
    """The first mark has an id from the future, as if the clock had run ahead."""
    prediction = scored(client, response="warm air goes")
    review(client, prediction, score=1)
    sql("UPDATE human_marks SET id = 'ffffff00' || substr(id, 9)")

    reply = review(client, prediction, score=2)

    assert reply.json()["final"]["score"] == read(client, prediction)["final"]["score"] == 2
    assert [mark["score"] for mark in reply.json()["human_marks"]] == [2, 1]


@BOTH
def test_newest_mark_counts_and_all_marks_are_kept(client: TestClient) -> None:
    prediction = scored(client, response="warm air goes")

    for score in (1, 2, 0):
        review(client, prediction, score=score)

    logged = read(client, prediction)
    assert [mark["score"] for mark in logged["human_marks"]] == [0, 2, 1]
    assert logged["final"]["score"] == 0


@pytest.mark.parametrize(
    ("item_id", "response", "by", "progress"),
    [
        ("heat-1", "warm air", "machine", "FullyGraded"),  # decision auto
        ("tides-4", "warm air", None, "PendingManual"),  # a suggestion
        ("heat-1", " ", None, "PendingManual"),  # blank
    ],
)
def test_without_a_mark_only_auto_scores_are_final(
    client: TestClient, item_id: str, response: str, by: str | None, progress: str
) -> None:
    logged = read(client, scored(client, item_id=item_id, response=response))

    machine = {"score": 2, "label": None, "gradebook_score": None, "prediction_id": logged["prediction_id"]}
    assert logged["final"] == (by and {"by": by} | machine)
    assert logged["grading_progress"] == progress
    assert logged["human_marks"] == []


def test_unscored_response_can_be_marked(client: TestClient) -> None:
    prediction = scored(client, response=" ", gradebook_max=10)

    marked = review(client, prediction, score=0).json()

    assert (marked["score"], marked["decision"]) == (None, "not_scorable")
    assert (marked["final"]["by"], marked["final"]["score"], marked["final"]["gradebook_score"]) == ("human", 0, 0.0)
    assert marked["grading_progress"] == "FullyGraded"


@pytest.mark.parametrize(
    ("item_id", "mark", "final"),
    [
        ("heat-1", {"score": 3.0}, (3, None)),
        ("plants-2", {"label": "partial"}, (1, "partial")),  # ordinal: the label and its rank
        ("belief-3", {"label": "air moves"}, (None, "air moves")),
        ("shade-6", {"score": 2.35}, (2.35, None)),
    ],
)
def test_marks_follow_the_kind_of_scale(
    client: TestClient, item_id: str, mark: dict[str, Any], final: tuple[Any, Any]
) -> None:
    standing = review(client, scored(client, item_id=item_id), **mark).json()["final"]

    assert (standing["score"], standing["label"]) == final


@pytest.mark.parametrize(
    ("item_id", "mark", "code"),
    [
        ("heat-1", {"score": 4}, "not_a_score"),
        ("heat-1", {"score": 1.5}, "not_a_score"),
        ("heat-1", {"score": -1}, "not_a_score"),
        ("heat-1", {"label": "good"}, "not_a_score"),
        ("heat-1", {"score": 1, "label": "good"}, "not_a_score"),
        ("heat-1", {}, "not_a_score"),
        ("shade-6", {"score": 0.5}, "not_a_score"),
        ("plants-2", {"score": 1}, "not_a_label"),
        ("belief-3", {"label": CANARY}, "not_a_label"),
    ],
)
def test_mark_off_the_scale_is_refused(
    client: TestClient, sql: Sql, item_id: str, mark: dict[str, Any], code: str
) -> None:
    reply = review(client, scored(client, item_id=item_id), **mark)

    assert_problem(reply, 422, "bad-mark", code)
    assert CANARY not in reply.text
    assert sql("SELECT * FROM human_marks") == []


@pytest.mark.parametrize(
    "mark",
    [
        {"score": "1"},
        {"score": True},
        {"score": 1, "reviewer": ""},
        {"score": 1, "reviewer": "  "},
        {"score": 1, "reviewer": "a\0b"},
        {"score": 1, "reviewer": "x" * 201},
        {"score": 1, "reason": "\ud800"},
        {"score": 1, "final": True},
        {"score": 1e400},
        {"score": 10**400},
    ],
)
def test_malformed_mark_is_refused(client: TestClient, mark: dict[str, Any]) -> None:
    prediction = scored(client)
    path = f"/predictions/{prediction['prediction_id']}/review"
    import json

    reply = client.post(path, content=json.dumps(TEACHER | mark), headers={"Content-Type": "application/json"})

    assert_problem(reply, 422, "invalid-request")


def test_mark_needs_a_reviewer(client: TestClient) -> None:
    path = f"/predictions/{scored(client)['prediction_id']}/review"

    assert_problem(client.post(path, json={"score": 1}), 422, "invalid-request")


def test_unknown_prediction_cannot_be_marked(client: TestClient) -> None:
    assert_problem(review(client, {"prediction_id": uuid.uuid4()}, score=1), 404, "unknown-prediction")


@BOTH
def test_score_key_reads_marks_but_cannot_give_marks(serve: Serve, make_key: MakeKey, sql: Sql) -> None:
    scorer, other, reviewer = make_key("score"), make_key("score"), make_key("review")
    client = serve()
    prediction = client.post("/score", json=body(), headers=scorer.headers).json()
    path = f"/predictions/{prediction['prediction_id']}"
    mark = TEACHER | {"score": 0}

    assert_problem(client.post(f"{path}/review", json=mark), 401, "unauthorized")
    assert_problem(client.post(f"{path}/review", json=mark, headers=scorer.headers), 403, "forbidden")
    assert client.post(f"{path}/review", json=mark, headers=reviewer.headers).status_code == 201

    assert client.get(path, headers=scorer.headers).json()["final"]["by"] == "human"
    assert_problem(client.get(path, headers=other.headers), 404, "unknown-prediction")
    assert sql("SELECT key_id FROM human_marks") == [{"key_id": reviewer.id}]


@BOTH
def test_unmarked_predictions_can_be_listed(client: TestClient) -> None:
    waiting, done, alone = (scored(client, item_id=item_id) for item_id in ("tides-4", "tides-4", "heat-1"))
    review(client, done, score=1)

    def listed(**query: Any) -> list[str]:
        return [row["prediction_id"] for row in client.get("/predictions", params=query).json()["predictions"]]

    ids = [prediction["prediction_id"] for prediction in (waiting, done, alone)]
    assert listed(decision="review", marked=False) == [ids[0]]
    assert listed(marked=True) == [ids[1]]
    assert listed(marked=False) == [ids[2], ids[0]]
    assert listed() == ids[::-1]
    unread = scored(client, item_id="heat-1", response="")["prediction_id"]  # no model scored it
    assert listed(decision=["review", "not_scorable"], marked=False) == [unread, ids[0]]


@BOTH
@pytest.mark.parametrize("fate", ["withdrawn", "refused", "scored on another scale"])
def test_prediction_is_marked_on_its_own_scale_after_the_item_changed(serve: Serve, models: Path, fate: str) -> None:
    before = serve()
    prediction = scored(before, response="warm air goes", gradebook_max=9)
    folder = models / "heat-1"
    if fate == "withdrawn":
        folder.rename(models / ".heat-1")
    elif fate == "refused":
        (folder / prediction["bundle_version"] / STUDENT).write_bytes(b"altered")
    else:
        write_tiny_bundle(models, item={"scale": "points", "max_score": 2}, version="20260303T000000Z-00000003")
    client = serve()

    marked = review(client, prediction, score=3)

    assert marked.status_code == 201
    assert (marked.json()["final"]["score"], marked.json()["final"]["gradebook_score"]) == (3, 9)
    assert_problem(review(client, prediction, score=4), 422, "bad-mark")
    assert marked.json()["scale"] == {
        "scale": "points", "min_score": None, "max_score": 3, "labels": None, "better": "higher",
    }  # fmt: skip


def test_prediction_without_a_stored_scale_cannot_be_marked(client: TestClient, sql: Sql) -> None:
    """Earlier versions logged no scale."""
    prediction = scored(client)
    sql("UPDATE predictions SET scale = NULL")

    assert_problem(review(client, prediction, score=1), 422, "bad-mark", "no_scale_kept")
    assert read(client, prediction)["scale"] is None


def test_mark_that_cannot_be_committed_is_a_problem(client: TestClient, sql: Sql) -> None:
    prediction = scored(client)
    sql("ALTER TABLE human_marks RENAME TO gone")

    assert_problem(review(client, prediction, score=1), 503, "database-unavailable")
