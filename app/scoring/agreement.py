"""Agreement between two raters, human or machine.  Names and formulas are those of ETS RSMTool (doc/evaluation.rst)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from app.scoring.errors import ScoringError

Scores = NDArray[np.float64]
MIN_PAIRS = 30  # Fewer responses with two raters say nothing about the agreement of raters: it counts as unknown.


class Agreement(BaseModel):
    """Agreement of a machine with the human score on n responses.  None where a figure is undefined."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(ge=1)
    exact: float = Field(description="Share of equal scores; of grades, of those within a tenth of the scale.")
    adjacent: float | None = Field(description="Share of scores at most one apart; points and ordinal labels.")
    qwk: float | None = Field(description="Quadratic weighted kappa; ordered scales.")
    smd: float | None = Field(description="(mean machine - mean human) / SD human; ordered scales.")
    macro_f1: float | None = Field(description="Mean F1 over the choices that either rater used; not for grades.")
    rmse: float | None = Field(default=None, description="Root of the mean squared difference; grades.")
    mae: float | None = Field(default=None, description="Mean absolute difference; grades.")
    pearson: float | None = Field(default=None, description="Correlation; grades.")
    coverage: float | None = Field(default=None, description="Share of human grades inside the machine's intervals.")
    human_qwk: float | None = Field(description="QWK of the two human raters, where there are two.")
    human_exact: float | None = Field(description="Share of equal scores of the two human raters, as for `exact`.")
    human_rmse: float | None = Field(default=None, description="RMSE of the two human raters; grades.")
    human_n: int | None = Field(default=None, ge=1, description="Responses of two raters, for their figures.")


def quadratic_weighted_kappa(human: ArrayLike, machine: ArrayLike) -> float:
    """Quadratic weighted kappa: 1 is perfect agreement, 0 is chance.

    QWK = 2 cov(H, M) / (var(H) + var(M) + (mean(H) - mean(M))^2), with N in the denominators
    (Haberman 2019).  Equal to the confusion-matrix form on whole scores, and defined on real ones.
    NaN when both raters gave one and the same score throughout.
    """
    h, m = _pair(human, machine)
    if np.ptp([h, m]) == 0:  # a mean of like numbers may be another, so that their variance is not quite 0
        return float("nan")
    denominator = h.var() + m.var() + (h.mean() - m.mean()) ** 2
    return float(2 * ((h - h.mean()) * (m - m.mean())).mean() / denominator)


def cohens_kappa(human: ArrayLike, machine: ArrayLike) -> float:
    """Return unweighted kappa: agreement of labels beyond chance, whatever the order of the labels.

    κ = (p_o - p_e) / (1 - p_e): p_o is the share of equal labels, p_e = Σ_c p_H(c) p_M(c) the share that is expected
    by chance (Cohen 1960, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement
    20:37-46; RSMTool's `kappa`).  NaN when both raters gave one and the same label throughout.
    """
    h, m = _pair(human, machine)
    if np.ptp([h, m]) == 0:
        return float("nan")
    by_chance = sum(float((h == label).mean() * (m == label).mean()) for label in np.union1d(h, m))
    return (float((h == m).mean()) - by_chance) / (1 - by_chance)


def exact_agreement(human: ArrayLike, machine: ArrayLike, tolerance: float = 0.0) -> float:
    """Share of responses with the same score, or with scores no further apart than the tolerance."""
    return float(equal_scores(human, machine, tolerance).mean())


def equal_scores(human: ArrayLike, machine: ArrayLike, tolerance: float = 0.0) -> NDArray[np.bool_]:
    """(responses,): whether the two scores are the same, or no further apart than the tolerance."""
    h, m = _pair(human, machine)
    return np.asarray(np.abs(h - m) <= tolerance + 1e-9)


def adjacent_agreement(human: ArrayLike, machine: ArrayLike) -> float:
    """Share of responses whose scores are at most one apart, equal ones included (RSMTool's exact + adjacent)."""
    h, m = _pair(human, machine)
    return float((np.abs(h - m) <= 1).mean())


