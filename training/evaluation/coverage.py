"""The coverage curve of the report: agreement of the surest responses, against their share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.scoring.item import Item
from training.evaluation.evidence import Pair

MAX_POINTS = 60


def coverage_curve(item: Item, pairs: Sequence[Pair]) -> list[tuple[float, float]]:
    """Return points of share and agreement, from a twentieth of the responses to all of them."""
    if not pairs:
        return []
    ranked = sorted(pairs, key=lambda pair: -pair.score.confidence)
    human = np.array([pair.row.value for pair in ranked], float)
    machine = np.array([pair.score.value for pair in ranked], float)
    agreement = agreement_of_first(human, machine, ordered=item.is_ordered)
    least = max(1, len(pairs) // 20)
    counts = np.linspace(least, len(pairs), MAX_POINTS).astype(int)
    points = [(float(count / len(pairs)), float(agreement[count - 1])) for count in np.unique(counts)]
    return [(share, value) for share, value in points if not np.isnan(value)]


def agreement_of_first(
    human: NDArray[np.float64], machine: NDArray[np.float64], *, ordered: bool
) -> NDArray[np.float64]:
    """Return (responses,): QWK, or exact agreement, of the first 1, 2, ... responses; NaN if it is undefined.

    `human` and `machine` are (responses,).
    """
    n = np.arange(1, len(human) + 1)
    if not ordered:
        return np.asarray(np.cumsum(human == machine) / n)
    mean_h, mean_m = np.cumsum(human) / n, np.cumsum(machine) / n
    covariance = np.cumsum(human * machine) / n - mean_h * mean_m
    mean_h2, mean_m2 = np.cumsum(human**2) / n, np.cumsum(machine**2) / n
    variances = mean_h2 - mean_h**2 + mean_m2 - mean_m**2
    denominator = variances + (mean_h - mean_m) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        qwk = 2 * covariance / denominator
    return np.where(denominator > 1e-12, qwk, np.nan)
