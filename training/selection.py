"""Choices made inside train: which figure stops early, where cuts and threshold lie."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.agreement import (
    MIN_PAIRS,
    exact_agreement,
    macro_f1,
    quadratic_weighted_kappa,
    root_mean_squared_error,
)
from app.scoring.decoding import Outputs, expected_choice, softmax
from app.scoring.item import Item

RESAMPLES = 200
CERTAINTY = NormalDist().inv_cdf(0.95)  # standard errors
MIN_ACCEPTED = 30  # fewer accepted responses say nothing about agreement
LEAST_QWK = 0.2  # what expects less of itself is not taken further apart
MOST_STEPS = 50  # of an iteration that takes some five


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


def choose_cuts(
    item: Item, human: Sequence[float], outputs: Outputs, mean: float | None = None
) -> tuple[float, ...] | None:
    """Cuts between the scores of ordered scales that reach the highest QWK with a rater which `outputs` let expect.

    QWK is 1 - N / D: N is the mean of (h - m)² over all responses, D its mean over all pairs of one response's human
    and another's machine score.  Their expectations under the outputs' probabilities are both sums over responses, each
    of its own m alone, so Dinkelbach's iteration (Management Science 13, 1967) finds the ways to score of the smallest
    ratio.  It gives each response the score nearest to μ + (e - μ) / κ: e its expected score, μ the mean of these, κ
    the QWK so reached, or LEAST_QWK if that is more.  What models shrink towards the middle is so taken apart again, as
    far as they are to be relied on.

    `outputs` (responses, choices), calibrated, are of responses whose human scores were not fitted; they need none.  A
    score that is not in `human` is never given.  `mean`: what raters give such responses in the mean, if that is known
    better than by the outputs; expected scores are shifted to it first.
    """
    if not item.is_ordered:
        return None
    given = np.unique(np.asarray(human, np.int64))
    middles = (given[1:] + given[:-1]) / 2
    probabilities = softmax(outputs)
    expected = expected_choice(probabilities)
    of_outputs, square = expected.mean(), (probabilities @ np.arange(item.choices) ** 2).mean()
    of_raters = of_outputs if mean is None else mean
    reached = 1.0  # as rounding has it
    for _ in range(MOST_STEPS):
        cuts = of_outputs + max(reached, LEAST_QWK) * (middles - of_raters)
        machine = given[np.searchsorted(cuts, expected, side="right")]
        covariance = (expected * machine).mean() - of_outputs * machine.mean()
        spread = square - of_outputs**2 + machine.var() + (of_raters - machine.mean()) ** 2
        before, reached = reached, 2 * covariance / spread if spread > 0 else 0.0
        if reached == before:
            break
    # What is below all that raters gave is reached by every expected score, what is above by none.
    around = [0.0, *np.clip(cuts, 0.0, item.choices).tolist(), float(item.choices)]
    return tuple(around[number] for number in np.searchsorted(given, np.arange(item.choices - 1), side="right"))


def target_for(item: Item, pairs: Sequence[tuple[float, float]], default: float, human_margin: float) -> float:
    """Agreement wanted of accepted scores, as `choose_threshold` takes it: the human raters' own less a margin; the
    default with fewer than MIN_PAIRS.  `pairs`: two raters' scores of responses, those of several items as shares of
    their scales.
    """
    if len(pairs) < MIN_PAIRS:
        return default
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    own = quadratic_weighted_kappa(first, second) if item.is_ordered else exact_agreement(first, second)
    return default if np.isnan(own) else own - human_margin


def choose_threshold(
    confidence: ArrayLike, human: ArrayLike, machine: ArrayLike, target: float, *, ordered: bool
) -> float | None:
    """The lowest confidence from which all more confident scores reach the target, or None if no MIN_ACCEPTED do.

    What must reach it is their QWK, or of labels without order their exact agreement, less what it may be off: the
    lower end of a one-sided 95 % interval (normal, standard errors by bootstrap).  The lowest confidence of many that
    seem to reach a target would often not reach it again.
    """
    c, h, m = (np.asarray(values, float) for values in (confidence, human, machine))
    order = np.argsort(-c, kind="stable")
    c, h, m = c[order], h[order], m[order]
    if not len(c):
        return None
    drawn = np.random.default_rng(0).multinomial(len(c), np.full(len(c), 1 / len(c)), RESAMPLES)
    error = np.std([curve(h, m, ordered=ordered, times=times) for times in drawn], axis=0)
    last_of_equals = np.append(np.diff(c) != 0, True)
    reached = (curve(h, m, ordered=ordered) - CERTAINTY * error >= target) & last_of_equals
    reached &= np.arange(1, len(c) + 1) >= MIN_ACCEPTED
    return float(c[np.flatnonzero(reached)[-1]]) if reached.any() else None


def curve(
    human: NDArray[np.float64],
    machine: NDArray[np.float64],
    *,
    ordered: bool,
    times: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """(responses,): QWK, or exact agreement, of the first 1, 2, ... responses, each counted so many `times` (once);
    NaN where it is undefined.
    """
    w = np.ones(len(human)) if times is None else times.astype(float)
    n = np.cumsum(w)
    with np.errstate(invalid="ignore", divide="ignore"):
        if not ordered:
            return np.asarray(np.cumsum(w * (human == machine)) / n)
        mean_h, mean_m = np.cumsum(w * human) / n, np.cumsum(w * machine) / n
        covariance = np.cumsum(w * human * machine) / n - mean_h * mean_m
        variances = np.cumsum(w * human**2) / n - mean_h**2 + np.cumsum(w * machine**2) / n - mean_m**2
        denominator = variances + (mean_h - mean_m) ** 2
        return np.where(denominator > 1e-12, 2 * covariance / denominator, np.nan)
