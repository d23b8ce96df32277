"""The settings that a contestant depends on, in parts: a change of other parts keeps its results."""

from collections.abc import Callable, Iterable
from typing import Literal, get_args

from training.common.cache import key_of
from training.config import TrainingConfig
from training.teacher.ensemble import learnt_by

Part = Literal["split", "unlabelled", "augmented", "teacher", "student", "distillation", "soft_weight", "temperature"]
EVERY_PART: tuple[Part, ...] = get_args(Part)


def hashes(parts: Iterable[Part], config: TrainingConfig, *, several: bool) -> dict[str, str]:
    """Return a hash of each part's settings.  `several`: whether the items share a teacher.

    Raises NoWeights if the base model of the teacher cannot be found.
    """
    values = {part: READ[part](config, several) for part in parts}
    return {part: key_of(value) for part, value in values.items()}


def _split(config: TrainingConfig, _: bool) -> object:
    """Return the settings of the split, which order the rows, and so the folds, of linear models too."""
    return config.seed, config.validation_share


def _teacher(config: TrainingConfig, several: bool) -> object:
    if config.distillation.soft_weight == 0:
        return None
    teacher = config.teacher.of_several if several else config.teacher
    if teacher.kind == "api":
        return teacher.api and (teacher.api.url, teacher.api.model)
    return learnt_by(teacher), teacher.members


def _distillation(config: TrainingConfig, several: bool) -> object:
    distillation = config.distillation.of_several if several else config.distillation
    return distillation.model_dump(exclude={"shared_epochs", "soft_weight", "temperature"})


READ: dict[Part, Callable[[TrainingConfig, bool], object]] = {
    "split": _split,
    "unlabelled": lambda config, _: config.text.unlabelled,
    "augmented": lambda config, _: config.text.augmented_per_response,
    "teacher": _teacher,
    "student": lambda config, _: config.student.model_dump(),
    "distillation": _distillation,
    "soft_weight": lambda config, _: config.distillation.soft_weight,
    "temperature": lambda config, _: config.distillation.temperature,
}
