"""Soft labels: the teacher's outputs for texts, cached by the hash of teacher, context and texts.

Outputs are cached, and not probabilities, for the temperature is chosen later.  The file of a chunk is named by its
texts in order, so that no output can belong to another text.  A teacher behind an API caches its answers itself.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from app.scoring.decoding import Outputs
from training.common.cache import keep, key_of_texts
from training.common.progress import track
from training.teacher.ensemble import Teacher

CHUNK = 1024  # texts whose outputs one file holds


def teacher_outputs(
    teacher: Teacher, context: str, texts: Sequence[str], description: str, cache: Path, size: int = CHUNK
) -> Outputs:
    """Return (texts, columns): row i is for text i.  Chunks of `size` texts are labelled, or read from the cache."""
    files = output_files(teacher, context, texts, cache, size)
    if not files:
        return np.zeros((0, teacher.columns), np.float32)
    parts = []
    for file, chunk in track(files, description, len(files)):
        if teacher.keeps_answers:
            parts.append(teacher.outputs(chunk, context))
            continue
        keep(file, partial(teacher.outputs, chunk, context), np.save)
        parts.append(np.load(file))
    return np.concatenate(parts)


def output_files(
    teacher: Teacher, context: str, texts: Sequence[str], cache: Path, size: int = CHUNK
) -> list[tuple[Path, Sequence[str]]]:
    """Return each chunk of texts with the file that caches its outputs, in order."""
    folder = cache / "outputs" / teacher.key
    chunks = [texts[start : start + size] for start in range(0, len(texts), size)]
    keys = [key_of_texts([context, *chunk]) for chunk in chunks]
    files = [folder / f"{key}.npy" for key in keys]
    return list(zip(files, chunks, strict=True))
