"""Items whose points do not begin at 0, or whose smallest score is the best."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.cli.shadow_comparison import compare
from app.scoring.live_version import ACTIVE, cast_shadow
from app.scoring.registry import Registry
from tests.app.api.assertions import assert_problem, body
from tests.app.conftest import Serve, Sql
from tests.tiny import BY_ANA, write_tiny_bundle
from tests.waiting import until

OLD, NEW = "20260101T000000Z-00000001", "20260202T000000Z-00000002"
GERMAN: dict[str, Any] = {"scale": "points", "min_score": 1, "max_score": 6, "better": "lower"}
SCALES: dict[str, dict[str, Any]] = {
    "german-1": GERMAN | {"feedback": {"1": "Excellent.", "6": "Read it again."}},  # the score is 1 + words
    "zero-2": {"scale": "points", "min_score": -2, "max_score": 2},  # -2 + words
    "grade-3": GERMAN | {"scale": "continuous"},  # 1 + 1.25 a word
}


@pytest.fixture(autouse=True)
def scales(models: Path) -> None:
    for item_id, item in SCALES.items():
        write_tiny_bundle(models, item_id, item=item, blank_is_worst=BY_ANA)


@pytest.fixture
def served(scales: None, serve: Serve) -> TestClient:  # noqa: ARG001  # writes the bundles first
    return serve()


def scored(client: TestClient, item_id: str, words: int, **fields: Any) -> dict[str, Any]:
    sent = body(item_id=item_id, response=" ".join(["air"] * words), gradebook_max=10, **fields)
    reply: dict[str, Any] = client.post("/score", json=sent).json()
    return reply


@pytest.mark.parametrize(
    ("item_id", "words", "score", "place"),
    [
        ("german-1", 1, 2, 8),
        ("german-1", 4, 5, 2),
        ("german-1", 9, 6, 0),
        ("german-1", 0, 6, 0),  # blank: the worst score by rule
        ("zero-2", 1, -1, 2.5),
        ("zero-2", 2, 0, 5),
        ("zero-2", 9, 2, 10),
        ("zero-2", 0, -2, 0),
        ("grade-3", 2, 3.5, 5),
        ("grade-3", 9, 6, 0),
        ("grade-3", 0, 6, 0),
    ],
)
def test_scores_map_onto_the_gradebook(
    served: TestClient, item_id: str, words: int, score: float, place: float
) -> None:
    reply = scored(served, item_id, words)

    assert (reply["score"], reply["gradebook_score"]) == (score, pytest.approx(place))
    if words and reply["interval"]:
        assert 1 <= reply["interval"][0] <= score <= reply["interval"][1] <= 6
    elif words:
        assert reply["expected_score"] == pytest.approx(score, abs=0.1)
        assert score in reply["prediction_set"]


def test_bank_feedback_is_chosen_by_score(served: TestClient) -> None:
    assert scored(served, "german-1", 9, feedback=True)["feedback"]["text"] == "Read it again."
    assert scored(served, "german-1", 0, feedback=True)["feedback"]["text"] == "Read it again."
    assert scored(served, "german-1", 2, feedback=True)["feedback_withheld"] == "no_text"


@pytest.mark.parametrize(
    ("item_id", "marks", "off"),
    [
        ("german-1", {1: 10, 6: 0, 3: 6}, [0, 7, 1.5]),
        ("zero-2", {-2: 0, 2: 10}, [-3, 3]),
        ("grade-3", {1: 10, 2.5: 7}, [0.9, 6.1]),
    ],
)
def test_marks_are_checked_against_the_scores_of_the_scale(
    served: TestClient, item_id: str, marks: dict[float, float], off: list[float]
) -> None:
    path = f"/predictions/{scored(served, item_id, 2)['prediction_id']}/review"

    for mark, place in marks.items():
        final = served.post(path, json={"score": mark, "reviewer": "Ana"}).json()["final"]
        assert (final["score"], final["gradebook_score"]) == (mark, place)
    for mark in off:
        assert_problem(served.post(path, json={"score": mark, "reviewer": "Ana"}), 422, "bad-mark")


def test_item_shows_its_best_end(served: TestClient) -> None:
    items = {item["item_id"]: item for item in served.get("/items").json()["items"]}

    ends = {name: (items[name]["min_score"], items[name]["max_score"], items[name]["better"]) for name in SCALES}
    assert ends == {"german-1": (1, 6, "lower"), "zero-2": (-2, 2, "higher"), "grade-3": (1, 6, "lower")}
    assert (items["heat-1"]["min_score"], items["heat-1"]["better"]) == (None, "higher")


def test_shadow_is_logged_and_compared_in_scores(serve: Serve, models: Path, sql: Sql, engine: Engine) -> None:
    before = (models / "german-1" / ACTIVE).read_text()
    write_tiny_bundle(models, "german-1", item=SCALES["german-1"], version=NEW)
    (models / "german-1" / ACTIVE).write_text(before)
    cast_shadow(models / "german-1", NEW, by="Ana")
    client = serve()

    prediction = scored(client, "german-1", 2)
    client.post(f"/predictions/{prediction['prediction_id']}/review", json={"score": 5, "reviewer": "Ana"})
    until(lambda: len(sql("SELECT * FROM shadow_versions")) == 1)

    [row] = sql("SELECT score, expected_score FROM shadow_versions")
    assert (row["score"], row["expected_score"]) == (3, pytest.approx(3, abs=0.1))
    with Session(engine) as session:
        comparison = compare(session, Registry.from_folder(models).live["german-1"].bundle, NEW)
    assert (comparison.between.distance, comparison.live_with_people.distance) == (0, 2)
