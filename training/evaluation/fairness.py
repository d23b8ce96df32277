"""Whether scores depend on groups of learners: the analyses of Loukina et al. (2019), as RSMTool computes them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

MOST_SCORES, BANDS = 20, 10


class Fairness(BaseModel):
    """Shares of variance that one column of groups explains (adjusted R²); 0 is none."""

    model_config = ConfigDict(frozen=True)

    overall_score_accuracy: float | None = Field(description="Of squared differences, machine less human.")
    overall_score_difference: float | None = Field(description="Of differences.")
    conditional_score_difference: float | None = Field(description="Of differences, beyond what the human score does.")


def fairness(human: ArrayLike, machine: ArrayLike, groups: Sequence[str]) -> Fairness:
    """`groups`: each response's value in the column.  Human scores are taken one by one, grades in BANDS bands."""
    h, m = np.asarray(human, float), np.asarray(machine, float)
    bands = (
        h if len(np.unique(h)) <= MOST_SCORES else np.digitize(h, np.quantile(h, np.linspace(0, 1, BANDS + 1)[1:-1]))
    )
    error, member, score = m - h, _indicators(groups), _indicators([str(value) for value in bands])
    without, with_group = adjusted_r2(error, score), adjusted_r2(error, np.hstack([score, member]))
    return Fairness(
        overall_score_accuracy=adjusted_r2(error**2, member),
        overall_score_difference=adjusted_r2(error, member),
        conditional_score_difference=None if without is None or with_group is None else with_group - without,
    )


def adjusted_r2(y: NDArray[np.float64], x: NDArray[np.float64]) -> float | None:
    """Of least squares with an intercept; None where `y` does not vary or rows are too few."""
    design = np.hstack([np.ones((len(y), 1)), x])
    rank = int(np.linalg.matrix_rank(design))
    total = ((y - y.mean()) ** 2).sum()
    if total <= 1e-18 * len(y) * max(1.0, float((y**2).mean())) or len(y) <= rank:
        return None
    residual = ((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum()
    return float(1 - (residual / (len(y) - rank)) / (total / (len(y) - 1)))


def _indicators(values: Sequence[str]) -> NDArray[np.float64]:
    """(rows, different values less one)"""
    names = sorted(set(values))[1:]
    return np.array([[float(value == name) for name in names] for value in values]).reshape(len(values), len(names))
