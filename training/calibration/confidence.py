"""Fit a model's confidence, prediction sets and intervals on marked responses that it did not learn."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.bundle import Calibration, Interval, PredictionSet
from app.scoring.decoding import CERTAIN, Outputs, softmax

COVERAGE = 0.9  # share of human scores that prediction sets, and intervals about grades, are to hold
RANGE = 5.0  # the search covers temperatures from 1 / RANGE to RANGE
ENOUGH = 30  # responses; with fewer nothing is fitted
RIDGE = 0.003  # pulls slope and intercept to 1 and 0: a few hundred responses do not fix them


def choose_temperature(human: ArrayLike, outputs: Outputs) -> float:
    """Return the temperature with the smallest mean -log p of the human scores; 1 with fewer than ENOUGH responses.

    `human` (responses,) holds indices of choices and `outputs` (responses, choices) logits.  Temperature scaling:
    Guo et al. 2017, §4.2.
    """
    values = np.asarray(human, np.int64)
    if len(values) < ENOUGH:
        return 1.0

    # scipy comes with the training extra, and evaluation runs without that extra.
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(values))

    def loss(log_temperature: float) -> float:
        probabilities = softmax(outputs / math.exp(log_temperature))
        of_human = np.maximum(probabilities[rows, values], CERTAIN)
        return float(-np.log(of_human).mean())

    bound = math.log(RANGE)
    minimum = minimize_scalar(loss, bounds=(-bound, bound), method="bounded")
    return math.exp(float(minimum.x))


def choose_confidence(temperature: float, probability: ArrayLike, correct: ArrayLike) -> Calibration:
    """Return the calibration of a score's probability into the share of scores that raters gave too.

    `probability` (responses,) is the probability of the score given and `correct` (responses,) says whether the score
    equals the human one.  Logistic regression on log-odds (Platt 1999) with a small ridge; slope 1 and intercept 0 with
    fewer than ENOUGH responses.  The slope stays above 0, so that the order of confidences never turns round.
    """
    p = np.clip(np.asarray(probability, float), CERTAIN, 1 - CERTAIN)
    if len(p) < ENOUGH:
        return Calibration(temperature=temperature)
    from scipy.optimize import minimize

    odds, signs = np.log(p / (1 - p)), 2 * np.asarray(correct, float) - 1

    def loss(parameters: NDArray[np.float64]) -> float:
        slope, intercept = parameters
        logits = slope * odds + intercept
        fit = np.logaddexp(0, -signs * logits).mean()
        penalty = (slope - 1) ** 2 + intercept**2
        return float(fit + RIDGE * penalty)

    slope, intercept = minimize(loss, [1.0, 0.0], bounds=[(0.05, None), (None, None)], method="L-BFGS-B").x
    return Calibration(temperature=temperature, slope=float(slope), intercept=float(intercept))


def choose_set(human: ArrayLike, probabilities: NDArray[np.float64]) -> PredictionSet:
    """Return the least probability of a choice in a prediction set, so that sets hold COVERAGE of the human scores.

    `human` (responses,) holds indices of choices, `probabilities` (responses, choices).  Split conformal prediction,
    least ambiguous sets (Sadinle, Lei & Wasserman 2019).  With too few responses a set holds every choice and promises
    nothing.
    """
    rows, values = np.arange(len(probabilities)), np.asarray(human, np.int64)
    limit = _conformal_quantile(-probabilities[rows, values])
    return PredictionSet(coverage=None, least=0.0) if limit is None else PredictionSet(coverage=COVERAGE, least=-limit)


def choose_interval(targets: Sequence[float], outputs: Outputs) -> Interval:
    """Return the half-width of intervals, in predicted standard deviations, that hold COVERAGE of held-out grades.

    `targets` (responses,) are grades as shares of their scale; `outputs` (responses, 2) mean and variance.  Split
    conformal prediction with normalised residuals (Lei et al. 2018, §5.2).  With too few grades the interval is the
    whole scale and promises nothing.
    """
    mean, variance = outputs[:, 0], outputs[:, 1]
    residuals = np.abs(np.asarray(targets) - mean) / np.sqrt(variance)
    limit = _conformal_quantile(residuals)
    if limit is None:
        return Interval(coverage=None, deviations=None)
    return Interval(coverage=COVERAGE, deviations=max(1e-3, limit))


def _conformal_quantile(nonconformity: NDArray[np.float64]) -> float | None:
    """Return the value that the next exchangeable response exceeds at most as often as COVERAGE allows.

    The value has rank ⌈(n + 1) · COVERAGE⌉ among the n given (Vovk, Gammerman & Shafer 2005).  None where n is less
    than this rank: a new response exceeds even the largest of eight values once in nine times.
    """
    rank = math.ceil((len(nonconformity) + 1) * COVERAGE)
    if rank > len(nonconformity):
        return None
    return float(np.sort(nonconformity)[rank - 1])
