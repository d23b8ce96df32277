"""Agreement of the surest responses, for every share of them: the report's curve."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.scoring.item import Item
from training.evaluation.evidence import Pair

POINTS = 60  # of the curve, at most


def coverage_curve(item: Item, found: Sequence[Pair]) -> list[tuple[float, float]]:
    """Return share and agreement at POINTS places, from a twentieth of the responses on."""
    if not found:
        return []
    ranked = sorted(found, key=lambda pair: -pair.score.confidence)
    human = np.array([pair.row.value for pair in ranked], float)
    machine = np.array([pair.score.value for pair in ranked], float)
    agreement = agreement_of_first(human, machine, ordered=item.is_ordered)
    places = np.unique(np.linspace(max(1, len(found) // 20), len(found), POINTS).astype(int))
    known = places[~np.isnan(agreement[places - 1])]
    return [(float(place / len(found)), float(agreement[place - 1])) for place in known]


def agreement_of_first(
    human: NDArray[np.float64], machine: NDArray[np.float64], *, ordered: bool
) -> NDArray[np.float64]:
    """Return (responses,): QWK, or exact agreement, of the first 1, 2, ... responses; NaN where it is undefined."""
    n = np.arange(1, len(human) + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        if not ordered:
            return np.asarray(np.cumsum(human == machine) / n)
        mean_h, mean_m = np.cumsum(human) / n, np.cumsum(machine) / n
        covariance = np.cumsum(human * machine) / n - mean_h * mean_m
        variances = np.cumsum(human**2) / n - mean_h**2 + np.cumsum(machine**2) / n - mean_m**2
        denominator = variances + (mean_h - mean_m) ** 2
        return np.where(denominator > 1e-12, 2 * covariance / denominator, np.nan)
