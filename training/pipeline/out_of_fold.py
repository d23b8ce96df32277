"""Outputs for marked responses that the student was not fitted to: for each part of them, of a student of the rest.

The teacher stays the one that it is, and has seen them all; the student learns it from other texts only.
"""

from pathlib import Path

import numpy as np

from app.scoring.decoding import Outputs, output_columns
from training.config import TrainingConfig
from training.data.splits import Parts, folded, folds
from training.pipeline.prepare import Taught, lessons_of
from training.student.build import make_students
from training.student.training_set import Texts, TrainingSet


def folds_of(taught: Taught, config: TrainingConfig, cache: Path) -> Outputs | None:
    """Return outputs out of fold for the fit rows of an item with its own teacher.

    None for items that are calibrated together.
    """
    if len(taught.parts) > 1 or config.calibration_folds < 2:
        return None
    [parts], [texts], [lesson] = taught.parts, taught.texts, lessons_of(taught, cache)
    return out_of_fold(parts, texts, lesson, taught.tokenizer, config, cache)


def out_of_fold(
    parts: Parts, texts: Texts, lesson: TrainingSet, tokenizer: bytes, config: TrainingConfig, cache: Path
) -> Outputs | None:
    """(fit responses, columns), row i for parts.fit[i], which no word of the texts that its student learnt is from.

    None where a part leaves nothing to learn from.
    """
    outputs = np.zeros((len(parts.fit), output_columns(parts.item)), np.float32)
    for part in folds(parts.fit, config.calibration_folds, config.seed):
        rows = sorted(part)
        rest = lesson.without(touched(part, texts))
        if not rows:
            continue
        if not rest.texts:
            return None
        [files] = make_students([parts.item], [rest], tokenizer, config, cache)
        network = files.network(parts.item, config.student.max_tokens)
        outputs[rows] = network.outputs([parts.fit[row].text for row in rows])
    return outputs


def touched(part: set[int], texts: Texts) -> set[int]:
    """Rows of the lesson that are these marked responses, stand in unlabelled text too, or are made of them."""
    held = {folded(texts.marked[row]) for row in part}
    twins = {row for row, text in enumerate(texts.written) if folded(text) in held}
    first = len(texts.written)
    return part | twins | {first + number for number, sources in enumerate(texts.sources) if sources & part}
