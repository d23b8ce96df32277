"""From a model's outputs to scores.  A teacher's and a student's outputs mean the same and are decoded here alike.

Outputs are (responses, columns): a logit for each score or label; or, for grades, the mean and the variance of the
grade as a share of the scale (0 the smallest, 1 the largest).
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
CERTAIN = 1e-6  # no probability is taken to be surer


@dataclass(frozen=True, slots=True)
class Score:
    """What a model gives one response.  `value` is the points, the index of the label, or the grade."""

    value: int | float
    expected: float | None  # Σ p·score, or the mean grade; None for nominal items
    probabilities: tuple[float, ...] | None  # None for grades
    interval: tuple[float, float] | None  # grades only: holds a human grade as often as the head's coverage says
    confidence: float  # that a rater would give this score, or a grade within the item's tolerance
    prediction_set: tuple[int, ...] | None = None  # values, ascending; holds a human score as often; None for grades


def output_columns(item: Item) -> int:
    """How many columns a model's outputs have."""
    return 2 if item.is_continuous else item.choices


def decode(outputs: Outputs, item: Item, head: Head) -> list[Score]:
    """One score a response, in order."""
    if head.interval is not None:
        return [_grade(float(mean), float(variance), item, head) for mean, variance in outputs]
    return [_choice(_probabilities(row, head.calibration.temperature), item, head) for row in outputs.tolist()]


def _probabilities(logits: list[float], temperature: float) -> tuple[float, ...]:
    """As softmax gives them; numpy's calls for a handful of numbers take several times as long."""
    top = max(logits)
    weights = [math.exp((logit - top) / temperature) for logit in logits]
    total = sum(weights)
    return tuple([weight / total for weight in weights])


def _choice(row: tuple[float, ...], item: Item, head: Head) -> Score:
    mean = sum([number * probability for number, probability in enumerate(row)])
    choice = row.index(max(row)) if head.cuts is None else bisect_right(head.cuts, mean)
    return Score(
        value=choice,
        expected=item.score(mean),
        probabilities=row,
        interval=None,
        confidence=confidence(row[choice], head.calibration),
        prediction_set=None if head.prediction_set is None else _set(row, choice, item, head.prediction_set),
    )


def confidence(probability: float, calibration: Calibration) -> float:
    """σ(slope · logit(p) + intercept), p kept from 0 and 1 by CERTAIN."""
    p = min(1 - CERTAIN, max(CERTAIN, probability))
    odds = calibration.slope * math.log(p / (1 - p)) + calibration.intercept
    return 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0  # beyond, exp overflows


def _set(row: tuple[float, ...], choice: int, item: Item, own: PredictionSet) -> tuple[int, ...]:
    held = {choice, *(number for number, probability in enumerate(row) if probability >= own.least)}
    return tuple(range(min(held), max(held) + 1) if item.is_ordered else sorted(held))


def _grade(mean: float, variance: float, item: Item, head: Head) -> Score:
    """Return the score of a grade.

    Raters' grades are taken to be normal about the mean, and all that would lie off the scale to lie at its end.
    Their deviation is the one that the interval's coverage gives; where nothing is promised, the model's own.
    """
    interval = head.interval
    if interval is None:
        raise ValueError("a grade needs an interval")
    grade = min(1.0, max(0.0, mean))
    deviation, half = math.sqrt(variance), math.inf
    if interval.coverage is not None and interval.deviations is not None:
        half = interval.deviations * deviation
        deviation = half / _NORMAL.inv_cdf(0.5 + interval.coverage / 2)
    tolerance = item.tolerance / item.span
    below = _NORMAL.cdf((grade - tolerance - mean) / deviation) if grade > tolerance else 0.0
    beneath_upper = _NORMAL.cdf((grade + tolerance - mean) / deviation) if grade < 1 - tolerance else 1.0
    bottom, top = float(item.lowest), float(item.highest)

    def on_scale(share: float) -> float:
        return min(top, bottom + item.span * min(1.0, max(0.0, share)))

    return Score(
        value=on_scale(mean),
        expected=on_scale(mean),
        probabilities=None,
        interval=(on_scale(mean - half), on_scale(mean + half)),
        confidence=confidence(beneath_upper - below, head.calibration),
    )


def distribution(outputs: Outputs, item: Item) -> NDArray[np.float64]:
    """Outputs made comparable: the probabilities of scores or labels; mean and variance of grades as they are."""
    return np.asarray(outputs, np.float64) if item.is_continuous else softmax(outputs)


def softmax(logits: Outputs) -> NDArray[np.float64]:
    """(responses, choices) → the same shape, each row summing to 1."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def expected_choice(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """(responses, choices) → Σ p·choice for each response."""
    return np.asarray(probabilities @ np.arange(probabilities.shape[1]))
