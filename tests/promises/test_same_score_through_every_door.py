"""Promise 2: a response gets the same score through POST /score, the batch, `score` and `evaluate`."""

import csv
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.editors import FORMS
from tests.programs import run, serving
from tests.tiny import write_tiny_bundle
from tests.waiting import HANGS

PLAIN = "warm air. air < 3"
TEXTS = [
    "warm", "warm air", "", "warm air goes up", "cold air sinks, 3/4 of it", "Ω → ∞ 🙂", "so, =1+1", "<p><br></p>",
    PLAIN, *(form(PLAIN) for form in FORMS.values()),
]  # fmt: skip


def post(address: str, path: str, body: Any) -> Any:
    request = urllib.request.Request(  # noqa: S310
        f"{address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=HANGS) as reply:  # noqa: S310
        return json.load(reply)


def as_row(prediction: dict[str, Any]) -> tuple[str, ...]:
    names = ("item_id", "label", "decision", "condition", "bundle_version")
    return tuple("" if prediction[name] in (None, "") else str(prediction[name]) for name in names)


def number(cell: Any) -> float | None:
    return None if cell in (None, "") else float(cell)


def test_every_door_gives_the_same_rows(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "models", "heat-1")
    write_tiny_bundle(tmp_path / "models", "heat-2", item={"scale": "ordinal", "labels": ["poor", "fair", "good"]})
    write_tiny_bundle(tmp_path / "models", "heat-3", item={"scale": "continuous", "min_score": 1, "max_score": 6})
    marks: dict[str, dict[str, Any]] = {"heat-1": {"score": 1}, "heat-2": {"label": "fair"}, "heat-3": {"score": 2.5}}
    rows: list[dict[str, Any]] = [{"item_id": item, "response": text} | marks[item] for text in TEXTS for item in marks]
    responses = tmp_path / "marked.jsonl"
    responses.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {
        "SCORELET_MODELS_DIR": tmp_path / "models",
        "SCORELET_DATABASE_URL": f"sqlite:///{tmp_path / 'log.db'}",
    }
    run("scorelet", "db", "upgrade", SCORELET_DATABASE_URL=settings["SCORELET_DATABASE_URL"])

    bodies = [{"item_id": row["item_id"], "response": row["response"]} for row in rows]
    with serving(**settings) as (_, address):  # type: ignore[arg-type]
        single = [post(address, "/score", body) for body in bodies]
        batch = post(address, "/score/batch", {"responses": bodies})["results"]
    out, predictions = tmp_path / "out.csv", tmp_path / "predictions.csv"
    models = ("--models", tmp_path / "models")
    assert run("scorelet", "score", responses, *models, "--out", out).returncode == 0
    evaluated = run("scorelet-train", "evaluate", *models, "--responses", responses, "--predictions", predictions)
    assert evaluated.returncode == 0, evaluated.stderr

    assert out.read_text() == predictions.read_text()
    with out.open(newline="") as file:
        scored = list(csv.DictReader(file))
    assert list(map(as_row, single)) == list(map(as_row, batch)) == list(map(as_row, scored))
    for answers in zip(single, batch, scored, strict=True):
        for name in ("score", "confidence", "expected_score"):
            numbers = [number(answer[name]) for answer in answers]
            assert numbers == [pytest.approx(numbers[0], abs=1e-5)] * 3 if numbers[0] is not None else [None] * 3
    for item_id in marks:
        of_item = [prediction for prediction in single if prediction["item_id"] == item_id]
        forms = [(prediction["score"], prediction["confidence"]) for prediction in of_item[TEXTS.index(PLAIN) :]]
        assert forms == [forms[0]] * (1 + len(FORMS))
    assert [row["response"] for row in scored] == [row["response"] for row in rows]  # as in the input file
