"""What can be said of a machine where two raters scored: its agreement with the score that raters would tend to.

Formulas of RSMTool (rsmtool.utils.prmse; Loukina et al. 2020, "Using PRMSE to evaluate automated scoring systems in the
presence of label noise").
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def prmse(machine: ArrayLike, raters: Sequence[tuple[float, float]]) -> float:
    """Proportional reduction in mean squared error: 1 - MSE(machine, true score) / Var(true score).

    `machine` (responses,), `raters` two scores for each.  NaN where fewer than two responses or no true variance.
    """
    m, h = np.asarray(machine, float), np.asarray(raters, float)
    if len(h) < 2:
        return float("nan")
    errors = ((h[:, 0] - h[:, 1]) ** 2).sum() / 2 / len(h)  # variance of a single rater's error
    mean = h.mean(axis=1)
    variance = ((2 * (mean - h.mean()) ** 2).sum() - (len(h) - 1) * errors) / (2 * len(h) - 2)
    squared = ((2 * (mean - m) ** 2).sum() - len(h) * errors) / (2 * len(h))
    return float(1 - squared / variance) if variance > 0 else float("nan")
