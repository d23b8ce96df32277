"""Outputs for marked responses that the student was not fitted to: for each part of them, of a student of the rest.

The teacher stays the one that it is, and has seen them all; the student learns it from other texts only.
"""

from pathlib import Path

import numpy as np

from app.scoring.decoding import Outputs, columns
from training.config import TrainingConfig
from training.lesson import Lesson, Texts
from training.splits import Parts, folds
from training.students import make_student


def out_of_fold(
    parts: Parts, texts: Texts, lesson: Lesson, tokenizer: bytes, config: TrainingConfig, cache: Path
) -> Outputs:
    """(fit responses, columns), row i for parts.fit[i], which no word of the texts that its student learnt is from.

    Unlabelled text is everyone's.
    """
    outputs = np.zeros((len(parts.fit), columns(parts.item)), np.float32)
    for part in folds(parts.fit, config.calibration_folds, config.seed):
        rows = sorted(part)
        if not rows:
            continue
        files = make_student(parts.item, lesson.without(touched(part, texts)), tokenizer, config, cache)
        network = files.network(parts.item, config.student.max_tokens)
        outputs[rows] = network.outputs([parts.fit[row].text for row in rows])
    return outputs


def touched(part: set[int], texts: Texts) -> set[int]:
    """Rows of the lesson that are these marked responses, or made of them."""
    first = len(texts.written)
    return part | {first + number for number, sources in enumerate(texts.sources) if sources & part}
