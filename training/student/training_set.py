"""Training sets of students: texts with human scores, where raters gave any, and the outputs of the teacher."""

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
    """Texts with their targets.  Row i of each array belongs to text i."""

    texts: tuple[str, ...]
    targets: NDArray[np.float64]  # (texts,), NO_LABEL where there is no human score
    teacher: Outputs | None  # (texts, columns); None where no teacher takes part

    def __post_init__(self) -> None:
        rows = {len(self.texts), len(self.targets)}
        if self.teacher is not None:
            rows.add(len(self.teacher))
        if len(rows) != 1:
            raise TrainingError(
                f"texts, human scores and teacher rows differ in number: {sorted(rows)}",
                code="lesson_rows_differ",
                rows=sorted(rows),
            )

    def without(self, rows: set[int]) -> "TrainingSet":
        """Return the training set less the rows with these numbers."""
        kept = [row for row in range(len(self.texts)) if row not in rows]
        teacher = None if self.teacher is None else self.teacher[kept]
        return TrainingSet(tuple(self.texts[row] for row in kept), self.targets[kept], teacher)

    @property
    def key(self) -> str:
        """Return a hash of texts, targets and teacher outputs."""
        teacher = None if self.teacher is None else self.teacher.tobytes().hex()
        return key_of(key_of_texts(self.texts), self.targets.tobytes().hex(), teacher)


def join(training_sets: Sequence[TrainingSet]) -> tuple[TrainingSet, NDArray[np.int64]]:
    """Return all rows in one training set, and (rows,): the number of the training set that each row comes from.

    Raise TrainingError where only some of them have teacher outputs.
    """
    numbers = np.repeat(np.arange(len(training_sets)), [len(part.texts) for part in training_sets])
    texts = tuple(text for part in training_sets for text in part.texts)
    outputs = [part.teacher for part in training_sets if part.teacher is not None]
    if outputs and len(outputs) < len(training_sets):
        raise TrainingError(
            "training sets that are learnt together need a teacher's outputs all, or none of them", code="some_untaught"
        )
    human = np.concatenate([part.targets for part in training_sets])
    teacher = np.concatenate(outputs) if outputs else None
    return TrainingSet(texts, human, teacher), numbers


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a student by kind."""

    marked: tuple[str, ...]
    unlabelled: tuple[str, ...]
    augmented: tuple[str, ...]
    sources: tuple[
        frozenset[int], ...
    ] = ()  # of each augmented text: the numbers of the marked texts that its words come from

    @property
    def all(self) -> tuple[str, ...]:
        """Return the texts of all kinds in the order of a training set."""
        return (*self.marked, *self.unlabelled, *self.augmented)

    @property
    def kinds(self) -> dict[str, tuple[str, ...]]:
        """Return the texts by kind in the order of `all`, without empty kinds."""
        named = {
            "marked responses": self.marked,
            "unlabelled responses": self.unlabelled,
            "augmented text": self.augmented,
        }
        return {name: texts for name, texts in named.items() if texts}

    @property
    def written(self) -> tuple[str, ...]:
        """Return the texts that learners wrote: the tokenizer is learnt from them."""
        return (*self.marked, *self.unlabelled)


def texts_for(parts: Parts, config: TrainingConfig) -> Texts:
    """Return the texts that an item's student learns from.

    Without a teacher these are the marked ones only, for nobody labels the others.
    """
    marked = [row.text for row in parts.fit]
    if config.distillation.soft_weight == 0:
        return Texts(tuple(marked), (), ())
    new_texts = augmented(marked, config.text.augmented_per_response, config.seed)
    texts, sources = [new.text for new in new_texts], [new.sources for new in new_texts]
    return Texts(tuple(marked), parts.unlabelled, tuple(texts), tuple(sources))


def make_training_set(
    parts: Parts, texts: Texts, teacher: Teacher | None, context: str, cache: Path, size: int = CHUNK
) -> TrainingSet:
    """Return the texts in order with human scores and the outputs of the teacher, which reads `context` before each.

    `size` is the number of texts whose outputs one cache file holds.
    """
    human = np.full(len(texts.all), NO_LABEL)
    human[: len(texts.marked)] = targets(parts.item, [row.value for row in parts.fit])
    if teacher is None:
        return TrainingSet(texts.all, human, None)
    # Each kind is labelled by itself, so that its cached outputs stay valid when texts of another kind change.
    description = f"{parts.item.item_id}: soft labels of"
    outputs = [
        teacher_outputs(teacher, context, kind_texts, f"{description} {kind}", cache, size)
        for kind, kind_texts in texts.kinds.items()
    ]
    return TrainingSet(texts.all, human, np.concatenate(outputs))


def labelling_seconds(texts: Texts, teacher: Teacher, context: str, cache: Path) -> float | None:
    """Return the seconds that the teacher took to label these texts, or None if they are not known of all."""
    files = [output_files(teacher, context, kind_texts, cache) for kind_texts in texts.kinds.values()]
    return seconds_of({file for kind_files in files for file, _ in kind_files})
