"""Runs of items whose points do not begin at 0, or whose smallest score is the best: from files to replies."""

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.scoring.bundle import CARD, Bundle
from app.scoring.gate import Policy
from app.scoring.registry import Registry
from app.settings import Settings
from app.storage.database import connect, upgrade
from tests.training.conftest import tiny_settings
from tests.training.example_rows import IDEAS, text_for
from training.data import read_data
from training.evaluation.attacks import good_responses
from training.evaluation.evaluate import evaluate
from training.evaluation.evidence import is_worth
from training.pipeline.check import summarise
from training.pipeline.run import train

GERMAN = {"scale": "points", "min_score": 1, "max_score": 6, "better": "lower"}
AROUND_ZERO = {"scale": "points", "min_score": -2, "max_score": 2}
LENIENT = Policy(
    min_responses=1, min_agreement=-1, max_degradation=2, max_smd=9, max_group_difference=9, min_recall=0, max_ece=1,
    max_junk=1,
)  # fmt: skip
BEST, WORST = f"{IDEAS[0]} so then {IDEAS[1]} because {IDEAS[2]} 3", "i think so then 7"


class Run(NamedTuple):
    data: Path
    models: Path
    bundle: Bundle
    scores: tuple[int, ...]  # of responses with no idea, one, two, all three


def write_data(folder: Path, scale: dict[str, Any], scores: tuple[int, ...]) -> None:
    bank = {str(scores[-1]): "All three.", str(scores[0]): "Read the page again."}
    item = {"item_id": "heat-1", "prompt": "Why does heat rise?", "feedback": bank} | scale
    (folder / "items.jsonl").write_text(json.dumps(item) + "\n")
    generator = random.Random(0)  # noqa: S311  # no secret
    for part, rows in (("train", 120), ("dev", 40)):
        with (folder / f"{part}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["item_id", "response", "score", "score_1", "score_2"])
            for number in range(rows):
                text = f"{text_for(number % 4, generator)} {generator.randint(0, 99)}"
                writer.writerow(["heat-1", text, *[scores[number % 4]] * 3])


@pytest.fixture(
    scope="module",
    params=[(GERMAN, (6, 4, 2, 1)), (AROUND_ZERO, (-2, -1, 1, 2))],
    ids=["german", "around-zero"],
)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Run:
    scale, scores = request.param
    folder, tiny = tmp_path_factory.mktemp("scales"), tiny_settings(tiny_encoder)
    write_data(folder, scale, scores)
    longer = tiny.distillation.model_copy(update={"epochs": 12, "learning_rate": 2e-2})
    config = tiny.model_copy(update={"distillation": longer, "release": LENIENT, "human_margin": 1.0})
    [bundle] = train([read_data(folder).of("heat-1")], folder / "models", config, folder / "cache")
    return Run(folder, folder / "models", bundle, scores)


@pytest.fixture
def client(run: Run, tmp_path: Path) -> Iterator[TestClient]:
    database = f"sqlite:///{tmp_path / 'log.db'}"
    engine = connect(database)
    upgrade(engine)
    engine.dispose()
    settings = Settings.model_validate({"models_dir": run.models, "database_url": database})
    with TestClient(create_app(settings), base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as client:
        yield client


def test_the_files_are_read_and_summarised_in_scores(run: Run) -> None:
    [summary] = summarise(read_data(run.data))

    item = run.bundle.item
    assert list(summary.distribution) == item.names()
    assert {name: count for name, count in summary.distribution.items() if count} == {
        str(score): 30 for score in run.scores
    }


def test_student_learns_and_passes_its_gate(run: Run) -> None:
    agreement = run.bundle.agreement

    assert agreement is not None
    assert (agreement.qwk or 0) > 0.5
    assert run.bundle.gate.passed
    assert set(run.bundle.evidence.recalls) == {str(score) for score in run.scores}
    assert Registry.from_folder(run.models).live["heat-1"].active.mode == "auto"
    card = (run.models / "heat-1" / run.bundle.version / CARD).read_text()
    assert f"{run.bundle.item.scale} {run.bundle.item.extent}" in card


def test_attacks_use_the_best_responses_and_only_the_worst_score_is_worth_nothing(run: Run) -> None:
    item, live = run.bundle.item, Registry.from_folder(run.models).live["heat-1"]
    good = good_responses(item, read_data(run.data).of("heat-1").dev)

    assert len(good) == 10
    assert all(idea in text for text in good for idea in IDEAS)
    worth = [is_worth(item, score) for score in live.score_unguarded([*good, WORST])]
    assert sum(worth[:-1]) >= 9
    assert not worth[-1]
    assert run.bundle.evidence.attacks["padding"].n == 10
    assert run.bundle.evidence.junk_accepted is not None


def test_student_serves_scores_gradebook_and_feedback(run: Run, client: TestClient) -> None:
    good, poor = (
        client.post(
            "/score", json={"item_id": "heat-1", "response": text, "gradebook_max": 0.3333333, "feedback": True}
        )
        for text in (BEST, WORST)
    )

    first, last = good.json(), poor.json()
    item = run.bundle.item
    assert (first["score"], first["gradebook_score"]) == (run.scores[-1], 0.3333333)
    assert (last["score"], last["gradebook_score"]) == (run.scores[0], 0)
    assert (first["feedback"]["text"], last["feedback"]["text"]) == ("All three.", "Read the page again.")
    assert first["max_score"] == item.max_score
    for reply in (first, last):
        assert len(reply["probabilities"]) == item.choices
        mean = sum(p * score for p, score in zip(reply["probabilities"], map(int, item.names()), strict=True))
        assert reply["expected_score"] == pytest.approx(mean)
        assert reply["score"] in reply["prediction_set"]
        assert {*reply["prediction_set"]} <= {*map(int, item.names())}
    shown = client.get("/items/heat-1").json()
    assert (shown["min_score"], shown["better"]) == (item.min_score, item.better)


def test_person_marks_in_scores_of_the_scale(run: Run, client: TestClient) -> None:
    item = run.bundle.item
    reply = client.post("/score", json={"item_id": "heat-1", "response": BEST, "gradebook_max": 10}).json()
    path = f"/predictions/{reply['prediction_id']}/review"

    off = client.post(path, json={"score": (item.max_score or 0) + 1, "reviewer": "Ana"})
    marked = client.post(path, json={"score": run.scores[0], "reviewer": "Ana"})

    assert off.status_code == 422
    assert (marked.json()["final"]["score"], marked.json()["final"]["gradebook_score"]) == (run.scores[0], 0)


def test_student_is_measured_as_it_is_served(run: Run, tmp_path: Path) -> None:
    [report] = evaluate(run.models, run.data / "dev.csv", tmp_path / "out.csv")

    assert report.agreement is not None
    assert run.bundle.agreement is not None
    assert report.agreement.qwk == pytest.approx(run.bundle.agreement.qwk)
    assert report.scores == tuple(run.bundle.item.names())
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    right = [row["score"] == row["input_score"] for row in rows if row["score"]]
    assert sum(right) / len(right) == pytest.approx(report.agreement.exact)
    for row in rows:
        if row["expected_score"]:
            assert min(run.scores) <= float(row["expected_score"]) <= max(run.scores)
