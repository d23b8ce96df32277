"""Out-of-fold outputs: of students that were distilled without the rows whose outputs they give.

The teacher stays the same and has seen all rows.  Each student learns its outputs from other texts only.
"""

import numpy as np

from app.scoring.decoding import Outputs, output_columns
from training.data.splits import folded, folds
from training.pipeline.group_run import GroupRun, ItemRun
from training.student.build import make_students
from training.student.training_set import Texts, TrainingSet


def out_of_fold(run: GroupRun) -> Outputs | None:
    """Return (fit rows, columns): the out-of-fold outputs for the one item of a run.

    Return None for items that share a teacher, which are calibrated together, and where the configuration asks for
    fewer than two folds.
    """
    if len(run.items) > 1 or run.config.calibration_folds < 2:
        return None
    [item_run], [training_set] = run.items, run.training_sets
    return outputs_of_folds(run, item_run, training_set)


def outputs_of_folds(run: GroupRun, item_run: ItemRun, training_set: TrainingSet) -> Outputs | None:
    """Return (fit rows, columns): row i is for `fit[i]`, by a student that read no text with words of this response.

    Return None where a fold leaves nothing to learn from.
    """
    item, rows = item_run.item, item_run.parts.fit
    outputs = np.zeros((len(rows), output_columns(item)), np.float32)
    for fold in folds(rows, run.config.calibration_folds, run.config.seed):
        if not fold:
            continue
        rest = training_set.without(touched(fold, item_run.texts))
        if not rest.texts:
            return None
        [files] = make_students([item], [rest], run.tokenizer, run.config, run.cache)
        network = files.network(item, run.config.student.max_tokens)
        numbers = sorted(fold)
        outputs[numbers] = network.outputs([rows[number].text for number in numbers])
    return outputs


def touched(fold: set[int], texts: Texts) -> set[int]:
    """Return the rows of a training set that hold words of the fold's marked responses.

    These are the responses themselves, equal texts that are unlabelled, and augmented texts made of them.
    """
    fold_texts = {folded(texts.marked[row]) for row in fold}
    equal = {row for row, text in enumerate(texts.written) if folded(text) in fold_texts}
    first = len(texts.written)
    augmented = {first + number for number, sources in enumerate(texts.sources) if sources & fold}
    return fold | equal | augmented
