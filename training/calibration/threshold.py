"""The search for the confidence from which scores may stand, with an error that holds for the search as a whole."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.common.within_items import features, number_items, of_sums, sum_by_item

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Pool = tuple[Floats, Integers, Floats]  # features, items, and the responses that each row counts as
LEVEL = 0.04  # Drawn data vary a little less than new data: at .04 some .05 of items get a threshold by chance.
MIN_ACCEPTED = 30  # fewer accepted responses say nothing about agreement
MAX_PLACES = 40  # thresholds tried; more of them add work and hardly any choice
DRAWS = 500
LEAN = 0.15  # by simulation (benchmarks/choices.py); 0 leans to the surest few, 1/2 to all responses together
MAX_STEEPNESS, BISECTIONS = 50.0, 60  # of the search for the tilt


def choose_threshold(
    confidence: ArrayLike,
    human: ArrayLike,
    machine: ArrayLike,
    target: float,
    *,
    ordered: bool,
    items: ArrayLike | None = None,
) -> float | None:
    """Return the lowest confidence from which scores reach the target; None if no confidence is shown to.

    All arrays are (responses,); `items` numbers each response's item, and all are of one item if it is left out.
    Scores reach the target by their QWK within items, or by the exact agreement of labels without order.  Place k of
    the search accepts the k surest responses.  Its statistic is

        T = (√(C · (1 - target)) - √(C · (1 - agreement))) · (k / n) ** LEAN

    C is the disagreement by chance of these k responses, as in `qwk_within`, and k for exact agreement.  So T compares
    the roots of the disagreement that the target allows and of the disagreement observed.  The root of a count varies
    about alike at any size (Bartlett 1936).  LEAN weighs places as the boundaries of Wang & Tsiatis (1987) do.

    The limit for T comes from data sets in which every place agrees exactly as the target says.  Responses are drawn
    anew within their items, regardless of their confidence.  Their weights exp(λ · (h - m)²) make the agreement of all
    responses the target (exponential tilting; Davison & Hinkley 1997, §4.4).  One such data set in twenty passes the
    limit anywhere.  Places that pass are accepted, and the limit is found again for the rest until no place passes
    (the step-down of Romano & Wolf 2005).  So the error holds over all places together, however many are tried.
    """
    c, h, m = (np.asarray(values, float) for values in (confidence, human, machine))
    order = np.argsort(-c, kind="stable")
    c, h, m = c[order], h[order], m[order]
    within = np.zeros(len(c), np.int64) if items is None or not ordered else np.asarray(items)[order]
    ends = _places(c)
    if not len(ends):
        return None
    passed = _passed(h, m, number_items(within), ends, target, ordered)
    if not passed.any():
        return None
    last = np.flatnonzero(passed)[-1]
    return float(c[ends[last] - 1])


def _passed(h: Floats, m: Floats, numbers: Integers, ends: Integers, target: float, ordered: bool) -> NDArray[np.bool_]:
    """Return (places,): which places reach the target.  Responses are sorted, the surest first."""
    pool, pooled, base = _merged(*_with_twins(h, m, numbers, ordered))
    weights = _tilted(pool, pooled, base, np.bincount(numbers), target, ordered)
    if weights is None:
        return np.zeros(len(ends), bool)
    rows = features(h - h.mean(), m - h.mean()) if ordered else features(h == m, np.ones(len(h)))
    lean = (ends / len(h)) ** LEAN
    observed = _observed(rows, numbers, ends, target, ordered) * lean
    by_chance = _null(pool, weights, numbers, ends, target, ordered) * lean
    return step_down(observed, by_chance)


def step_down(observed: Floats, by_chance: Floats, level: float = LEVEL) -> NDArray[np.bool_]:
    """Return (places,): which places pass, from `observed` (places,) and `by_chance` (draws, places)."""
    passed = np.zeros(len(observed), bool)
    while not passed.all():
        highest = by_chance[:, ~passed].max(axis=1)
        limit = np.quantile(highest, 1 - level, method="higher")
        newly_passed = ~passed & (observed > limit)
        if not newly_passed.any():
            break
        passed |= newly_passed
    return passed


def _places(c: Floats) -> Integers:
    """Return the number of responses that each place accepts, MIN_ACCEPTED or more.

    A place accepts all responses of equal confidence, or none of them.  `c` is sorted, the surest first.
    """
    if not len(c):
        return np.zeros(0, np.int64)
    is_last = np.append(np.diff(c) != 0, True)
    ends = np.flatnonzero(is_last) + 1
    ends = ends[ends >= MIN_ACCEPTED]
    if len(ends) <= MAX_PLACES:
        return ends
    spaced = np.linspace(0, len(ends) - 1, MAX_PLACES).round()
    chosen = np.unique(spaced.astype(int))
    return np.asarray(ends[chosen])


def _with_twins(h: Floats, m: Floats, numbers: Integers, ordered: bool) -> Pool:
    """Return the features and items of all responses, and again with a machine score one step further off.

    Without these twins no weights could make data that agree throughout disagree as often as a target below 1 allows.
    The twins of an item count half a response together.
    """
    both = np.tile(numbers, 2)
    shares = 0.5 / np.bincount(numbers)
    base = np.append(np.ones(len(h)), shares[numbers])
    if not ordered:
        agrees = np.append(h == m, np.zeros(len(h)))
        return features(agrees, np.ones(2 * len(h))), both, base
    apart = np.abs(h - m)
    step = apart[apart > 0].min(initial=1.0)
    inwards = np.where(h + step <= h.max(), 1.0, -1.0)
    direction = np.where(apart > 0, np.sign(m - h), inwards)
    machine = np.append(m, m + step * direction)
    return features(np.tile(h, 2) - h.mean(), machine - h.mean()), both, base


def _merged(pool: Floats, pooled: Integers, base: Floats) -> Pool:
    """Return the pool with equal rows of an item merged, sorted by item.

    Scores take few values, so drawing from merged rows needs far less time.
    """
    columns = np.column_stack([pooled, pool])
    rows, group = np.unique(columns, axis=0, return_inverse=True)
    counts = np.bincount(group.ravel(), base)
    return rows[:, 1:], rows[:, 0].astype(np.int64), np.asarray(counts, float)


def _tilted(
    pool: Floats, pooled: Integers, base: Floats, rows: Integers, target: float, ordered: bool
) -> Floats | None:
    """Return each pool row's probability among the rows of its item, so that the agreement is the target.

    `base` says how many responses each row of the pool counts as, and `rows` how many an item has.  None if no weights
    give an agreement above the target.  If all weights do, the weights of the least agreement.
    """
    apart = pool[:, 4]
    scale = apart[apart > 0].mean()

    def at(steepness: float) -> tuple[Floats, float]:
        weights = _weights(steepness * apart / scale, pooled, base, len(rows))
        return weights, _agreement(sum_by_item(weights[:, None] * pool, pooled, len(rows)), rows, ordered)

    low, high = -MAX_STEEPNESS, MAX_STEEPNESS
    if not at(low)[1] > target:
        return None
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle)[1] > target else (low, middle)
    return at(low)[0]


def _weights(tilt: Floats, pooled: Integers, base: Floats, items: int) -> Floats:
    """Return (pool rows,): base · exp(tilt), with the sum 1 within each item."""
    largest = np.full(items, -np.inf)
    np.maximum.at(largest, pooled, tilt)  # taken off, so that exp does not overflow
    weights = base * np.exp(tilt - largest[pooled])
    return np.asarray(weights / np.bincount(pooled, weights)[pooled])


def _agreement(means: Floats, rows: Integers, ordered: bool) -> float:
    """Return the agreement of data with these mean features (items, features); NaN if it is undefined."""
    _, h, m, squares, apart = means.T
    counted = rows * (rows > 1) if ordered else rows
    observed = counted @ apart
    chance = counted @ (squares - 2 * h * m) if ordered else counted.sum()
    return float(1 - observed / chance) if chance > 1e-12 else float("nan")


def _null(pool: Floats, weights: Floats, numbers: Integers, ends: Integers, target: float, ordered: bool) -> Floats:
    """Return (DRAWS, places): the statistic of data sets drawn by these weights, each response within its item."""
    generator = np.random.default_rng(0)
    # The pool is sorted by item, and the weights of an item sum to 1: item i has the cumulative weights i to i + 1.
    cumulative = np.cumsum(weights)
    sums = np.zeros((DRAWS, numbers.max() + 1, pool.shape[1]))
    gains = np.zeros((DRAWS, len(ends)))
    starts_of_places = np.append(0, ends[:-1])
    for place, (first, end) in enumerate(zip(starts_of_places, ends, strict=True)):
        items = np.sort(numbers[first:end])
        of_items, starts = np.unique(items, return_index=True)
        at = items + generator.random((DRAWS, end - first)) * (1 - 1e-9)
        drawn = np.searchsorted(cumulative, at, side="right")
        drawn_rows = pool[np.minimum(drawn, len(pool) - 1)]
        sums[:, of_items] += np.add.reduceat(drawn_rows, starts, axis=1)
        gains[:, place] = _gain(sums, target, ordered)
    return gains


def _observed(rows: Floats, numbers: Integers, ends: Integers, target: float, ordered: bool) -> Floats:
    """Return (places,): the statistic of the responses themselves."""
    items = numbers.max() + 1
    sums = (sum_by_item(rows[:end], numbers[:end], items) for end in ends)
    return np.array([_gain(sums_at_place, target, ordered) for sums_at_place in sums])


def _gain(sums: Floats, target: float, ordered: bool) -> Floats:
    """Return the statistic without its LEAN, from sums (..., items, features); -∞ if agreement is undefined."""
    chance, observed = of_sums(sums) if ordered else (sums[..., 0].sum(-1), sums[..., 4].sum(-1))
    allowed = np.sqrt(chance * (1 - target))
    return np.where(chance > 1e-9, allowed - np.sqrt(observed), -np.inf)
