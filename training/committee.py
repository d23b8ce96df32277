"""A teacher of several voices: encoders, a linear model of words, and a student that those two have taught.

What they get wrong differs, so the mean of their probabilities is nearer to the raters' scores than the encoders' are
(docs/distillation.md).  The student is not as large but has read ten times the text (as born-again networks do,
Furlanello et al. 2018, arXiv 1805.04770).
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.scoring.decoding import Outputs
from app.scoring.teacher import mixture
from training.cache import key_of
from training.config import TrainingConfig
from training.lesson import Texts, lesson_for
from training.linear import Linear
from training.softlabels import kept_outputs, labelling_seconds
from training.splits import Parts
from training.students import make_students
from training.targets import targets
from training.teacher import FineTuned, Teacher

FIRST_SEED = 999  # no seed of the students that the committee will teach


@dataclass(frozen=True, slots=True)
class Voice:
    """One that speaks beside the encoders, and has as much to say as one of them."""

    key: str  # a hash of what made it
    outputs: Callable[[Sequence[str]], Outputs]  # (texts, columns): logits
    parameters: int
    bytes: int
    seconds: float | None  # that its training took, if that is known


@dataclass(frozen=True, slots=True)
class Committee:
    """Teaches one item with scores or labels."""

    encoders: FineTuned
    cache: Path  # keeps what the encoders say, which takes longest
    others: tuple[Voice, ...] = ()

    @property
    def key(self) -> str:
        return key_of("committee", self.encoders.key, [voice.key for voice in self.others])

    @property
    def columns(self) -> int:
        return self.encoders.columns

    def outputs(self, texts: Sequence[str], context: str = "") -> Outputs:
        """(texts, columns), in the order given: logarithms of the mean probabilities, each network's weighing alike."""
        of_encoders = [kept_outputs(self.encoders, context, texts, self.cache)] * len(self.encoders.members)
        return mixture(np.stack([*of_encoders, *(voice.outputs(texts) for voice in self.others)]), continuous=False)


def committee(
    encoders: FineTuned, parts: Parts, texts: Texts, tokenizer: bytes, config: TrainingConfig, cache: Path
) -> Committee:
    """The whole of it; the linear model and the student are fitted to what the encoders were."""
    return with_student(Committee(encoders, cache, (linear_voice(parts),)), parts, texts, tokenizer, config)


def linear_voice(parts: Parts) -> Voice:
    """Fitted to the marked responses that are not held back for validation."""
    marked = [row.text for row in parts.fit]
    values = targets(parts.item, [row.value for row in parts.fit])
    began = time.monotonic()
    model = Linear(parts.item, marked, values)
    seconds = time.monotonic() - began
    return Voice(key_of(model.settings, marked, values.tolist()), model.outputs, model.parameters, model.bytes, seconds)


def with_student(
    taught_by: Committee, parts: Parts, texts: Texts, tokenizer: bytes, config: TrainingConfig
) -> Committee:
    """The same and a student of it, by the recipe of those that will serve."""
    cache, item = taught_by.cache, parts.item
    lesson = lesson_for(parts, texts, taught_by, "", cache)
    first = config.model_copy(update={"distillation": config.distillation.model_copy(update={"seed": FIRST_SEED})})
    [files] = make_students([item], [lesson], tokenizer, first, cache)
    labelling = labelling_seconds(taught_by, "", texts.all, cache)
    voice = Voice(
        hashlib.sha256(files.tokenizer + files.student).hexdigest(),
        files.network(item, config.student.max_tokens).outputs,
        files.parameters,
        len(files.tokenizer) + len(files.student),
        None if files.seconds is None or labelling is None else files.seconds + labelling,
    )
    return replace(taught_by, others=(*taught_by.others, voice))


def encoders_of(teacher: Teacher | None) -> FineTuned | None:
    """What of a teacher was fine-tuned here, if anything."""
    if isinstance(teacher, Committee):
        return teacher.encoders
    return teacher if isinstance(teacher, FineTuned) else None
