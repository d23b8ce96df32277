"""Agreement between two raters, human or machine.  Names and formulas are those of ETS RSMTool (doc/evaluation.rst).

Every metric compares two lists of scores of shape (responses,), H of humans and M of a machine.  It raises
UnpairedScores if the lists are empty or if their shapes differ.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from app.scoring.bundle_files import FrozenModel
from app.scoring.errors import ScoringError

Scores = NDArray[np.float64]
Raters = tuple[ArrayLike, ArrayLike]  # the scores of two human raters for the same responses
MIN_PAIRS = 30  # With fewer double-scored responses, the agreement of raters counts as unknown.
ROUNDING = 1e-9  # Scores that differ by a tolerance may differ by slightly more in floating point.


class Agreement(FrozenModel):
    """Agreement of machine scores with human scores.  A figure is None where it is undefined."""

    n: int = Field(ge=1, description="Number of responses.")
    exact: float = Field(description="Share of equal scores. Grades are equal if within a tenth of the scale.")
    adjacent: float | None = Field(description="Share of scores at most one apart. Points and ordinal labels only.")
    qwk: float | None = Field(description="Quadratic weighted kappa. Ordered scales only.")
    smd: float | None = Field(
        description="Standardised mean difference: (mean machine - mean human) / SD human. Ordered scales only."
    )
    macro_f1: float | None = Field(description="Mean F1 over the scores that either rater used. Not for grades.")
    rmse: float | None = Field(default=None, description="Root mean squared error. Grades only.")
    mae: float | None = Field(default=None, description="Mean absolute error. Grades only.")
    pearson: float | None = Field(default=None, description="Pearson correlation. Grades only.")
    coverage: float | None = Field(
        default=None, description="Share of human grades inside the machine's intervals. Grades only."
    )
    human_qwk: float | None = Field(description="QWK between two human raters, if available.")
    human_exact: float | None = Field(description="Exact agreement between two human raters, if available.")
    human_rmse: float | None = Field(default=None, description="RMSE between two human raters. Grades only.")
    human_n: int | None = Field(default=None, ge=1, description="Number of double-scored responses.")


class UnpairedScores(ScoringError, ValueError):
    """Two lists of scores that cannot be compared pair by pair."""


def quadratic_weighted_kappa(human: ArrayLike, machine: ArrayLike) -> float:
    """Return quadratic weighted kappa (QWK): 1 is perfect agreement, 0 is chance.

    QWK = 2 cov(H, M) / (var(H) + var(M) + (mean(H) - mean(M))^2), with N in the denominators (Haberman 2019).
    For whole scores the value equals the confusion-matrix form; the formula is also defined for real scores.
    NaN if every score of both raters is equal.
    """
    h, m = _pair(human, machine)
    if _all_equal(h, m):
        return float("nan")
    denominator = h.var() + m.var() + (h.mean() - m.mean()) ** 2
    return float(2 * _covariance(h, m) / denominator)


def cohens_kappa(human: ArrayLike, machine: ArrayLike) -> float:
    """Return unweighted kappa: agreement of labels beyond chance, independent of their order.

    κ = (p_o - p_e) / (1 - p_e), where p_o is the share of equal labels and p_e = Σ_c p_H(c) p_M(c) is the share
    expected by chance (Cohen 1960, "A coefficient of agreement for nominal scales", Educational and Psychological
    Measurement 20:37-46; RSMTool's `kappa`).  NaN if every label of both raters is equal.
    """
    h, m = _pair(human, machine)
    if _all_equal(h, m):
        return float("nan")
    by_chance = 0.0
    for label in np.union1d(h, m):
        by_chance += float((h == label).mean() * (m == label).mean())
    observed = float((h == m).mean())
    return (observed - by_chance) / (1 - by_chance)


def exact_agreement(human: ArrayLike, machine: ArrayLike, tolerance: float = 0.0) -> float:
    """Return the share of responses whose two scores differ by at most `tolerance`, in units of the scale."""
    return float(equal_scores(human, machine, tolerance).mean())


def equal_scores(human: ArrayLike, machine: ArrayLike, tolerance: float = 0.0) -> NDArray[np.bool_]:
    """Return for each response whether its two scores differ by at most `tolerance`: shape (responses,)."""
    h, m = _pair(human, machine)
    return np.asarray(np.abs(h - m) <= tolerance + ROUNDING)


def adjacent_agreement(human: ArrayLike, machine: ArrayLike) -> float:
    """Return the share of responses whose scores are at most one apart, as RSMTool's exact + adjacent."""
    h, m = _pair(human, machine)
    distance = np.abs(h - m)
    return float((distance <= 1).mean())


def standardised_mean_difference(human: ArrayLike, machine: ArrayLike) -> float:
    """Return SMD = (mean(M) - mean(H)) / SD(H), with N - 1 in the SD (RSMTool, human as denominator).

    NaN if the human scores do not vary.
    """
    h, m = _pair(human, machine)
    if np.ptp(h) == 0:
        return float("nan")
    difference = m.mean() - h.mean()
    return float(difference / h.std(ddof=1))


def macro_f1(human: ArrayLike, machine: ArrayLike) -> float:
    """Return the unweighted mean of F1 over the scores that either rater used.

    F1(c) = 2 |H = c and M = c| / (|H = c| + |M = c|).
    """
    h, m = _pair(human, machine)
    f1 = []
    for choice in np.union1d(h, m):
        by_human, by_machine = h == choice, m == choice
        uses = np.sum(by_human) + np.sum(by_machine)
        common = np.sum(by_human & by_machine)
        f1.append(2 * common / uses)
    return float(np.mean(f1))


def root_mean_squared_error(human: ArrayLike, machine: ArrayLike) -> float:
    """Return RMSE = sqrt(mean((M - H)^2)), in units of the scale."""
    h, m = _pair(human, machine)
    squared_errors = (m - h) ** 2
    return float(np.sqrt(squared_errors.mean()))


def mean_absolute_error(human: ArrayLike, machine: ArrayLike) -> float:
    """Return MAE = mean(|M - H|), in units of the scale."""
    h, m = _pair(human, machine)
    return float(np.abs(m - h).mean())


def pearson_correlation(human: ArrayLike, machine: ArrayLike) -> float:
    """Return Pearson's r = cov(H, M) / (SD(H) SD(M)); NaN if either list does not vary."""
    h, m = _pair(human, machine)
    if np.ptp(h) == 0 or np.ptp(m) == 0:
        return float("nan")
    return float(_covariance(h, m) / (h.std() * m.std()))


def interval_coverage(human: ArrayLike, intervals: ArrayLike) -> float:
    """Return the share of human grades inside their intervals, both ends included.

    Args:
        human: grades, shape (responses,), in units of the scale.
        intervals: lower and upper ends, shape (responses, 2), in units of the scale.
    """
    h = np.asarray(human, float)
    lower, upper = np.asarray(intervals, float).T
    inside = (lower - ROUNDING <= h) & (h <= upper + ROUNDING)
    return float(inside.mean())


def agreement(human: ArrayLike, machine: ArrayLike, *, ordered: bool, raters: Raters | None = None) -> Agreement | None:
    """Return every figure for points or labels, or None without responses.

    Args:
        human: values of human scores, counted from 0, shape (responses,).
        machine: values of machine scores, shape (responses,).
        ordered: whether the scale has an order; without order QWK, SMD and adjacent agreement are None.
        raters: scores of two human raters for the double-scored responses, if there are any.

    Raises:
        UnpairedScores: the shapes of two lists differ.
    """
    h, m = np.asarray(human, float), np.asarray(machine, float)
    if not len(h):
        return None
    ordered_figures: dict[str, Any] = {"adjacent": None, "qwk": None, "smd": None}
    if ordered:
        ordered_figures = {
            "adjacent": adjacent_agreement(h, m),
            "qwk": none_if_nan(quadratic_weighted_kappa(h, m)),
            "smd": none_if_nan(standardised_mean_difference(h, m)),
        }
    rater_figures: dict[str, Any] = {"human_qwk": None, "human_exact": None}
    if raters:
        rater_figures = {"human_exact": exact_agreement(*raters), "human_n": np.size(raters[0]), "human_qwk": None}
        if ordered:
            rater_figures["human_qwk"] = none_if_nan(quadratic_weighted_kappa(*raters))
    return Agreement(n=len(h), exact=exact_agreement(h, m), macro_f1=macro_f1(h, m), **ordered_figures, **rater_figures)


def grade_agreement(
    human: ArrayLike, machine: ArrayLike, intervals: ArrayLike, *, tolerance: float, raters: Raters | None = None
) -> Agreement | None:
    """Return every figure for grades of a continuous scale, or None without responses.

    Args:
        human: human grades, shape (responses,), in units of the scale.
        machine: machine grades, shape (responses,).
        intervals: lower and upper ends of the machine's intervals, shape (responses, 2).
        tolerance: largest difference at which two grades count as equal, in units of the scale.
        raters: grades of two human raters for the double-scored responses, if there are any.

    Raises:
        UnpairedScores: the shapes of two lists differ.
    """
    h, m = np.asarray(human, float), np.asarray(machine, float)
    if not len(h):
        return None
    rater_figures: dict[str, Any] = {"human_qwk": None, "human_exact": None}
    if raters:
        rater_figures = {
            "human_qwk": none_if_nan(quadratic_weighted_kappa(*raters)),
            "human_exact": exact_agreement(*raters, tolerance),
            "human_rmse": root_mean_squared_error(*raters),
            "human_n": np.size(raters[0]),
        }
    return Agreement(
        n=len(h),
        exact=exact_agreement(h, m, tolerance),
        adjacent=None,
        qwk=none_if_nan(quadratic_weighted_kappa(h, m)),
        smd=none_if_nan(standardised_mean_difference(h, m)),
        macro_f1=None,
        rmse=root_mean_squared_error(h, m),
        mae=mean_absolute_error(h, m),
        pearson=none_if_nan(pearson_correlation(h, m)),
        coverage=interval_coverage(h, intervals),
        **rater_figures,
    )


def none_if_nan(value: float) -> float | None:
    """Return the value, or None for NaN, which JSON cannot hold."""
    return None if np.isnan(value) else value


def _pair(human: ArrayLike, machine: ArrayLike) -> tuple[Scores, Scores]:
    h, m = np.asarray(human, float), np.asarray(machine, float)
    if h.shape != m.shape or h.ndim != 1 or not len(h):
        sentence = f"the two lists of scores must not be empty and must be equally long, not {h.shape} and {m.shape}"
        raise UnpairedScores(sentence, human=h.shape, machine=m.shape)
    return h, m


def _all_equal(h: Scores, m: Scores) -> bool:
    """Return whether all scores are equal.  Rounding of their mean may leave a variance slightly above 0."""
    return bool(np.ptp([h, m]) == 0)


def _covariance(h: Scores, m: Scores) -> float:
    products = (h - h.mean()) * (m - m.mean())
    return float(products.mean())
