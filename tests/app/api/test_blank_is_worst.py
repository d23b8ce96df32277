"""Blank responses and refusals get the worst score if a person decided so, through every door."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from app.cli.main import cli
from app.cli.shadow_comparison import Agreement, compare
from app.scoring.bundle import read_bundle
from app.scoring.conditions import Limits
from app.scoring.live_version import cast_shadow
from tests.app.api.assertions import BOTH, read_prediction
from tests.app.conftest import Serve, Sql
from tests.tiny import BY_ANA, write_tiny_bundle
from tests.waiting import until
from training.evaluation.evaluate import evaluate

pytestmark = pytest.mark.usefixtures("models")

LIMITS = Limits(refusals=("idk",), repetition=0.5)
SCALES: dict[str, dict[str, Any]] = {
    "rain-7": {"scale": "points", "max_score": 3, "feedback": {"0": "Write what you know."}},
    "snow-8": {"scale": "ordinal", "labels": ["missing", "partial", "complete"]},
    "wind-9": {"scale": "continuous", "min_score": 1, "max_score": 6},
    "note-6": {"scale": "points", "min_score": 1, "max_score": 4, "better": "lower"},
}
WORST: dict[str, tuple[float, str | None]] = {
    "rain-7": (0, None),
    "snow-8": (0, "missing"),
    "wind-9": (1, None),
    "note-6": (4, None),
}
AGAIN = "warm air warm air warm air warm air warm air"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for item_id, item in SCALES.items():
        write_tiny_bundle(folder, item_id, item=item, limits=LIMITS, blank_is_worst=BY_ANA)
    return folder


@BOTH
@pytest.mark.parametrize("item_id", SCALES)
def test_worst_score_by_rule_stands_without_a_model(client: TestClient, item_id: str) -> None:
    for response, condition in (("", "blank"), ("<p><br></p>", "blank"), ("IDK!", "refusal")):
        body = {"item_id": item_id, "response": response, "gradebook_max": 10}
        reply = client.post("/score", json=body).json()

        assert (reply["score"], reply["label"]) == WORST[item_id]
        assert (reply["decision"], reply["scored_by"], reply["condition"]) == ("auto", "rule", condition)
        assert (reply["gradebook_score"], reply["grading_progress"]) == (0, "FullyGraded")
        for name in ("confidence", "expected_score", "probabilities", "interval", "prediction_set", "teacher"):
            assert reply[name] is None
        logged = read_prediction(client, reply)
        assert logged["final"] == {
            "by": "machine", "score": reply["score"], "label": reply["label"], "gradebook_score": 0,
            "prediction_id": reply["prediction_id"],
        }  # fmt: skip


def test_other_conditions_wait_for_a_person(client: TestClient) -> None:
    reply = client.post("/score", json={"item_id": "rain-7", "response": AGAIN}).json()

    assert (reply["condition"], reply["decision"], reply["score"]) == ("repetition", "not_scorable", None)


def test_worst_score_by_rule_stands_in_mode_suggest(models: Path, serve: Serve) -> None:
    """The mode concerns scores of models, and no model gave this score."""
    write_tiny_bundle(models, "hail-1", mode="suggest", blank_is_worst=BY_ANA)
    client = serve()

    blank, answer = (
        client.post("/score", json={"item_id": "hail-1", "response": text}).json() for text in (" ", "warm air")
    )

    assert (blank["decision"], blank["score"]) == ("auto", 0)
    assert (answer["decision"], answer["score"]) == ("review", 2)


def test_human_mark_overrides_the_rule(client: TestClient) -> None:
    reply = client.post("/score", json={"item_id": "rain-7", "response": ""}).json()

    client.post(f"/predictions/{reply['prediction_id']}/review", json={"score": 2, "reviewer": "Ben"})

    final = read_prediction(client, reply)["final"]
    assert (final["by"], final["score"]) == ("human", 2)


def test_blank_response_of_a_marked_attempt_keeps_the_mark(client: TestClient) -> None:
    first, later = {"item_id": "rain-7", "response": "warm air", "attempt_id": "a-1"}, {"response": ""}
    marked = client.post("/score", json=first).json()["prediction_id"]
    client.post(f"/predictions/{marked}/review", json={"score": 3, "reviewer": "Ben"})

    blank = client.post("/score", json=first | later).json()

    assert (blank["decision"], blank["condition"], blank["flags"]) == ("review", "blank", ["marked_before"])
    final = read_prediction(client, blank)["final"]
    assert (final["by"], final["score"]) == ("human", 3)


def test_bank_feedback_is_given_for_the_worst_score(client: TestClient) -> None:
    reply = client.post("/score", json={"item_id": "rain-7", "response": "", "feedback": True}).json()

    assert reply["feedback"]["text"] == "Write what you know."
    assert reply["feedback"]["source"] == "bank"


def test_batch_and_command_line_apply_the_rule_like_post_score(
    client: TestClient, models: Path, tmp_path: Path
) -> None:
    rows = [{"item_id": item_id, "response": text} for item_id in SCALES for text in ("", "idk", "warm air", AGAIN)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))

    batch = client.post("/score/batch", json={"responses": rows}).json()["results"]
    done = CliRunner().invoke(
        cli, ["score", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "out.csv"), "--models", str(models)]
    )

    assert done.exception is None
    with (tmp_path / "out.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    names = ("score", "label", "decision", "condition", "scored_by")
    cells = [["" if reply[name] is None else str(reply[name]) for name in names] for reply in batch]
    assert cells == [[row[name] for name in names] for row in table]
    assert [row["confidence"] for row in table if row["scored_by"] == "rule"] == [""] * 3 * len(SCALES)
    assert [reply["decision"] for reply in batch[:4]] == ["auto", "auto", "auto", "not_scorable"]


def test_rule_is_left_out_of_agreement_figures(models: Path, tmp_path: Path) -> None:
    """Raters gave the blank responses three points here, yet the model's agreement is perfect."""
    texts = [("warm", 1), ("warm air", 2), ("", 3), ("idk", 3), (AGAIN, 0)]
    rows = [{"item_id": "rain-7", "response": text, "score": score} for text, score in texts]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))

    [report] = evaluate(models, tmp_path / "rows.jsonl", None)

    assert report.agreement is not None
    assert (report.agreement.n, report.agreement.exact) == (2, 1.0)
    assert (report.responses, report.by_rule, report.not_scorable, report.automatic) == (5, 2, 1, 4)