def standardised_mean_difference(human: ArrayLike, machine: ArrayLike) -> float:
    """SMD = (mean(M) - mean(H)) / SD(H), with N - 1 in the SD (RSMTool, human as denominator).

    NaN when the human scores do not vary.
    """
    h, m = _pair(human, machine)
    return float((m.mean() - h.mean()) / h.std(ddof=1)) if np.ptp(h) > 0 else float("nan")


def macro_f1(human: ArrayLike, machine: ArrayLike) -> float:
    """Mean of the F1 of every choice that occurs in either rater's scores, each choice counting the same."""
    h, m = _pair(human, machine)
    f1 = [2 * np.sum((h == c) & (m == c)) / (np.sum(h == c) + np.sum(m == c)) for c in np.union1d(h, m)]
    return float(np.mean(f1))


def root_mean_squared_error(human: ArrayLike, machine: ArrayLike) -> float:
    """RMSE = sqrt(mean((M - H)^2)), in units of the scale."""
    h, m = _pair(human, machine)
    return float(np.sqrt(((m - h) ** 2).mean()))


def mean_absolute_error(human: ArrayLike, machine: ArrayLike) -> float:
    """MAE = mean(|M - H|), in units of the scale."""
    h, m = _pair(human, machine)
    return float(np.abs(m - h).mean())


def pearson_correlation(human: ArrayLike, machine: ArrayLike) -> float:
    """r = cov(H, M) / (SD(H) SD(M)); NaN when either does not vary."""
    h, m = _pair(human, machine)
    if np.ptp(h) == 0 or np.ptp(m) == 0:
        return float("nan")
    return float(((h - h.mean()) * (m - m.mean())).mean() / (h.std() * m.std()))


def interval_coverage(human: ArrayLike, intervals: ArrayLike) -> float:
    """Share of human grades that lie inside (responses, 2) intervals, their ends included."""
    h, bounds = np.asarray(human, float), np.asarray(intervals, float)
    return float(((bounds[:, 0] - 1e-9 <= h) & (h <= bounds[:, 1] + 1e-9)).mean())


Raters = tuple[ArrayLike, ArrayLike]


def agreement(human: ArrayLike, machine: ArrayLike, *, ordered: bool, raters: Raters | None = None) -> Agreement | None:
    """All figures at once for choices counted from 0; None where there is nothing to measure on."""
    h, m = np.asarray(human, float), np.asarray(machine, float)
    if not len(h):
        return None
    return Agreement(
        n=len(h),
        exact=exact_agreement(h, m),
        adjacent=adjacent_agreement(h, m) if ordered else None,
        qwk=none_if_nan(quadratic_weighted_kappa(h, m)) if ordered else None,
        smd=none_if_nan(standardised_mean_difference(h, m)) if ordered else None,
        macro_f1=macro_f1(h, m),
        human_qwk=none_if_nan(quadratic_weighted_kappa(*raters)) if raters and ordered else None,
        human_exact=exact_agreement(*raters) if raters else None,
        human_n=np.size(raters[0]) if raters else None,
    )


def grade_agreement(
    human: ArrayLike, machine: ArrayLike, intervals: ArrayLike, *, tolerance: float, raters: Raters | None = None
) -> Agreement | None:
    """All figures at once for grades; None where there is nothing to measure on."""
    h, m = np.asarray(human, float), np.asarray(machine, float)
    if not len(h):
        return None
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
        human_qwk=none_if_nan(quadratic_weighted_kappa(*raters)) if raters else None,
        human_exact=exact_agreement(*raters, tolerance) if raters else None,
        human_rmse=root_mean_squared_error(*raters) if raters else None,
        human_n=np.size(raters[0]) if raters else None,
    )


class UnpairedScores(ScoringError, ValueError):
    """Two lists of scores that cannot be compared one by one."""


def _pair(human: ArrayLike, machine: ArrayLike) -> tuple[Scores, Scores]:
    h, m = np.asarray(human, float), np.asarray(machine, float)
    if h.shape != m.shape or h.ndim != 1 or not len(h):
        sentence = f"two equally long, non-empty lists of scores are needed, not {h.shape} and {m.shape}"
        raise UnpairedScores(sentence, human=h.shape, machine=m.shape)
    return h, m


def none_if_nan(value: float) -> float | None:
    """None in place of NaN."""
    return None if np.isnan(value) else value
