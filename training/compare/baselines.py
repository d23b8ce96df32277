"""Competitors without a network: the commonest score, and linear models of TF-IDF features."""

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from app.scoring.bundle import Head
from app.scoring.decoding import Outputs, output_columns
from training.calibration.choose import Unfitted
from training.compare.contest import Competitor, Runtime
from training.compare.linear import TINY, Linear
from training.config import PARAMETER_BUDGET
from training.data.splits import Parts
from training.data.targets import targets
from training.pipeline.group_run import GroupRun

FOLDS = 5


def linear(run: GroupRun, _: int, budget: int | None = None) -> list[Competitor]:
    """Return a linear model of each item, with at most `budget` weights if a budget is given."""
    return [_linear(parts, budget) for parts in run.parts]


def linear_within_budget(run: GroupRun, seed: int) -> list[Competitor]:
    """Return a linear model of each item with as many weights as a student may have."""
    return linear(run, seed, PARAMETER_BUDGET)


def _linear(parts: Parts, budget: int | None) -> Competitor:
    """Return a model fitted to all marked rows, with out-of-fold outputs for the choice of its head."""
    began = time.monotonic()
    texts = [row.text for row in parts.marked]
    target = targets(parts.item, [row.value for row in parts.marked])
    model = Linear(parts.item, texts, target, budget)
    seconds = time.monotonic() - began
    all_marked = Parts(parts.item, (), parts.marked, parts.dev, ())
    unfitted = Unfitted(all_marked, _out_of_fold(parts, texts, target, budget))
    runtimes = partial(_runtimes, model)
    return Competitor(model.outputs, model.parameters, seconds, runtimes, unfitted)


def _out_of_fold(parts: Parts, texts: Sequence[str], target: NDArray[np.float64], budget: int | None) -> Outputs:
    """Return (texts, columns): the outputs of models fitted without the text's fold."""
    outputs = np.ones((len(texts), output_columns(parts.item)))
    if len(texts) < 2:
        return outputs
    folds = KFold(min(FOLDS, len(texts)), shuffle=True, random_state=0)
    for fit, rest in folds.split(texts):
        model = Linear(parts.item, [texts[number] for number in fit], target[fit], budget)
        outputs[rest] = model.outputs([texts[number] for number in rest])
    return outputs


def _runtimes(model: Linear) -> list[Runtime]:
    return [Runtime("scikit-learn", model.bytes, model.outputs)]


def constant(run: GroupRun, _: int) -> list[Competitor]:
    """Return the commonest score or label of each item, or the mean of its grades."""
    return [_constant(parts) for parts in run.parts]


def _constant(parts: Parts) -> Competitor:
    item = parts.item
    target = targets(item, [row.value for row in parts.marked])
    row = np.array([target.mean(), target.var() + TINY])
    if not item.is_continuous:
        counts = np.bincount(target.astype(int), minlength=item.choices)
        row = np.log(counts / len(target) + TINY)

    def outputs(texts: Sequence[str]) -> Outputs:
        return np.tile(row, (len(texts), 1))

    head = None if item.is_continuous else Head(cuts=None)
    return Competitor(outputs, len(row), 0.0, list, head=head)
