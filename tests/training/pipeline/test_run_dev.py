"""dev is for reporting: neither its texts nor its scores may reach anything that a learner's score depends on.

Other dev rows, with other texts, scores and number, must give the same student, head and threshold.  Each run has a
cache of its own, so that nothing is equal because it was only read.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from app.scoring.bundle import STUDENT, TOKENIZER, Bundle
from app.scoring.item import Item
from tests.training.conftest import shared, tiny_settings
from tests.training.example_rows import GRADES, ITEM, LABELS, item_data, other_dev, some_items
from training.config import TrainingConfig
from training.data import ItemData
from training.data.augment import Augmented, augmented
from training.data.item_groups import groups
from training.pipeline.prepare import prepare, train_teacher
from training.pipeline.run import train
from training.student.tokenizer import learn_tokenizer
from training.teacher.fine_tuning import HISTORY


class Case(NamedTuple):
    items: list[ItemData]
    config: TrainingConfig


def hardly_taught(config: TrainingConfig) -> TrainingConfig:
    """Return settings of few steps: choices need to be equal, and not good."""
    update = {
        "teacher": config.teacher.model_copy(update={"max_epochs": 2, "min_steps": 4, "shared_min_steps": 4}),
        "distillation": config.distillation.model_copy(update={"epochs": 2, "shared_epochs": 2, "min_steps": 20}),
    }
    return config.model_copy(update=update)


def cases(encoder: Path) -> dict[str, Case]:
    tiny = hardly_taught(tiny_settings(encoder)).model_copy(update={"human_margin": 1.0, "target_agreement": 0.05})
    alone = [item_data(60, 20, 10, item) for item in (ITEM, GRADES, LABELS)]
    return {"alone": Case(alone, tiny)} | {
        f"shared {item.scale}": Case(some_items(item), shared(tiny)) for item in (ITEM, GRADES, LABELS)
    }


@pytest.fixture(params=["alone", "shared points", "shared continuous", "shared nominal"])
def case(request: pytest.FixtureRequest, tiny_encoder: Path) -> Case:
    return cases(tiny_encoder)[request.param]


def choices(bundle: Bundle, models: Path) -> dict[str, object]:
    """Return everything in a bundle that a score depends on."""
    folder = models / bundle.item.item_id / bundle.version
    return {
        "tokenizer": (folder / TOKENIZER).read_bytes(),
        "student": (folder / STUDENT).read_bytes(),
        "head": bundle.head,
        "threshold": bundle.threshold,
        "limits": bundle.limits,
        "max_tokens": bundle.max_tokens,
        "parameters": bundle.parameters,
    }


def test_dev_decides_nothing(case: Case, tmp_path: Path) -> None:
    changed_items = [other_dev(data) for data in case.items]
    folders = [tmp_path / "one", tmp_path / "other"]

    runs = [
        list(train(items, folder / "models", case.config, folder / "cache"))
        for items, folder in zip((case.items, changed_items), folders, strict=True)
    ]

    chosen = [[choices(bundle, folder / "models") for bundle in run] for run, folder in zip(runs, folders, strict=True)]
    assert chosen[0] == chosen[1]
    assert all(bundle.threshold is not None for bundle in runs[0])
    histories = [sorted(path.read_text() for path in folder.rglob(HISTORY)) for folder in folders]
    assert histories[0] == histories[1] != []
    for bundle, changed in zip(*runs, strict=True):  # and dev was another: what is reported differs
        assert bundle.agreement != changed.agreement or bundle.agreement is None


def test_dev_text_reaches_no_training_step(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch the places where text is read: the tokenizer, augmentation, and the training of the teacher."""
    seen: list[str] = []

    def learnt(texts: tuple[str, ...], vocabulary: int) -> bytes:
        seen.extend(texts)
        return learn_tokenizer(texts, vocabulary)

    def changed(texts: list[str], per_text: int, seed: int) -> list[Augmented]:
        seen.extend(texts)
        return augmented(texts, per_text, seed)

    monkeypatch.setattr("training.pipeline.prepare.learn_tokenizer", learnt)
    monkeypatch.setattr("training.student.training_set.augmented", changed)
    items = [other_dev(data) for data in case.items]  # of words that stand nowhere else
    for group in groups(items, case.config.teacher.own_from):
        run = train_teacher(prepare(group, case.config, tmp_path))
        for item_run in run.items:
            seen += [*item_run.texts.all, *(row.text for row in item_run.parts.marked), *item_run.parts.unlabelled]
        assert "▁zebra" not in run.tokenizer.decode()

    assert any(row.text for data in items for row in data.dev)
    assert len(seen) > 100
    assert not {word for text in seen for word in text.split()} & {"zebra", "quartz", "jovial", "vexing", "sphinx"}


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_training_text_does_change_the_choices(tiny_config: TrainingConfig, tmp_path: Path, item: Item) -> None:
    """Show that the comparison above would see a difference."""
    data_with_unlabelled, data_without = item_data(60, 20, 10, item), item_data(60, 20, 0, item)
    folders = [tmp_path / "one", tmp_path / "other"]

    chosen = [
        choices(
            next(iter(train([data], folder / "models", hardly_taught(tiny_config), folder / "cache"))),
            folder / "models",
        )
        for data, folder in zip((data_with_unlabelled, data_without), folders, strict=True)
    ]

    assert chosen[0]["student"] != chosen[1]["student"]
    assert chosen[0]["tokenizer"] != chosen[1]["tokenizer"]
