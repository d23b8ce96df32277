"""Bootstrap intervals: figures of responses drawn anew with replacement."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 1000
Figure = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


def interval(human: ArrayLike, machine: ArrayLike, figure: Figure) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of a figure; None if it is undefined on most draws.

    `human` and `machine` are (responses,).  A response is drawn with both its scores.
    """
    h, m = np.asarray(human, float), np.asarray(machine, float)
    generator = np.random.default_rng(0)
    draws = (generator.integers(0, len(h), len(h)) for _ in range(DRAWS))
    values = np.array([figure(h[rows], m[rows]) for rows in draws])
    defined_values = values[~np.isnan(values)]
    if len(defined_values) < DRAWS / 2:
        return None
    low, high = np.quantile(defined_values, (0.025, 0.975))
    return float(low), float(high)
