"""Intervals of figures by resampling responses."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1000
Figure = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


def interval(human: ArrayLike, machine: ArrayLike, figure: Figure) -> tuple[float, float] | None:
    """The 95 % percentile interval; None where the figure is undefined on most resamples."""
    h, m = np.asarray(human, float), np.asarray(machine, float)
    generator = np.random.default_rng(0)
    drawn = (generator.integers(0, len(h), len(h)) for _ in range(RESAMPLES))
    found = np.array([figure(h[rows], m[rows]) for rows in drawn])
    found = found[~np.isnan(found)]
    if len(found) < RESAMPLES / 2:
        return None
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
