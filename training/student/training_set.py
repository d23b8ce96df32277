"""What a student learns from: its item's texts, human scores where there are any, and the teacher's outputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.scoring.decoding import Outputs
from training.common.cache import key_of, key_of_texts, seconds_of
from training.config import TrainingConfig
from training.data.augment import augmented
from training.data.splits import Parts
from training.data.targets import NO_LABEL, targets
from training.errors import TrainingError
from training.teacher.ensemble import Teacher
from training.teacher.soft_labels import CHUNK, output_files, teacher_outputs


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Row i of each array belongs to text i, and they are only ever indexed together."""

    texts: tuple[str, ...]
    targets: NDArray[np.float64]  # (texts,), NO_LABEL where there is no human score
    teacher: Outputs | None  # (texts, columns); None when no teacher takes part

    def __post_init__(self) -> None:
        rows = {len(self.texts), len(self.targets)}
        rows |= {len(self.teacher)} if self.teacher is not None else set()
        if len(rows) != 1:
            raise TrainingError(
                f"texts, human scores and teacher rows differ in number: {sorted(rows)}",
                code="lesson_rows_differ",
                rows=sorted(rows),
            )

    def without(self, rows: set[int]) -> "TrainingSet":
        """The same less these rows."""
        kept = [row for row in range(len(self.texts)) if row not in rows]
        soft = None if self.teacher is None else self.teacher[kept]
        return TrainingSet(tuple(self.texts[row] for row in kept), self.targets[kept], soft)

    @property
    def key(self) -> str:
        """A hash of all of it."""
        soft = None if self.teacher is None else self.teacher.tobytes().hex()
        return key_of(key_of_texts(self.texts), self.targets.tobytes().hex(), soft)


def together(lessons: Sequence[TrainingSet]) -> tuple[TrainingSet, NDArray[np.int64]]:
    """All rows of several in one, and for each row the number of the lesson that it is from."""
    numbers = np.repeat(np.arange(len(lessons)), [len(own.texts) for own in lessons])
    texts = tuple(text for own in lessons for text in own.texts)
    soft = [own.teacher for own in lessons if own.teacher is not None]
    if soft and len(soft) < len(lessons):
        raise TrainingError("of lessons that are learnt together all have a teacher, or none", code="some_untaught")
    human = np.concatenate([own.targets for own in lessons])
    return TrainingSet(texts, human, np.concatenate(soft) if soft else None), numbers


@dataclass(frozen=True, slots=True)
class Texts:
    """A student's texts by kind."""

    marked: tuple[str, ...]
    unlabelled: tuple[str, ...]
    augmented: tuple[str, ...]
    sources: tuple[frozenset[int], ...] = ()  # of each augmented text: which marked ones its words are from

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.marked, *self.unlabelled, *self.augmented)

    @property
    def kinds(self) -> dict[str, tuple[str, ...]]:
        """In the order of `all`, less those that there are none of."""
        named = {"marked responses": self.marked, "unlabelled responses": self.unlabelled}
        return {name: texts for name, texts in (named | {"augmented text": self.augmented}).items() if texts}

    @property
    def written(self) -> tuple[str, ...]:
        """By learners: what the tokenizer is learnt from."""
        return (*self.marked, *self.unlabelled)


def texts_for(parts: Parts, config: TrainingConfig) -> Texts:
    """Without a teacher there is no one to label any but the marked ones."""
    marked = [row.text for row in parts.fit]
    if config.distillation.soft_weight == 0:
        return Texts(tuple(marked), (), ())
    made = augmented(marked, config.text.augmented_per_response, config.seed)
    return Texts(tuple(marked), parts.unlabelled, tuple(own.text for own in made), tuple(own.sources for own in made))


def lesson_for(
    parts: Parts, texts: Texts, teacher: Teacher | None, context: str, cache: Path, size: int = CHUNK
) -> TrainingSet:
    """Return the texts in order, with human scores and the outputs of the teacher, which reads `context` before each.

    `size`: how many texts' outputs are kept in a file.
    """
    known = np.full(len(texts.all), NO_LABEL)
    known[: len(texts.marked)] = targets(parts.item, [row.value for row in parts.fit])
    soft = None
    if teacher is not None:  # kind by kind, so that those of one kind are kept when another's texts change
        name = f"{parts.item.item_id}: soft labels of"
        kinds = [
            teacher_outputs(teacher, context, own, f"{name} {kind}", cache, size) for kind, own in texts.kinds.items()
        ]
        soft = np.concatenate(kinds)
    return TrainingSet(texts.all, known, soft)


def labelling_seconds(texts: Texts, teacher: Teacher, context: str, cache: Path) -> float | None:
    """How long the teacher took for a lesson of these texts; None if it is not known."""
    files = [output_files(teacher, context, own, cache) for own in texts.kinds.values()]
    return seconds_of({file for own in files for file, _ in own})
