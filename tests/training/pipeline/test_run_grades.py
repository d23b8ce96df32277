"""A run of one continuous item, from marked responses to replies."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.scoring.bundle import CARD, Bundle
from app.scoring.registry import Registry
from app.settings import Settings
from app.storage.database import connect, upgrade
from tests.training.conftest import tiny_settings
from tests.training.example_rows import GRADES, item_data
from training.config import TrainingConfig
from training.evaluation.evaluate import evaluate
from training.pipeline.run import train


class Run(NamedTuple):
    folder: Path
    bundle: Bundle


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Run:
    folder, tiny = tmp_path_factory.mktemp("grades"), tiny_settings(tiny_encoder)
    longer = tiny.distillation.model_copy(update={"epochs": 12, "learning_rate": 2e-2})
    config = tiny.model_copy(update={"distillation": longer, "human_margin": 0.6})
    data = item_data(train=160, dev=80, item=GRADES)
    [bundle] = train([data], folder / "models", config, folder / "cache")
    return Run(folder, bundle)


def test_student_of_grades_beats_the_mean_grade_by_far(run: Run) -> None:
    grades = np.array([row.value for row in item_data(160, 80, item=GRADES).dev])
    agreement, of_teacher = run.bundle.agreement, run.bundle.provenance.teacher_agreement

    assert agreement is not None
    assert of_teacher is not None
    for figures in (agreement, of_teacher):
        assert figures.n == 80
        assert (figures.rmse or 9) < 0.5 * grades.std()
        assert (figures.pearson or 0) > 0.8
        assert figures.human_rmse == 0


def test_intervals_hold_about_their_coverage_of_grades(run: Run) -> None:
    assert run.bundle.agreement is not None
    assert run.bundle.head.interval is not None
    assert run.bundle.head.interval.coverage == 0.9
    assert 0.75 <= (run.bundle.agreement.coverage or 0) <= 1


def test_student_of_grades_serves(run: Run, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'log.db'}"
    engine = connect(database)
    upgrade(engine)
    engine.dispose()
    settings = Settings.model_validate({"models_dir": run.folder / "models", "database_url": database})
    best = "the air gets warm so then it becomes lighter cold air takes its place"

    with TestClient(create_app(settings), base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as client:
        good, poor = (
            client.post("/score", json={"item_id": "shade-6", "response": text, "gradebook_max": 100}).json()
            for text in (best, "i think so then 7")
        )

    assert 1 <= poor["score"] < 3 < 4.5 < good["score"] <= 6
    assert poor["gradebook_score"] == pytest.approx(100 * (poor["score"] - 1) / 5, abs=0.01)
    for reply in (good, poor):
        low, high = reply["interval"]
        assert 1 <= low <= reply["score"] <= high <= 6
        assert reply["probabilities"] is None
        assert reply["decision"] == "review"  # nobody has released it


def test_student_of_grades_is_measured_as_it_is_served(run: Run, tmp_path: Path) -> None:
    rows = ["id,item_id,response,score"]
    rows += [f"{row.id},{row.item_id},{row.text},{row.value}" for row in item_data(160, 80, item=GRADES).dev]
    (tmp_path / "dev.csv").write_text("\n".join(rows) + "\n")

    [report] = evaluate(run.folder / "models", tmp_path / "dev.csv", tmp_path / "out.csv")

    assert report.agreement is not None
    assert run.bundle.agreement is not None
    assert report.agreement.rmse == pytest.approx(run.bundle.agreement.rmse)
    assert report.agreement.coverage == pytest.approx(run.bundle.agreement.coverage)
    assert report.responses == 80


def test_card_gives_the_figures_of_grades(run: Run) -> None:
    card = (run.folder / "models" / "shade-6" / run.bundle.version / CARD).read_text()

    assert run.bundle.agreement is not None
    assert f"| RMSE | {run.bundle.agreement.rmse:.3f} |" in card
    assert f"{run.bundle.item.scale} {run.bundle.item.extent}" in card


def test_student_of_grades_can_be_released_to_score_alone(run: Run) -> None:
    """Choose a threshold that some responses reach and others do not."""
    assert run.bundle.threshold is not None
    live = Registry.from_folder(run.folder / "models").live["shade-6"]

    scores = [j.score for j in live.judge([row.text for row in item_data(160, 80, item=GRADES).dev])]

    assert any(score and score.confidence >= run.bundle.threshold for score in scores)


def test_bundle_keeps_the_settings_of_its_training(run: Run) -> None:
    assert TrainingConfig.model_validate(run.bundle.provenance.config).human_margin == 0.6
