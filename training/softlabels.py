"""The teacher's outputs for any text, kept on disk by the hash of teacher, context and text.

Outputs, not probabilities: the temperature is chosen later.  Kept in chunks named by their texts in order, so that a
teacher's row can never meet another text.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.scoring.decoding import Outputs
from training.cache import key_of_texts, note_seconds, replace_file, seconds_of
from training.progress import track
from training.teacher import Teacher

CHUNK = 1024


def teacher_outputs(teacher: Teacher, context: str, texts: Sequence[str], description: str, cache: Path) -> Outputs:
    """(texts, columns), row i for text i."""
    files = _files(teacher, context, texts, cache)
    parts = []
    for file, chunk in track(files, description, len(files)):
        if not file.is_file():
            began = time.monotonic()
            outputs = teacher.outputs(chunk, context)
            note_seconds(file, time.monotonic() - began)
            replace_file(file, lambda path, outputs=outputs: np.save(path, outputs))  # type: ignore[misc]
        parts.append(np.load(file))
    return np.concatenate(parts) if parts else np.zeros((0, teacher.columns), np.float32)


def labelling_seconds(teacher: Teacher, context: str, texts: Sequence[str], cache: Path) -> float | None:
    """How long `teacher_outputs` took for these texts; None if it is not known."""
    return seconds_of({file for file, _ in _files(teacher, context, texts, cache)})


def _files(teacher: Teacher, context: str, texts: Sequence[str], cache: Path) -> list[tuple[Path, Sequence[str]]]:
    """Each chunk of texts with the file that keeps its outputs, in order."""
    chunks = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
    return [(cache / "outputs" / teacher.key / f"{key_of_texts([context, *chunk])}.npy", chunk) for chunk in chunks]
