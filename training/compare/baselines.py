"""Competitors that know no network: the commonest score, and linear models of TF-IDF features."""

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
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
    return [_linear(parts, budget) for parts in run.parts]


def linear_within_budget(run: GroupRun, seed: int) -> list[Competitor]:
    return linear(run, seed, PARAMETER_BUDGET)


def _linear(parts: Parts, budget: int | None) -> Competitor:
    """Fitted to all marked rows; its head is chosen by folds of them."""
    began = time.monotonic()
    texts = [row.text for row in parts.marked]
    target = targets(parts.item, [row.value for row in parts.marked])
    model = Linear(parts.item, texts, target, budget)
    seconds = time.monotonic() - began
    held_out = np.ones((len(texts), output_columns(parts.item)))
    for fit, rest in KFold(min(FOLDS, len(texts)), shuffle=True, random_state=0).split(texts) if len(texts) > 1 else ():
        fold = Linear(parts.item, [texts[number] for number in fit], target[fit], budget)
        held_out[rest] = fold.outputs([texts[number] for number in rest])
    whole = Parts(parts.item, (), parts.marked, parts.dev, ())
    out_of_fold = Unfitted(whole, held_out)
    runtimes = partial(_runtimes, model)
    return Competitor(model.outputs, model.parameters, seconds, runtimes, out_of_fold)


def _runtimes(model: Linear) -> list[Runtime]:
    return [Runtime("scikit-learn", model.bytes, model.outputs)]


def constant(run: GroupRun, _: int) -> list[Competitor]:
    """The item's commonest score or label, or the mean of its grades."""
    return [_constant(parts) for parts in run.parts]


def _constant(parts: Parts) -> Competitor:
    item = parts.item
    target = targets(item, [row.value for row in parts.marked])
    row = np.array([target.mean(), target.var() + TINY])
    if not item.is_continuous:
        row = np.log(np.bincount(target.astype(int), minlength=item.choices) / len(target) + TINY)

    def outputs(texts: Sequence[str]) -> Outputs:
        return np.tile(row, (len(texts), 1))

    head = None if item.is_continuous else Head(cuts=None)
    return Competitor(outputs, len(row), 0.0, list, head=head)
