"""Choices made inside train: which figure stops early, where cuts lie, which agreement is asked for."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.scoring.agreement import (
    MIN_PAIRS,
    exact_agreement,
)
from app.scoring.decoding import Outputs, expected_choice, softmax
from app.scoring.item import Item
from training.common.within_items import qwk_within

DOUBT = 20  # responses that, by simulation, say as much of how far expected scores are off as to expect no error
LEAST_QWK = 0.2  # what expects less of itself is not taken further apart
MOST_STEPS = 50  # of an iteration that takes some five


def choose_cuts(
    item: Item, marked: Sequence[Sequence[float]], human: Sequence[Sequence[float]], outputs: Sequence[Outputs]
) -> list[tuple[float, ...] | None]:
    """Return cuts between the scores of ordered scales for each of several items that share a model; None for labels.

    Each argument has an entry an item: all its human scores, the human scores of responses that were not fitted, and
    the calibrated outputs (responses, choices) of these.

    The cuts reach the highest QWK within items that the outputs let expect.  QWK is 1 - N / D: N is the mean of
    (h - m)² over all responses, D its mean over pairs of responses to one item.  With an item's mean score μ and the
    expected score e of a response, D - N = 2 · mean((e - μ) (m - μ)) and
    D = mean(var(h)) + mean((e - μ)²) + mean((m - μ)²).  Both are sums over responses, each of its own m alone, so
    Dinkelbach's iteration (Management Science 13, 1967) finds the scores of the smallest N / D.  It gives each response
    the score nearest to μ + (e - μ) / κ: κ is the QWK so reached, or LEAST_QWK if that is more.  It takes apart again
    what models shrink towards the mean of an item, as far as they are to be relied on.

    μ is the mean of an item's human scores.  Expected scores are shifted first by the mean difference, human less
    expected: of an item's responses, drawn towards that of all items by DOUBT responses, and this towards 0.  Only
    responses with a human score count: the mean of others, of weaker learners say, would move the cuts.  A score that
    is in no item's human scores is never given.
    """
    if not item.is_ordered:
        return [None] * len(marked)
    given = np.unique(np.concatenate([np.asarray(own, np.int64) for own in marked]))
    middles = (given[1:] + given[:-1]) / 2
    centres = [float(np.mean(own)) if len(own) else float(given.mean()) for own in marked]
    probabilities = softmax(np.concatenate(outputs))
    expected, scores = expected_choice(probabilities), np.concatenate([np.asarray(own, float) for own in human])
    variance = (probabilities @ np.arange(item.choices) ** 2 - expected**2).mean() if len(expected) else 0.0
    numbers = np.repeat(np.arange(len(human)), [len(own) for own in human])
    shifts = _shifts(scores - expected, numbers, len(human))
    centre = np.array(centres)[numbers]
    apart = expected + shifts[numbers] - centre
    reached = 1.0  # as rounding has it
    for _ in range(MOST_STEPS):
        # (responses, cuts): where the cuts of each response's item lie, from that item's mean
        cuts = reached * (middles - centre[:, None])
        machine = given[(apart[:, None] >= cuts).sum(axis=1)] - centre
        spread = variance + (apart**2).mean() + (machine**2).mean() if len(apart) else 0.0
        qwk = 2 * (apart * machine).mean() / spread if spread > 0 else 0.0
        before, reached = reached, max(qwk, LEAST_QWK)
        if reached == before:
            break
    lower = [own - shift for own, shift in zip(centres, shifts.tolist(), strict=True)]
    return [_around(item, given, start + reached * (middles - own)) for start, own in zip(lower, centres, strict=True)]


def _shifts(errors: NDArray[np.float64], numbers: NDArray[np.int64], items: int) -> NDArray[np.float64]:
    """Return (items,): how far expected scores are to be shifted, from errors, human less expected."""
    of_all = errors.sum() / (len(errors) + DOUBT)
    rows = np.bincount(numbers, minlength=items)
    return np.asarray(of_all + np.bincount(numbers, errors - of_all, items) / (rows + DOUBT))


def _around(item: Item, given: NDArray[np.int64], cuts: NDArray[np.float64]) -> tuple[float, ...]:
    """Return a cut between each two neighbours of the scale, from those between the scores that were given.

    Every expected score reaches the cuts below all scores given, and none those above.
    """
    around = [0.0, *np.clip(cuts, 0.0, item.choices).tolist(), float(item.choices)]
    return tuple(around[number] for number in np.searchsorted(given, np.arange(item.choices - 1), side="right"))


def target_for(
    item: Item, pairs: Sequence[tuple[float, float]], items: Sequence[int], default: float, human_margin: float
) -> float:
    """Return the agreement wanted of accepted scores: the human raters' own less a margin.

    It is theirs within items, as `choose_threshold` measures the machine's; the default with fewer than MIN_PAIRS.
    `pairs`: two raters' scores of responses, grades as shares of their scale; `items`: the number of each one's item.
    """
    if len(pairs) < MIN_PAIRS:
        return default
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    own = qwk_within(first, second, items) if item.is_ordered else exact_agreement(first, second)
    return default if np.isnan(own) else own - human_margin
