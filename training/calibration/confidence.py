"""Fit a model's confidence, prediction sets and intervals on marked responses that it did not learn."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.bundle import Calibration, Interval, PredictionSet
from app.scoring.decoding import CERTAIN, Outputs, softmax

COVERAGE = 0.9  # of prediction sets, and of the intervals about grades
RANGE = 5.0  # temperatures are looked for from a fifth to five times
ENOUGH = 30  # responses; with fewer nothing is fitted
RIDGE = 0.003  # pulls slope and intercept to 1 and 0: a few hundred responses do not fix them


def choose_temperature(human: ArrayLike, outputs: Outputs) -> float:
    """The temperature of the smallest mean -log p of the human scores (Guo et al. 2017, §4.2); 1 with fewer than
    ENOUGH.  `human` (responses,) are whole values, `outputs` (responses, choices) logits.
    """
    values = np.asarray(human, np.int64)
    if len(values) < ENOUGH:
        return 1.0

    from scipy.optimize import minimize_scalar  # of the training extra: who only evaluates does not need it

    def loss(logarithm: float) -> float:
        given = softmax(outputs / math.exp(logarithm))[np.arange(len(values)), values]
        return float(-np.log(np.maximum(given, CERTAIN)).mean())

    found = minimize_scalar(loss, bounds=(-math.log(RANGE), math.log(RANGE)), method="bounded")
    return math.exp(float(found.x))


def choose_confidence(temperature: float, probability: ArrayLike, correct: ArrayLike) -> Calibration:
    """Logistic regression of being right on the log-odds of the score given (Platt 1999), with a small ridge.

    The slope stays above 0: a surer score is never taken for a less sure one.
    """
    p = np.clip(np.asarray(probability, float), CERTAIN, 1 - CERTAIN)
    if len(p) < ENOUGH:
        return Calibration(temperature=temperature)
    from scipy.optimize import minimize

    odds, signs = np.log(p / (1 - p)), 2 * np.asarray(correct, float) - 1

    def loss(parameters: NDArray[np.float64]) -> float:
        slope, intercept = parameters
        fit = np.logaddexp(0, -signs * (slope * odds + intercept)).mean()
        return float(fit + RIDGE * ((slope - 1) ** 2 + intercept**2))

    slope, intercept = minimize(loss, [1.0, 0.0], bounds=[(0.05, None), (None, None)], method="L-BFGS-B").x
    return Calibration(temperature=temperature, slope=float(slope), intercept=float(intercept))


def choose_set(human: ArrayLike, probabilities: NDArray[np.float64]) -> PredictionSet:
    """Return the limit of prediction sets: the largest that the probabilities of COVERAGE of these human scores reach.

    Split conformal prediction, least ambiguous sets (Sadinle, Lei & Wasserman 2019).  Where the scores are too few, a
    set holds everything and promises nothing.
    """
    given = probabilities[np.arange(len(probabilities)), np.asarray(human, np.int64)]
    limit = _quantile(-given)
    return PredictionSet(coverage=None, least=0.0) if limit is None else PredictionSet(coverage=COVERAGE, least=-limit)


def choose_interval(targets: Sequence[float], outputs: Outputs) -> Interval:
    """Return the interval that would have held COVERAGE of these grades, which were not fitted.

    Split conformal prediction with normalised residuals (Lei et al. 2018, §5.2).  Where the grades are too few, it is
    the whole scale and promises nothing.
    """
    residuals = np.abs(np.asarray(targets) - outputs[:, 0]) / np.sqrt(outputs[:, 1])
    limit = _quantile(residuals)
    if limit is None:
        return Interval(coverage=None, deviations=None)
    return Interval(coverage=COVERAGE, deviations=max(1e-3, limit))


def _quantile(nonconformity: NDArray[np.float64]) -> float | None:
    """Return the value that the next of n + 1 exchangeable ones exceeds at most as often as COVERAGE allows.

    Its rank is ⌈(n + 1) · COVERAGE⌉ (Vovk, Gammerman & Shafer 2005); None where fewer than that are there: of eight
    even the largest is exceeded once in nine times.
    """
    rank = math.ceil((len(nonconformity) + 1) * COVERAGE)
    return float(np.sort(nonconformity)[rank - 1]) if rank <= len(nonconformity) else None
