"""The teacher's outputs for any text, kept on disk by the hash of teacher, context and text.

Outputs, not probabilities: the temperature is chosen later.  Kept in chunks named by their texts in order, so that a
teacher's row can never meet another text.  A teacher behind an API keeps its answers itself: some of a chunk may be
unusable, and the chunk would keep them for ever.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from app.scoring.decoding import Outputs
from training.common.cache import keep, key_of_texts
from training.common.progress import track
from training.teacher.ensemble import Teacher

CHUNK = 1024


def teacher_outputs(
    teacher: Teacher, context: str, texts: Sequence[str], description: str, cache: Path, size: int = CHUNK
) -> Outputs:
    """Return (texts, columns), row i for text i."""
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
    """Return each chunk of texts with the file that keeps its outputs, in order."""
    chunks = [texts[start : start + size] for start in range(0, len(texts), size)]
    return [(cache / "outputs" / teacher.key / f"{key_of_texts([context, *chunk])}.npy", chunk) for chunk in chunks]
