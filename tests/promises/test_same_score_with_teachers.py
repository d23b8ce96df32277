"""Promise 2 where teachers are asked: a response is scored the same through every door, whoever scores it."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.programs import run, serving
from tests.promises.test_same_score_through_every_door import number, post
from tests.tiny import write_tiny_bundle
from tests.tiny_teacher import SURE, fall_back, item_of, write_tiny_teacher

TEXTS = [
    "warm",
    "warm air",
    "",
    "warm air goes",
    "cold air goes up",
    "cold air sinks, 3/4 of it",
    "Ω → ∞ 🙂",
    "=1+1",
    "heat " * 80,
]
SCALES: dict[str, dict[str, Any]] = {
    "points": {"scale": "points", "max_score": 3},
    "ordinal": {"scale": "ordinal", "labels": ["poor", "fair", "good"]},
    "nominal": {"scale": "nominal", "labels": ["no idea", "heat is a thing", "air moves"]},
    "continuous": {"scale": "continuous", "min_score": 1, "max_score": 6},
    "suggested": {"scale": "points", "max_score": 3},
    "shadowed": {"scale": "points", "max_score": 3},
    "shared": {"scale": "points", "max_score": 3},  # by two questions, which the teacher reads first
}
MARKS: dict[str, dict[str, Any]] = {"ordinal": {"label": "fair"}, "nominal": {"label": "air moves"}}
SURE_OF_GRADES = 0.75  # of a grade between .6827 is sure, at an end .84
NAMES = ("item_id", "label", "decision", "condition", "bundle_version", "scored_by")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every item falls back on a teacher of its own; one only suggests, one has its teacher in the shadow."""
    folder = tmp_path_factory.mktemp("doors")
    models = folder / "models"
    for name, scale in SCALES.items():
        threshold = SURE_OF_GRADES if name == "continuous" else SURE
        item = item_of(write_tiny_bundle(models, name, item=scale, threshold=threshold))
        context = "heat rises" if name == "shared" else ""
        write_tiny_teacher(models, [item], name=f"of-{name}", threshold=threshold, context=context)
        fall_back(
            models,
            name,
            "shadow" if name == "shadowed" else "unsure",
            name=f"of-{name}",
            mode="suggest" if name == "suggested" else "auto",
        )
    rows = [{"item_id": name, "response": text} | MARKS.get(name, {"score": 2}) for text in TEXTS for name in SCALES]
    (folder / "marked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def doors(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What comes out of each, row by row."""
    settings: dict[str, Any] = {
        "SCORELET_MODELS_DIR": folder / "models",
        "SCORELET_DATABASE_URL": f"sqlite:///{folder / 'log.db'}",
        "SCORELET_FALLBACK_TIMEOUT": 30,
    }
    assert run("scorelet", "db", "upgrade", **settings).returncode == 0
    bodies = [
        {"item_id": row["item_id"], "response": row["response"]}
        for row in map(json.loads, (folder / "marked.jsonl").read_text().splitlines())
    ]
    with serving(**settings) as (_, address):
        single = [post(address, "/score", body) for body in bodies]
        batch = post(address, "/score/batch", {"responses": bodies})["results"]
    models = ("--models", folder / "models")
    scored = run("scorelet", "score", folder / "marked.jsonl", *models, "--out", folder / "out.csv")
    assert scored.returncode == 0, scored.stderr
    evaluated = run(
        "scorelet-train", "evaluate", *models, "--responses", folder / "marked.jsonl",
        "--predictions", folder / "predictions.csv", "--json", folder / "figures.json",
    )  # fmt: skip
    assert evaluated.returncode == 0, evaluated.stderr
    with (folder / "out.csv").open(newline="") as file:
        return {"POST /score": single, "POST /score/batch": batch, "scorelet score": list(csv.DictReader(file))}


def test_every_door_gives_the_same_rows_with_teachers_behind(doors: dict[str, list[dict[str, Any]]]) -> None:
    def named(row: dict[str, Any]) -> tuple[str, ...]:
        return tuple("" if row[name] is None else str(row[name]) for name in NAMES)

    first, *others = ([named(row) for row in rows] for rows in doors.values())

    assert others == [first, first]
    assert len(first) == len(TEXTS) * len(SCALES)
    for rows in zip(*doors.values(), strict=True):
        for name in ("score", "confidence", "expected_score"):
            numbers = [number(row[name]) for row in rows]
            assert numbers == ([None] * 3 if numbers[0] is None else [pytest.approx(numbers[0], abs=1e-5)] * 3)


def test_score_and_evaluate_write_the_same_file(doors: dict[str, Any], folder: Path) -> None:
    assert doors
    assert (folder / "out.csv").read_bytes() == (folder / "predictions.csv").read_bytes()


def test_through_the_doors_went_all_there_is(doors: dict[str, list[dict[str, Any]]]) -> None:
    """Else the same rows would say little."""
    found = {(row["item_id"], row["scored_by"], row["decision"]) for row in doors["POST /score"]}

    assert {(name, "teacher", "auto") for name in ("points", "ordinal", "nominal", "continuous", "shared")} <= found
    assert {("points", "teacher", "review"), ("points", "student", "auto"), ("points", "rule", "not_scorable")} <= found
    assert ("points", "student", "review") in found  # over-long
    assert {own for own in found if own[0] == "suggested" and own[2] == "auto"} == set()
    assert ("suggested", "teacher", "review") in found
    assert {own for own in found if own[0] == "shadowed" and own[1] == "teacher"} == set()


def test_the_evaluation_counts_what_the_service_gave(doors: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    for own in json.loads((folder / "figures.json").read_text()):
        rows = [row for row in doors["POST /score"] if row["item_id"] == own["item_id"]]
        assert own["by_teacher"] == sum(row["scored_by"] == "teacher" for row in rows)
        assert own["automatic"] == sum(row["decision"] == "auto" for row in rows)
        assert own["not_scorable"] == sum(row["decision"] == "not_scorable" for row in rows)
        assert own["fallback"]["policy"] == ("shadow" if own["item_id"] == "shadowed" else "unsure")
