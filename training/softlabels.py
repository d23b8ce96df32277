"""The teacher's logits for any text, kept on disk by the hash of teacher and text.

Logits, not probabilities: the temperature is chosen later.  Kept in chunks named by their texts in order, so that a
teacher's row can never meet another text.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.cache import key_of_texts, replace_file
from training.progress import track
from training.teacher import Teacher

CHUNK = 1024


def teacher_logits(teacher: Teacher, texts: Sequence[str], description: str, cache: Path) -> NDArray[np.float32]:
    """(texts, choices), row i for text i."""
    chunks = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
    folder = cache / "logits" / teacher.key
    parts = []
    for chunk in track(chunks, description, len(chunks)):
        file = folder / f"{key_of_texts(chunk)}.npy"
        if not file.is_file():
            logits = teacher.logits(chunk)
            replace_file(file, lambda path, logits=logits: np.save(path, logits))  # type: ignore[misc]
        parts.append(np.load(file))
    return np.concatenate(parts) if parts else np.zeros((0, teacher.choices), np.float32)