def test_comparison_of_versions_uses_the_students_scores(models: Path, serve: Serve, sql: Sql, engine: Any) -> None:
    from sqlalchemy.orm import Session

    new = "20260202T000000Z-00000002"
    active = (models / "rain-7" / "ACTIVE").read_text()
    write_tiny_bundle(models, "rain-7", version=new, item=SCALES["rain-7"], limits=LIMITS)
    (models / "rain-7" / "ACTIVE").write_text(active)
    cast_shadow(models / "rain-7", new, by="Ana")
    client = serve()
    for text in ("", "idk", "warm air"):
        reply = client.post("/score", json={"item_id": "rain-7", "response": text}).json()
        client.post(f"/predictions/{reply['prediction_id']}/review", json={"score": 2, "reviewer": "Ben"})
    until(lambda: len(sql("SELECT * FROM shadow_versions")) == 3)

    with Session(engine) as session:
        comparison = compare(session, read_bundle(models / "rain-7" / "20260101T000000Z-00000001").bundle, new)

    assert (comparison.n, comparison.between.n, comparison.shadow_with_people.n) == (3, 1, 1)
    assert comparison.live_with_people == Agreement(1, 1.0, None, 0.0)
    assert comparison.live_stands == comparison.shadow_stands


def test_author_of_the_rule_is_shown_and_logged(client: TestClient, sql: Sql) -> None:
    assert client.get("/items/rain-7").json()["blank_is_worst"] == {
        "by": "Ana", "at": "2026-01-02T00:00:00Z", "reason": "an empty answer earns nothing",
    }  # fmt: skip
    [activation] = sql("SELECT reason FROM seen_activations WHERE item_id = 'rain-7'")
    assert activation["reason"].startswith("to test; ")
    assert activation["reason"].endswith("Ana: an empty answer earns nothing")
