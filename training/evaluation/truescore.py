"""Agreement of a machine with true scores: the scores that raters would give on average.

Formulas of RSMTool (rsmtool.utils.prmse; Loukina et al. 2020, "Using PRMSE to evaluate automated scoring systems in the
presence of label noise").
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def prmse(machine: ArrayLike, raters: Sequence[tuple[float, float]]) -> float:
    """Return the proportional reduction in mean squared error: 1 - MSE(machine, true score) / Var(true score).

    `machine` is (responses,) and `raters` holds two scores a response.  NaN with fewer than two responses, or without
    true variance.
    """
    m, h = np.asarray(machine, float), np.asarray(raters, float)
    n = len(h)
    if n < 2:
        return float("nan")
    between_raters = (h[:, 0] - h[:, 1]) ** 2
    error_variance = between_raters.sum() / 2 / n  # of one rater's score
    mean = h.mean(axis=1)
    around_mean, around_machine = 2 * (mean - h.mean()) ** 2, 2 * (mean - m) ** 2
    true_variance = (around_mean.sum() - (n - 1) * error_variance) / (2 * n - 2)
    if not true_variance > 0:
        return float("nan")
    squared_error = (around_machine.sum() - n * error_variance) / (2 * n)
    return float(1 - squared_error / true_variance)
