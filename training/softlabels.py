"""The teacher's outputs for any text, kept on disk by the hash of teacher, context and text.

Outputs, not probabilities: the temperature is chosen later.  Kept in chunks named by their texts in order, so that a
teacher's row can never meet another text.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from app.scoring.decoding import Outputs
from training.cache import keep, key_of_texts, seconds_of
from training.progress import track
from training.teacher import Teacher

CHUNK = 1024


def teacher_outputs(teacher: Teacher, context: str, texts: Sequence[str], description: str, cache: Path) -> Outputs:
    """(texts, columns), row i for text i."""
    chunks = _chunks(texts)
    parts = [kept_outputs(teacher, context, chunk, cache) for chunk in track(chunks, description, len(chunks))]
    return np.concatenate(parts) if parts else np.zeros((0, teacher.columns), np.float32)


def kept_outputs(teacher: Teacher, context: str, texts: Sequence[str], cache: Path) -> Outputs:
    """The same, all texts in one file."""
    file = _file(teacher, context, texts, cache)
    keep(file, partial(teacher.outputs, texts, context), np.save)
    return np.asarray(np.load(file))


def labelling_seconds(teacher: Teacher, context: str, texts: Sequence[str], cache: Path) -> float | None:
    """How long `teacher_outputs` took for these texts; None if it is not known."""
    return seconds_of({_file(teacher, context, chunk, cache) for chunk in _chunks(texts)})


def _chunks(texts: Sequence[str]) -> list[Sequence[str]]:
    return [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]


def _file(teacher: Teacher, context: str, texts: Sequence[str], cache: Path) -> Path:
    return cache / "outputs" / teacher.key / f"{key_of_texts([context, *texts])}.npy"
