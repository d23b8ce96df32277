"""Decode the outputs of a model into scores.  Outputs of teachers and students have the same meaning.

Outputs have shape (responses, columns).  For points and labels, each column is a logit.  For grades, the two columns
are mean and variance of the grade as a share of the scale, where 0 is the smallest grade and 1 the largest.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.scoring.bundle import Calibration, Head, PredictionSet
from app.scoring.item import Item

Outputs = NDArray[np.floating[Any]]
_NORMAL = NormalDist()
CERTAIN = 1e-6  # Probabilities are kept this far from 0 and 1.


@dataclass(frozen=True, slots=True)
class Score:
    """A model's score of one response.  `value` is an index of points or labels, or the grade."""

    value: int | float
    expected: float | None  # Σ p·score, or the mean grade; None for nominal items
    probabilities: tuple[float, ...] | None  # None for grades
    interval: tuple[float, float] | None  # grades only; contains a human grade as often as the head's coverage says
    confidence: float  # calibrated probability that a rater gives this score, or a grade within the item's tolerance
    prediction_set: tuple[int, ...] | None = None  # values, ascending; contains a human score as often; None for grades


def output_columns(item: Item) -> int:
    """Return the number of columns of a model's outputs."""
    return 2 if item.is_continuous else item.choices


def decode(outputs: Outputs, item: Item, head: Head) -> list[Score]:
    """Return the score of each response, in order.

    Args:
        outputs: outputs of a model, shape (responses, columns).
        item: the item with its scale.
        head: cuts, calibration, and prediction set or interval.
    """
    if head.interval is not None:
        return [_grade(float(mean), float(variance), item, head) for mean, variance in outputs]
    return [_choice(_probabilities(row, head.calibration.temperature), item, head) for row in outputs.tolist()]


def _probabilities(logits: list[float], temperature: float) -> tuple[float, ...]:
    """Return the softmax of one row.  For so few numbers, numpy takes several times as long."""
    top = max(logits)
    weights = [math.exp((logit - top) / temperature) for logit in logits]
    total = sum(weights)
    return tuple([weight / total for weight in weights])


def _choice(row: tuple[float, ...], item: Item, head: Head) -> Score:
    mean = sum([number * probability for number, probability in enumerate(row)])
    choice = row.index(max(row)) if head.cuts is None else bisect_right(head.cuts, mean)
    values = None
    if head.prediction_set is not None:
        values = _prediction_set(row, choice, item, head.prediction_set)
    return Score(
        value=choice,
        expected=item.score(mean),
        probabilities=row,
        interval=None,
        confidence=confidence(row[choice], head.calibration),
        prediction_set=values,
    )


def confidence(probability: float, calibration: Calibration) -> float:
    """Return the calibrated confidence σ(slope · logit(p) + intercept) of a probability p (Platt 1999).

    p is kept CERTAIN away from 0 and 1.
    """
    p = min(1 - CERTAIN, max(CERTAIN, probability))
    odds = p / (1 - p)
    logit = calibration.slope * math.log(odds) + calibration.intercept
    if logit <= -700:  # exp would overflow
        return 0.0
    return 1 / (1 + math.exp(-logit))


def _prediction_set(row: tuple[float, ...], choice: int, item: Item, calibrated: PredictionSet) -> tuple[int, ...]:
    probable = {number for number, probability in enumerate(row) if probability >= calibrated.least}
    probable.add(choice)
    if item.is_ordered:
        return tuple(range(min(probable), max(probable) + 1))
    return tuple(sorted(probable))


def _grade(mean: float, variance: float, item: Item, head: Head) -> Score:
    """Return the score of a grade.

    Raters' grades are assumed to be normal about the mean; the part of the distribution beyond an end of the scale
    counts as that end.  Their standard deviation follows from the interval's coverage; without a coverage it is the
    model's.
    """
    interval = head.interval
    if interval is None:
        raise ValueError("a grade needs an interval")
    grade = _on_unit(mean)
    deviation, half = math.sqrt(variance), math.inf
    if interval.coverage is not None and interval.deviations is not None:
        half = interval.deviations * deviation
        deviation = half / _NORMAL.inv_cdf(0.5 + interval.coverage / 2)
    tolerance = item.tolerance / item.span
    below, below_upper = 0.0, 1.0  # probability below the tolerance, and below its upper end
    if grade > tolerance:
        below = _NORMAL.cdf((grade - tolerance - mean) / deviation)
    if grade < 1 - tolerance:
        below_upper = _NORMAL.cdf((grade + tolerance - mean) / deviation)
    grade_given = _on_scale(mean, item)
    return Score(
        value=grade_given,
        expected=grade_given,
        probabilities=None,
        interval=(_on_scale(mean - half, item), _on_scale(mean + half, item)),
        confidence=confidence(below_upper - below, head.calibration),
    )


def _on_unit(share: float) -> float:
    return min(1.0, max(0.0, share))


def _on_scale(share: float, item: Item) -> float:
    """Return the grade at a share of the scale, at most the largest grade in floating point too."""
    return min(float(item.highest), float(item.lowest) + item.span * _on_unit(share))


def distribution(outputs: Outputs, item: Item) -> NDArray[np.float64]:
    """Return comparable outputs, shape (responses, columns): probabilities, or mean and variance of grades as given."""
    return np.asarray(outputs, np.float64) if item.is_continuous else softmax(outputs)


def softmax(logits: Outputs) -> NDArray[np.float64]:
    """Return probabilities of logits, both of shape (responses, choices).  Each row sums to 1."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def expected_choice(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Σ p·choice of each response, shape (responses,), from probabilities of shape (responses, choices)."""
    choices = np.arange(probabilities.shape[1])
    return np.asarray(probabilities @ choices)
