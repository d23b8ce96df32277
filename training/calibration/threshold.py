"""The search for the confidence from which scores may stand, at an error that holds for the whole search."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.common.within_items import features, number_items, of_sums, sum_by_item

Floats = NDArray[np.float64]
Pool = tuple[Floats, NDArray[np.int64], Floats]  # features, items, and how many responses each row counts as
LEVEL = 0.04  # Drawn data vary a little less than new data: at .04 some .05 of items are given a threshold by chance.
MIN_ACCEPTED = 30  # fewer accepted responses say nothing about agreement
PLACES = 40  # thresholds tried at most; one more adds work and hardly any choice
DRAWS = 500
LEAN = 0.15  # by simulation (benchmarks/choices.py): 0 leans to the surest few, 1/2 to all responses together
STEEPEST, STEPS = 50.0, 60  # of the bisection for the tilt


def choose_threshold(
    confidence: ArrayLike,
    human: ArrayLike,
    machine: ArrayLike,
    target: float,
    *,
    ordered: bool,
    items: ArrayLike | None = None,
) -> float | None:
    """Return the lowest confidence from which scores reach the target; None where none is shown to.

    Scores reach it by their QWK within items (`items` numbers each response's; one if left out), or by the exact
    agreement of labels without order.  A place k of the search accepts the k surest responses.  Its statistic is

        T = (√(C · (1 - target)) - √(C · (1 - agreement))) · (k / n) ** LEAN

    C is the disagreement by chance of these k, as in `qwk_within`, and k for exact agreement.  So the roots are of the
    disagreement that the target allows, and of that observed: the root of a count varies about alike whatever its size
    (Bartlett 1936).  LEAN weighs places as the boundaries of Wang & Tsiatis (1987) do.

    The limit for T comes from data sets in which every place agrees exactly as the target says: responses are drawn
    anew within their items, with weights exp(λ · (h - m)²) that make the agreement of all the target (exponential
    tilting; Davison & Hinkley 1997, §4.4), whatever their confidence.  The limit is passed anywhere in one of these in
    twenty.  Places that pass it are accepted, and the limit is found again for the rest until none passes (the
    step-down of Romano & Wolf 2005).  So the error holds over all places together, however many are tried.
    """
    c, h, m = (np.asarray(values, float) for values in (confidence, human, machine))
    order = np.argsort(-c, kind="stable")
    c, h, m = c[order], h[order], m[order]
    numbers = number_items(np.zeros(len(c), np.int64) if items is None or not ordered else np.asarray(items)[order])
    ends = _places(c)
    if not len(ends):
        return None
    rows = features(h - h.mean(), m - h.mean()) if ordered else features(h == m, np.ones(len(h)))
    pool, pooled, base = _merged(*_with_twins(h, m, numbers, ordered))
    weights = _tilted(pool, pooled, base, np.bincount(numbers), target, ordered)
    if weights is None:
        return None
    lean = (ends / len(c)) ** LEAN
    found = _observed(rows, numbers, ends, target, ordered) * lean
    by_chance = _null(pool, weights, numbers, ends, target, ordered) * lean
    passed = step_down(found, by_chance)
    return float(c[ends[np.flatnonzero(passed)[-1]] - 1]) if passed.any() else None


def step_down(found: Floats, by_chance: Floats, level: float = LEVEL) -> NDArray[np.bool_]:
    """Return which places pass.  `found` (places,), `by_chance` (draws, places)."""
    passed = np.zeros(len(found), bool)
    while not passed.all():
        limit = np.quantile(by_chance[:, ~passed].max(axis=1), 1 - level, method="higher")
        more = ~passed & (found > limit)
        if not more.any():
            break
        passed |= more
    return passed


def _places(c: Floats) -> NDArray[np.int64]:
    """Return how many responses each place accepts: MIN_ACCEPTED or more, equal confidences together or not at all."""
    ends = np.flatnonzero(np.append(np.diff(c) != 0, True)) + 1 if len(c) else np.zeros(0, np.int64)
    ends = ends[ends >= MIN_ACCEPTED]
    return ends[np.unique(np.linspace(0, len(ends) - 1, PLACES).round().astype(int))] if len(ends) > PLACES else ends


def _with_twins(h: Floats, m: Floats, numbers: NDArray[np.int64], ordered: bool) -> Pool:
    """Return the features and items of all responses, and again with a machine score one step further off.

    Without these twins no weights could make data that agree throughout disagree as often as a target below 1 allows.
    The twins of an item count half a response together.
    """
    both = np.tile(numbers, 2)
    base = np.append(np.ones(len(h)), (0.5 / np.bincount(numbers))[numbers])
    if not ordered:
        agrees = np.append(h == m, np.zeros(len(h)))
        return features(agrees, np.ones(2 * len(h))), both, base
    apart = np.abs(h - m)
    step = apart[apart > 0].min(initial=1.0)
    inwards = np.where(h + step <= h.max(), 1.0, -1.0)
    twin = m + step * np.where(apart > 0, np.sign(m - h), inwards)
    return features(np.tile(h, 2) - h.mean(), np.append(m, twin) - h.mean()), both, base


def _merged(pool: Floats, pooled: NDArray[np.int64], base: Floats) -> Pool:
    """Return equal rows of an item as one, by item.  Scores are few, so that draws from these take far less time."""
    rows, group = np.unique(np.column_stack([pooled, pool]), axis=0, return_inverse=True)
    return rows[:, 1:], rows[:, 0].astype(np.int64), np.asarray(np.bincount(group.ravel(), base), float)


def _tilted(
    pool: Floats, pooled: NDArray[np.int64], base: Floats, rows: NDArray[np.int64], target: float, ordered: bool
) -> Floats | None:
    """Return each pool row's probability among those of its item, by which the agreement is the target.

    `base` says how many responses each row of the pool counts as, and `rows` how many an item has.  None where no
    weights give an agreement above the target.  Where all give one, they are those of the least.
    """
    apart = pool[:, 4]
    scale = apart[apart > 0].mean()

    def at(steepness: float) -> tuple[Floats, float]:
        tilt = steepness * apart / scale
        most = np.full(len(rows), -np.inf)
        np.maximum.at(most, pooled, tilt)
        weights = base * np.exp(tilt - most[pooled])
        weights /= np.bincount(pooled, weights)[pooled]
        _, h, m, squares, observed = (sum_by_item(weights[:, None] * pool, pooled, len(rows))).T
        counted = rows * (rows > 1) if ordered else rows
        chance = counted @ (squares - 2 * h * m) if ordered else counted.sum()
        return weights, float(1 - counted @ observed / chance) if chance > 1e-12 else float("nan")

    low, high = -STEEPEST, STEEPEST
    if not at(low)[1] > target:
        return None
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle)[1] > target else (low, middle)
    return at(low)[0]


def _null(
    pool: Floats,
    weights: Floats,
    numbers: NDArray[np.int64],
    ends: NDArray[np.int64],
    target: float,
    ordered: bool,
) -> Floats:
    """Return (DRAWS, places): the statistic of data sets drawn by these weights, each response within its item."""
    generator = np.random.default_rng(0)
    cumulative = np.cumsum(weights)  # the pool is by item, whose weights sum to 1: item i has those from i to i + 1
    sums = np.zeros((DRAWS, numbers.max() + 1, pool.shape[1]))
    gains = np.zeros((DRAWS, len(ends)))
    for place, (first, end) in enumerate(zip(np.append(0, ends[:-1]), ends, strict=True)):
        items = np.sort(numbers[first:end])
        of_items, starts = np.unique(items, return_index=True)
        at = items + generator.random((DRAWS, end - first)) * (1 - 1e-9)
        drawn = pool[np.minimum(np.searchsorted(cumulative, at, side="right"), len(pool) - 1)]
        sums[:, of_items] += np.add.reduceat(drawn, starts, axis=1)
        gains[:, place] = _gain(sums, target, ordered)
    return gains


def _observed(
    rows: Floats, numbers: NDArray[np.int64], ends: NDArray[np.int64], target: float, ordered: bool
) -> Floats:
    """Return (places,): the statistic of the responses themselves."""
    items = numbers.max() + 1
    return np.array([_gain(sum_by_item(rows[:end], numbers[:end], items), target, ordered) for end in ends])


def _gain(sums: Floats, target: float, ordered: bool) -> Floats:
    """Return the statistic but for its LEAN, of sums (..., items, features); -∞ where agreement is undefined."""
    chance, observed = of_sums(sums) if ordered else (sums[..., 0].sum(-1), sums[..., 4].sum(-1))
    return np.where(chance > 1e-9, np.sqrt(chance * (1 - target)) - np.sqrt(observed), -np.inf)
