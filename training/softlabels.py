"""The teacher's outputs for any text, kept on disk by the hash of teacher, context and text.

Outputs, not probabilities: the temperature is chosen later.  Kept in chunks named by their texts in order, so that a
teacher's row can never meet another text.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from app.scoring.decoding import Outputs
from training.cache import keep, key_of_texts
from training.progress import track
from training.teacher import Teacher

CHUNK = 1024


def teacher_outputs(teacher: Teacher, context: str, texts: Sequence[str], description: str, cache: Path) -> Outputs:
    """(texts, columns), row i for text i."""
    files = output_files(teacher, context, texts, cache)
    if not files:
        return np.zeros((0, teacher.columns), np.float32)
    parts = []
    for file, chunk in track(files, description, len(files)):
        keep(file, partial(teacher.outputs, chunk, context), np.save)
        parts.append(np.load(file))
    return np.concatenate(parts)


def output_files(teacher: Teacher, context: str, texts: Sequence[str], cache: Path) -> list[tuple[Path, Sequence[str]]]:
    """Each chunk of texts with the file that keeps its outputs, in order."""
    chunks = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
    return [(cache / "outputs" / teacher.key / f"{key_of_texts([context, *chunk])}.npy", chunk) for chunk in chunks]
