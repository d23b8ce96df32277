"""Group runs of small data, with settings that make them quick."""

from collections.abc import Sequence
from pathlib import Path

from training.config import TrainingConfig
from training.data import ItemData
from training.data.item_groups import Group
from training.data.splits import split
from training.pipeline.group_run import GroupRun, ItemRun
from training.pipeline.prepare import prepare, train_teacher
from training.student.training_set import Texts


def quick(config: TrainingConfig, epochs: int = 3, **distillation: object) -> TrainingConfig:
    """Return settings with fewer epochs, and with the given settings of distillation."""
    update = {"epochs": epochs, **distillation}
    return config.model_copy(update={"distillation": config.distillation.model_copy(update=update)})


def a_group_run(config: TrainingConfig, cache: Path, *items: ItemData) -> GroupRun:
    return train_teacher(prepare(Group(items), config, cache))


def an_untaught_run(*items: ItemData, config: TrainingConfig | None = None) -> GroupRun:
    """Return a run for competitors that need only the rows."""
    config = config or TrainingConfig(validation_share=0.3)
    item_runs = tuple(ItemRun(data, split(data, config), Texts((), (), ())) for data in items)
    return GroupRun(Group(items), config, Path("unused"), item_runs, b"")


def dev_texts(run: GroupRun, number: int = 0) -> Sequence[str]:
    return [row.text for row in run.items[number].parts.dev]


def texts_of(data: ItemData) -> list[str]:
    """Return every response, marked or not."""
    return [row.text for row in (*data.train, *data.dev)] + [row.text for row in data.unlabelled]
