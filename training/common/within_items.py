"""Agreement within items: a difference between the mean scores of two items never counts."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scoring.agreement import macro_f1

Floats = NDArray[np.float64]


def qwk_within(human: ArrayLike, machine: ArrayLike, items: ArrayLike) -> float:
    """Return the quadratic weighted kappa within items; NaN where no two scores of one item differ.

    QWK = 1 - Σ n·N / Σ n·D over the items with two responses or more.  N is an item's mean of (h - m)².  D is its mean
    of (h - m')² over all pairs of one response's human and *another* response's machine score: the disagreement by
    chance.  The figure is the mean of the items' kappas with weights n·D, a stratified kappa (Barlow, Lai & Azen 1991).
    Pairs of different responses make D unbiased, so that items with few responses do not lower the figure.  For one
    item it differs from RSMTool's QWK by this alone, a difference of the order of 1 / n.
    """
    numbers = number_items(items)
    item_count = int(numbers.max(initial=-1)) + 1
    sums = sum_by_item(features(human, machine), numbers, item_count)
    chance, observed = of_sums(sums)
    return float(1 - observed / chance) if chance > 0 else float("nan")


def macro_f1_within(human: ArrayLike, machine: ArrayLike, items: ArrayLike) -> float:
    """Return the mean macro-F1 of the items, each weighted by its number of responses."""
    h, m, numbers = np.asarray(human, float), np.asarray(machine, float), number_items(items)
    of_items = [macro_f1(h[numbers == number], m[numbers == number]) for number in range(numbers.max() + 1)]
    return float(np.average(of_items, weights=np.bincount(numbers)))


def number_items(items: ArrayLike) -> NDArray[np.int64]:
    """Return (responses,): the items numbered from 0, without gaps."""
    return np.unique(np.asarray(items, np.int64), return_inverse=True)[1]


def features(human: ArrayLike, machine: ArrayLike) -> Floats:
    """Return (responses, 5): 1, h, m, h² + m² and (h - m)², all that kappa needs once they are summed by item."""
    h, m = np.asarray(human, float), np.asarray(machine, float)
    return np.stack([np.ones(h.shape), h, m, h**2 + m**2, (h - m) ** 2], axis=-1)


def sum_by_item(rows: Floats, numbers: NDArray[np.int64], items: int) -> Floats:
    """Return (items, features): the sums of the rows of each item."""
    sums = np.zeros((items, rows.shape[-1]))
    np.add.at(sums, numbers, rows)
    return sums


def of_sums(sums: Floats) -> tuple[Floats, Floats]:
    """Return Σ n·D and Σ n·N of sums (..., items, features), each (...)."""
    n, h, m, squares, apart = np.moveaxis(sums, -1, 0)
    counted = n > 1
    pairs = np.where(counted, n - 1, 1)
    chance = (n * squares - 2 * h * m - apart) / pairs
    chance_sum, observed_sum = (chance * counted).sum(-1), (apart * counted).sum(-1)
    return np.maximum(0, chance_sum), observed_sum
