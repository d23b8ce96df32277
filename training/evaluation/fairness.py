"""Fairness: the variance of machine less human that groups of learners explain.

The analyses of Loukina et al. (2019), as RSMTool computes them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

MAX_SCORES, SCORE_BANDS = 20, 10


class Fairness(BaseModel):
    """Shares of variance (adjusted R²) that one column of groups explains; 0 means none."""

    model_config = ConfigDict(frozen=True)

    overall_score_accuracy: float | None = Field(
        description="Share of the variance of squared differences, machine less human, that groups explain."
    )
    overall_score_difference: float | None = Field(
        description="Share of the variance of differences that groups explain."
    )
    conditional_score_difference: float | None = Field(
        description="Share of the variance of differences that groups explain beyond the human score."
    )


def fairness(human: ArrayLike, machine: ArrayLike, groups: Sequence[str]) -> Fairness:
    """Return the fairness figures of one column of groups.

    `human` and `machine` are (responses,), `groups` holds each response's group.  More than MAX_SCORES different human
    scores are grouped in SCORE_BANDS bands.  Formulas: Loukina et al. 2019.
    """
    h, m = np.asarray(human, float), np.asarray(machine, float)
    score = _indicators([str(value) for value in _banded(h)])
    member = _indicators(groups)
    error = m - h
    without, with_group = adjusted_r2(error, score), adjusted_r2(error, np.hstack([score, member]))
    return Fairness(
        overall_score_accuracy=adjusted_r2(error**2, member),
        overall_score_difference=adjusted_r2(error, member),
        conditional_score_difference=None if without is None or with_group is None else with_group - without,
    )


def _banded(scores: NDArray[np.float64]) -> NDArray[np.float64] | NDArray[np.int64]:
    """Return (responses,): the scores, or the number of each score's band if there are many different scores."""
    if len(np.unique(scores)) <= MAX_SCORES:
        return scores
    edges = np.linspace(0, 1, SCORE_BANDS + 1)[1:-1]
    return np.digitize(scores, np.quantile(scores, edges))


def adjusted_r2(y: NDArray[np.float64], x: NDArray[np.float64]) -> float | None:
    """Return the adjusted R² of least squares with an intercept; None if `y` is constant or rows are too few.

    `y` is (rows,), `x` (rows, predictors).
    """
    design = np.hstack([np.ones((len(y), 1)), x])
    rank = int(np.linalg.matrix_rank(design))
    if len(y) <= rank:
        return None
    total = ((y - y.mean()) ** 2).sum()
    rounding = 1e-18 * len(y) * max(1.0, float((y**2).mean()))
    if total <= rounding:
        return None
    coefficients = np.linalg.lstsq(design, y, rcond=None)[0]
    residual = ((y - design @ coefficients) ** 2).sum()
    unexplained, variance = residual / (len(y) - rank), total / (len(y) - 1)
    return float(1 - unexplained / variance)


def _indicators(values: Sequence[str]) -> NDArray[np.float64]:
    """Return (rows, different values less one): a column for each value but the first, 1 where a row has it."""
    columns = {value: column for column, value in enumerate(sorted(set(values)))}
    numbers = [columns[value] for value in values]
    indicators = np.eye(len(columns))[numbers, 1:]
    return np.ascontiguousarray(indicators)
