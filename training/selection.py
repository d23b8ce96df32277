"""Choices made on the validation part: which figure decides, how outputs become scores, where the threshold lies."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from app.scoring.agreement import exact_agreement, macro_f1, quadratic_weighted_kappa, root_mean_squared_error
from app.scoring.bundle import Head, Interval
from app.scoring.decoding import Outputs, expected_choice, softmax
from app.scoring.item import Item
from training.datasets.responses import MarkedResponse

MIN_ACCEPTED = 20  # fewer accepted responses say nothing about agreement
COVERAGE = 0.9  # of the intervals about grades


def figure_of_merit(item: Item, targets: Sequence[float], outputs: Outputs) -> float:
    """What early stopping goes by; the higher the better.

    Macro-F1 of the most probable label; for ordered scales the QWK of the expected score, which varies less than that
    of decoded ones (0 where it is undefined); for grades the RMSE, negative, as a share of the scale.
    """
    if item.is_continuous:
        return -root_mean_squared_error(targets, outputs[:, 0])
    if not item.is_ordered:
        return macro_f1(targets, outputs.argmax(axis=1))
    return float(np.nan_to_num(quadratic_weighted_kappa(targets, expected_choice(softmax(outputs)))))


def choose_cuts(item: Item, human: Sequence[float], outputs: Outputs) -> Head:
    """Equipercentile linking for ordered scales (Kolen & Brennan 2014, ch. 2): the cuts give each score the share of
    responses that it has in the human scores `human`.  `outputs` (responses, choices) are of responses from the same
    population whose human scores were not fitted; they need none.

    Models shrink towards the middle and the common; linked scores do not, which is what QWK and SMD ask for.
    """
    if not item.is_ordered:
        return Head(cuts=None)
    shares = np.cumsum(np.bincount(np.asarray(human, np.int64), minlength=item.choices))[:-1] / len(human)
    cuts = np.quantile(expected_choice(softmax(outputs)), shares)
    # What no rater ever gave is not given: every expected score reaches 0, none reaches `choices`.
    cuts[shares == 0], cuts[shares == 1] = 0.0, item.choices
    return Head(cuts=tuple(map(float, cuts)))


def choose_interval(targets: Sequence[float], outputs: Outputs) -> Head:
    """Split conformal prediction with normalised residuals (Lei et al. 2018, §5.2): the interval that would have held
    COVERAGE of these grades, which were not fitted.
    """
    residuals = np.abs(np.asarray(targets) - outputs[:, 0]) / np.sqrt(outputs[:, 1])
    rank = min(len(residuals), math.ceil((len(residuals) + 1) * COVERAGE))  # of n + 1 exchangeable residuals
    deviations = max(1e-3, float(np.sort(residuals)[rank - 1]))
    return Head(cuts=None, interval=Interval(coverage=COVERAGE, deviations=deviations))


def target_for(item: Item, rows: Sequence[MarkedResponse], default: float, human_margin: float) -> float:
    """Exact agreement wanted of accepted scores: the human raters' own less a margin; the default with one rater."""
    pairs = [row.raters for row in rows if row.raters is not None]
    if not pairs:
        return default
    return exact_agreement([a for a, _ in pairs], [b for _, b in pairs], item.tolerance) - human_margin


def choose_threshold(confidence: ArrayLike, correct: ArrayLike, target: float) -> float | None:
    """The lowest confidence from which all more confident scores reach the target's exact agreement.

    None where no MIN_ACCEPTED or more responses do.
    """
    c, ok = np.asarray(confidence, float), np.asarray(correct, float)
    order = np.argsort(-c, kind="stable")
    accuracy = np.cumsum(ok[order]) / np.arange(1, len(c) + 1)
    last_of_equals = np.append(np.diff(c[order]) != 0, True)
    reached = (accuracy >= target) & last_of_equals & (np.arange(1, len(c) + 1) >= MIN_ACCEPTED)
    return float(c[order][np.flatnonzero(reached)[-1]]) if reached.any() else None
