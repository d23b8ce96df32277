"""Promise 2 with teachers: a response gets the same score through every door, by student or teacher."""

import csv
import json
from pathlib import Path
from typing import Any, Literal

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
    "shared": {"scale": "points", "max_score": 3},  # a teacher of two items, which reads the question first
}
MARKS: dict[str, dict[str, Any]] = {"ordinal": {"label": "fair"}, "nominal": {"label": "air moves"}}
SURE_OF_GRADES = 0.75  # confidence is .6827 between the ends of the scale and .84 at an end
NAMES = ("item_id", "label", "decision", "condition", "bundle_version", "scored_by")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write items that fall back on a teacher each, with modes and policies by their names, and marked responses."""
    folder = tmp_path_factory.mktemp("doors")
    models = folder / "models"
    for name, scale in SCALES.items():
        threshold = SURE_OF_GRADES if name == "continuous" else SURE
        item = item_of(write_tiny_bundle(models, name, item=scale, threshold=threshold))
        context = "heat rises" if name == "shared" else ""
        write_tiny_teacher(models, [item], name=f"of-{name}", threshold=threshold, context=context)
        policy: Literal["shadow", "unsure"] = "shadow" if name == "shadowed" else "unsure"
        mode: Literal["suggest", "auto"] = "suggest" if name == "suggested" else "auto"
        fall_back(models, name, policy, name=f"of-{name}", mode=mode)
    rows = [{"item_id": name, "response": text} | MARKS.get(name, {"score": 2}) for text in TEXTS for name in SCALES]
    (folder / "marked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def doors(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows that each door gives."""
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

    first, *following = ([named(row) for row in rows] for rows in doors.values())

    assert following == [first, first]
    assert len(first) == len(TEXTS) * len(SCALES)
    for rows in zip(*doors.values(), strict=True):
        for name in ("score", "confidence", "expected_score"):
            numbers = [number(row[name]) for row in rows]
            assert numbers == ([None] * 3 if numbers[0] is None else [pytest.approx(numbers[0], abs=1e-5)] * 3)


def test_score_and_evaluate_write_the_same_file(doors: dict[str, Any], folder: Path) -> None:
    assert doors
    assert (folder / "out.csv").read_bytes() == (folder / "predictions.csv").read_bytes()


def test_rows_cover_every_scorer_and_decision(doors: dict[str, list[dict[str, Any]]]) -> None:
    """Equal rows prove little unless they cover every case."""
    cases = {(row["item_id"], row["scored_by"], row["decision"]) for row in doors["POST /score"]}

    assert {(name, "teacher", "auto") for name in ("points", "ordinal", "nominal", "continuous", "shared")} <= cases
    assert {("points", "teacher", "review"), ("points", "student", "auto"), ("points", "rule", "not_scorable")} <= cases
    assert ("points", "student", "review") in cases  # over-long
    assert {case for case in cases if case[0] == "suggested" and case[2] == "auto"} == set()
    assert ("suggested", "teacher", "review") in cases
    assert {case for case in cases if case[0] == "shadowed" and case[1] == "teacher"} == set()


def test_evaluation_counts_equal_the_service(doors: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    for report in json.loads((folder / "figures.json").read_text()):
        rows = [row for row in doors["POST /score"] if row["item_id"] == report["item_id"]]
        assert report["by_teacher"] == sum(row["scored_by"] == "teacher" for row in rows)
        assert report["automatic"] == sum(row["decision"] == "auto" for row in rows)
        assert report["not_scorable"] == sum(row["decision"] == "not_scorable" for row in rows)
        assert report["fallback"]["policy"] == ("shadow" if report["item_id"] == "shadowed" else "unsure")
