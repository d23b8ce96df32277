"""Choices made inside train: which figure stops early, where cuts and threshold lie."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.agreement import exact_agreement, macro_f1, quadratic_weighted_kappa, root_mean_squared_error
from app.scoring.decoding import Outputs, expected_choice, softmax
from app.scoring.item import Item
from training.datasets.responses import MarkedResponse

RESAMPLES = 200
CERTAINTY = NormalDist().inv_cdf(0.95)  # standard errors
MIN_ACCEPTED = 30  # fewer accepted responses say nothing about agreement


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


def choose_cuts(item: Item, human: Sequence[float], outputs: Outputs) -> tuple[float, ...] | None:
    """Equipercentile linking for ordered scales (Kolen & Brennan 2014, ch. 2): the cuts give each score the share of
    responses that it has in the human scores `human`.  `outputs` (responses, choices) are of responses from the same
    population whose human scores were not fitted; they need none.

    Models shrink towards the middle and the common; linked scores do not, which is what QWK and SMD ask for.
    """
    if not item.is_ordered:
        return None
    shares = np.cumsum(np.bincount(np.asarray(human, np.int64), minlength=item.choices))[:-1] / len(human)
    cuts = np.quantile(expected_choice(softmax(outputs)), shares)
    # What no rater ever gave is not given: every expected score reaches 0, none reaches `choices`.
    cuts[shares == 0], cuts[shares == 1] = 0.0, item.choices
    return tuple(map(float, cuts))


def target_for(item: Item, rows: Sequence[MarkedResponse], default: float, human_margin: float) -> float:
    """Agreement wanted of accepted scores, as `choose_threshold` takes it: the human raters' own less a margin; the
    default with one rater.
    """
    pairs = [row.raters for row in rows if row.raters is not None]
    if not pairs:
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
