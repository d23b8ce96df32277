"""Agreement between two raters, human or machine.  Names and formulas are those of ETS RSMTool (doc/evaluation.rst)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

Scores = NDArray[np.float64]


class Agreement(BaseModel):
    """Agreement of a machine with the human score on n responses.  None where a figure is undefined."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(ge=1)
    exact: float = Field(description="Share of equal scores.")
    adjacent: float | None = Field(description="Share of scores at most one apart; ordered scales.")
    qwk: float | None = Field(description="Quadratic weighted kappa; ordered scales.")
    smd: float | None = Field(description="(mean machine - mean human) / SD human; ordered scales.")
    macro_f1: float = Field(description="Mean F1 over the choices that either rater used.")
    human_qwk: float | None = Field(description="QWK of the two human raters, where there are two.")
    human_exact: float | None = Field(description="Share of equal scores of the two human raters.")


def quadratic_weighted_kappa(human: ArrayLike, machine: ArrayLike) -> float:
    """Quadratic weighted kappa: 1 is perfect agreement, 0 is chance.

    QWK = 2 cov(H, M) / (var(H) + var(M) + (mean(H) - mean(M))^2), with N in the denominators
    (Haberman 2019).  Equal to the confusion-matrix form on whole scores, and defined on real ones.
    NaN when both raters gave one and the same score throughout.
    """
    h, m = _pair(human, machine)
    denominator = h.var() + m.var() + (h.mean() - m.mean()) ** 2
    if denominator == 0:
        return float("nan")
    return float(2 * ((h - h.mean()) * (m - m.mean())).mean() / denominator)


def exact_agreement(human: ArrayLike, machine: ArrayLike) -> float:
    """Share of responses with the same score."""
    h, m = _pair(human, machine)
    return float((h == m).mean())


def adjacent_agreement(human: ArrayLike, machine: ArrayLike) -> float:
    """Share of responses whose scores are at most one apart, equal ones included (RSMTool's exact + adjacent)."""
    h, m = _pair(human, machine)
    return float((np.abs(h - m) <= 1).mean())


def standardised_mean_difference(human: ArrayLike, machine: ArrayLike) -> float:
    """SMD = (mean(M) - mean(H)) / SD(H), with N - 1 in the SD (RSMTool, human as denominator).

    NaN when the human scores do not vary.
    """
    h, m = _pair(human, machine)
    deviation = h.std(ddof=1) if len(h) > 1 else 0.0
    return float((m.mean() - h.mean()) / deviation) if deviation > 0 else float("nan")


def macro_f1(human: ArrayLike, machine: ArrayLike) -> float:
    """Mean of the F1 of every choice that occurs in either rater's scores, each choice counting the same."""
    h, m = _pair(human, machine)
    f1 = [2 * np.sum((h == c) & (m == c)) / (np.sum(h == c) + np.sum(m == c)) for c in np.union1d(h, m)]
    return float(np.mean(f1))


def agreement(
    human: ArrayLike, machine: ArrayLike, *, ordered: bool, raters: tuple[ArrayLike, ArrayLike] | None = None
) -> Agreement | None:
    """All figures at once for choices counted from 0; None where there is nothing to measure on."""
    h, m = np.asarray(human, float), np.asarray(machine, float)
    if not len(h):
        return None
    return Agreement(
        n=len(h),
        exact=exact_agreement(h, m),
        adjacent=adjacent_agreement(h, m) if ordered else None,
        qwk=_defined(quadratic_weighted_kappa(h, m)) if ordered else None,
        smd=_defined(standardised_mean_difference(h, m)) if ordered else None,
        macro_f1=macro_f1(h, m),
        human_qwk=_defined(quadratic_weighted_kappa(*raters)) if raters and ordered else None,
        human_exact=exact_agreement(*raters) if raters else None,
    )


def _pair(human: ArrayLike, machine: ArrayLike) -> tuple[Scores, Scores]:
    h, m = np.asarray(human, float), np.asarray(machine, float)
    if h.shape != m.shape or h.ndim != 1 or not len(h):
        raise ValueError(f"two equally long, non-empty lists of scores are needed, not {h.shape} and {m.shape}")
    return h, m


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
