"""Contests of small data, and settings under which they are quick."""

from collections.abc import Sequence
from pathlib import Path

from training.compare.contest import Contest
from training.config import TrainingConfig
from training.data import ItemData
from training.data.item_groups import Group
from training.data.splits import split
from training.pipeline.prepare import Taught, teach


def quick(config: TrainingConfig, epochs: int = 3, **distillation: object) -> TrainingConfig:
    """The same with fewer epochs, and other settings of distillation where they are given."""
    update = {"epochs": epochs, **distillation}
    return config.model_copy(update={"distillation": config.distillation.model_copy(update=update)})


def a_contest(config: TrainingConfig, cache: Path, *items: ItemData) -> Contest:
    return Contest(teach(Group(items), config, cache), config, cache)


def an_untaught_contest(*items: ItemData, config: TrainingConfig | None = None) -> Contest:
    """For competitors that need the rows alone."""
    config = config or TrainingConfig(validation_share=0.3)
    parts = tuple(split(data, config) for data in items)
    return Contest(Taught(Group(items), parts, (), b"", None), config, Path("unused"))


def dev_texts(contest: Contest, number: int = 0) -> Sequence[str]:
    return [row.text for row in contest.taught.parts[number].dev]


def texts_of(data: ItemData) -> list[str]:
    """Every response, marked or not."""
    return [row.text for row in (*data.train, *data.dev)] + [row.text for row in data.unlabelled]
