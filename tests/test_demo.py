"""Test the demo bundles that `make serve` serves: the committed generator and pipeline created them."""

import json
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.scoring.live_version import read_active
from app.scoring.registry import Registry
from app.scoring.student import Student
from app.settings import Settings
from training.config import TrainingConfig
from training.data import DataSet, read_data
from training.demo.generator import generate, write
from training.evaluation.evidence import measured

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"
ITEMS = ("demo-drying-towel", "demo-snail-race", "demo-steel-ferry")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = tmp_path_factory.mktemp("demo")
    write(generate(), folder)
    return read_data(folder)


def a_student(item_id: str) -> Student:
    folder = MODELS / item_id
    return Student.load(folder / read_active(folder).version)


def test_three_demo_items_load() -> None:
    registry = Registry.from_folder(MODELS)

    assert tuple(sorted(registry.live)) == ITEMS
    assert registry.refused == {}


@pytest.mark.parametrize("item_id", ITEMS)
def test_agreement_in_the_bundle_was_measured_on_its_files(item_id: str, data: DataSet) -> None:
    """Promise 3: measure again, on the rows of the generator."""
    student = a_student(item_id)

    figures = measured(student, data.of(item_id).dev, {})

    bundle = student.bundle
    assert figures.agreement is not None
    assert bundle.agreement is not None
    assert figures.flagged == bundle.flagged
    published = bundle.agreement.model_dump(exclude={"human_n"})  # The bundles are older than this field.
    assert figures.agreement.model_dump(exclude={"human_n"}) == pytest.approx(published, abs=1e-9)
    assert figures.evidence.ece == pytest.approx(bundle.evidence.ece, abs=1e-6)
    assert figures.evidence.recalls == bundle.evidence.recalls


@pytest.mark.parametrize("item_id", ITEMS)
def test_demo_student_was_trained_on_the_rows_of_the_generator(item_id: str, data: DataSet) -> None:
    assert a_student(item_id).bundle.provenance.data_sha256 == data.of(item_id).sha256


@pytest.mark.parametrize("item_id", ITEMS)
def test_demo_student_was_trained_with_the_default_settings(item_id: str) -> None:
    assert TrainingConfig().is_kept_as(a_student(item_id).bundle.provenance.config)


@pytest.mark.parametrize("item_id", ITEMS)
def test_demo_bundle_is_small_synthetic_and_released(item_id: str) -> None:
    bundle, active = a_student(item_id).bundle, read_active(MODELS / item_id)
    folder = MODELS / item_id / active.version

    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000
    assert bundle.parameters <= 30_000
    assert "synthetic" in (bundle.item.title or "")
    assert (active.mode, bool(active.by), bool(active.reason)) == ("auto", True, True)


def test_curl_command_of_the_readme_returns_a_score(tmp_path: Path) -> None:
    [body] = re.findall(r"-d '(\{.*?\})'", (ROOT / "README.md").read_text(), re.DOTALL)
    database = f"sqlite:///{tmp_path / 'log.db'}"
    from app.storage.database import connect, upgrade

    upgrade(connect(database))
    settings = Settings.model_validate({"models_dir": MODELS, "database_url": database})

    with TestClient(create_app(settings), base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as client:
        reply = client.post("/score", json=json.loads(body))

    assert reply.status_code == 200
    assert reply.json()["score"] == 3
    assert reply.json()["gradebook_score"] == 10
