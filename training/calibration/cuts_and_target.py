"""The cuts between score points, and the agreement asked for of accepted scores."""

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

PRIOR_RESPONSES = 20  # by simulation, the weight of the prior that expected scores are not off, in responses
LEAST_QWK = 0.2  # cuts for a lower QWK would spread scores further than the outputs warrant
MAX_STEPS = 50  # of an iteration that takes about five


def choose_cuts(
    item: Item, marked: Sequence[Sequence[float]], human: Sequence[Sequence[float]], outputs: Sequence[Outputs]
) -> list[tuple[float, ...] | None]:
    """Return the cuts between ordered scores for each of several items that share a model; None for labels.

    Each argument has an entry an item: all its human scores, the human scores of held-out responses, and the calibrated
    outputs (responses, choices) of the held-out responses.

    The cuts reach the highest QWK within items that the outputs let expect.  QWK is 1 - N / D.  N is the mean of
    (h - m)² over all responses, D its mean over pairs of responses to one item.  With an item's mean score μ and the
    expected score e of a response, D - N = 2 · mean((e - μ) (m - μ)) and
    D = mean(var(h)) + mean((e - μ)²) + mean((m - μ)²).  Both are sums over responses, each of its own m alone, so
    Dinkelbach's iteration (Management Science 13, 1967) finds the scores with the smallest N / D.  The iteration gives
    each response the score nearest to μ + (e - μ) / κ, where κ is the QWK so reached, or LEAST_QWK if that is more.
    Models shrink expected scores towards the mean of an item; dividing by κ undoes the shrinkage as far as the outputs
    warrant.

    μ is the mean of an item's human scores.  Expected scores are first shifted by the mean difference, human less
    expected.  The mean of an item's responses is drawn towards the mean of all items by PRIOR_RESPONSES, and the
    latter towards 0.  Only responses with a human score count: the mean of other responses, of weaker learners for
    example, would move the cuts.  Cuts never give a score that no human score has.
    """
    if not item.is_ordered:
        return [None] * len(marked)
    distinct = np.unique(np.concatenate([np.asarray(scores, np.int64) for scores in marked]))
    means = [float(np.mean(scores)) if len(scores) else float(distinct.mean()) for scores in marked]
    numbers = np.repeat(np.arange(len(human)), [len(scores) for scores in human])
    probabilities = softmax(np.concatenate(outputs))
    expected = expected_choice(probabilities)
    human_scores = np.concatenate([np.asarray(scores, float) for scores in human])
    shifts = _shifts(human_scores - expected, numbers, len(human))
    centre = np.array(means)[numbers]
    qwk = _reachable_qwk(distinct, expected + shifts[numbers] - centre, centre, _mean_variance(probabilities, expected))
    offsets = [qwk * (_middles(distinct) - mean) for mean in means]
    return [
        _extend(item, distinct, mean - shift + offset)
        for mean, shift, offset in zip(means, shifts.tolist(), offsets, strict=True)
    ]


def _middles(scores: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the middle between each two neighbours among the scores that were given."""
    return np.asarray((scores[1:] + scores[:-1]) / 2)


def _mean_variance(probabilities: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Return the mean variance of a response's score; 0 without responses."""
    if not len(expected):
        return 0.0
    squares = np.arange(probabilities.shape[1]) ** 2
    return float((probabilities @ squares - expected**2).mean())


def _reachable_qwk(
    scores: NDArray[np.int64], apart: NDArray[np.float64], centre: NDArray[np.float64], variance: float
) -> float:
    """Return the highest QWK that cuts can reach, or LEAST_QWK if that is more: Dinkelbach's iteration.

    `scores`: the scores that were given; `apart` (responses,): expected scores less their item's mean; `centre`
    (responses,): that mean; `variance`: the mean variance of a response's score.
    """
    middles = _middles(scores)
    reached = 1.0
    for _ in range(MAX_STEPS):
        # (responses, cuts): where the cuts of each response's item lie, from that item's mean
        cuts = reached * (middles - centre[:, None])
        places = (apart[:, None] >= cuts).sum(axis=1)
        qwk = _expected_qwk(apart, scores[places] - centre, variance)
        before, reached = reached, max(qwk, LEAST_QWK)
        if reached == before:
            break
    return reached


def _expected_qwk(apart: NDArray[np.float64], machine: NDArray[np.float64], variance: float) -> float:
    """Return (D - N) / D of `choose_cuts`; `apart` and `machine` (responses,) are e - μ and m - μ."""
    if not len(apart):
        return 0.0
    squares = (apart**2).mean(), (machine**2).mean()
    spread = variance + squares[0] + squares[1]
    agreement = 2 * (apart * machine).mean()
    return float(agreement / spread) if spread > 0 else 0.0


def _shifts(errors: NDArray[np.float64], numbers: NDArray[np.int64], items: int) -> NDArray[np.float64]:
    """Return (items,): the shift of each item's expected scores, from errors, human less expected."""
    of_all = errors.sum() / (len(errors) + PRIOR_RESPONSES)
    rows = np.bincount(numbers, minlength=items)
    sums = np.bincount(numbers, errors - of_all, items)
    return np.asarray(of_all + sums / (rows + PRIOR_RESPONSES))


def _extend(item: Item, scores: NDArray[np.int64], cuts: NDArray[np.float64]) -> tuple[float, ...]:
    """Return a cut between each two neighbours of the scale, from the cuts between the scores that were given.

    Every expected score passes the cuts below the smallest score given, and no expected score those above the largest.
    """
    inner = np.clip(cuts, 0.0, item.choices).tolist()
    extended = [0.0, *inner, float(item.choices)]
    places = np.searchsorted(scores, np.arange(item.choices - 1), side="right")
    return tuple(extended[place] for place in places)


def target_for(
    item: Item, pairs: Sequence[tuple[float, float]], items: Sequence[int], default: float, human_margin: float
) -> float:
    """Return the agreement asked for of accepted scores: that of two human raters less a margin.

    `pairs`: two raters' scores of each response, grades as shares of their scale; `items`: the number of each
    response's item.  Agreement is QWK within items, as `choose_threshold` measures the machine's, or exact agreement of
    labels.  The default with fewer than MIN_PAIRS pairs.
    """
    if len(pairs) < MIN_PAIRS:
        return default
    first, second = [score for score, _ in pairs], [score for _, score in pairs]
    raters = qwk_within(first, second, items) if item.is_ordered else exact_agreement(first, second)
    return default if np.isnan(raters) else raters - human_margin
