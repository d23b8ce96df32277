from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from app.scoring.agreement import quadratic_weighted_kappa
from app.scoring.bundle import Head
from app.scoring.decoding import decode, expected_choice, softmax
from benchmarks import synthetic
from tests.training.example_rows import GRADES, ITEM, LABELS
from training.calibration.cuts_and_target import LEAST_QWK, PRIOR_RESPONSES, choose_cuts, target_for
from training.common.within_items import qwk_within

Cuts = tuple[float, ...] | None


def cuts_of(marked: Sequence[float], outputs: NDArray[np.float64], human: Sequence[float] | None = None) -> Cuts:
    """Return the cuts of one item.  Without human scores, rows have their expected scores."""
    expected = expected_choice(softmax(outputs))
    [cuts] = choose_cuts(ITEM, [marked], [expected.tolist() if human is None else human], [outputs])
    return cuts


def logits(probabilities: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(np.asarray(probabilities, float), 1e-30)))


def with_mean(scores: Sequence[float], mean: float) -> list[float]:
    """Return every score, with the smallest and the largest repeated until the mean is this."""
    low, high = min(scores), max(scores)
    of_high = round(3000 * (mean - low) / (high - low))
    return [*scores, *[high] * of_high, *[low] * (3000 - of_high)]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("scores", [(0, 1, 2, 3), (0, 2, 3)])
@pytest.mark.parametrize("items", [1, 2])
def test_cuts_reach_the_highest_expected_qwk(seed: int, scores: tuple[int, ...], items: int) -> None:
    """Compare with all ways to score six responses, those that no cuts could give included."""
    probabilities = np.random.default_rng(seed).dirichlet([0.2] * 4, 6)
    of_items, choices = np.split(probabilities, items), np.arange(4)

    def expected_qwk(machine: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (ways,): the expected QWK within items of machine scores (ways, responses)."""
        squares = (choices - machine[..., None]) ** 2  # (ways, responses, choices)
        item_shares = np.repeat([rows.mean(axis=0) for rows in of_items], 6 // items, axis=0)
        return np.asarray(1 - (squares * probabilities).sum((1, 2)) / (squares * item_shares).sum((1, 2)))

    marked = [with_mean(scores, float((rows @ choices).mean())) for rows in of_items]
    outputs = [logits(rows) for rows in of_items]
    cuts_by_item = choose_cuts(ITEM, marked, [(rows @ choices).tolist() for rows in of_items], outputs)

    heads = [Head(cuts=cuts) for cuts in cuts_by_item]
    scored = [score for rows, head in zip(outputs, heads, strict=True) for score in decode(rows, ITEM, head)]
    given = np.array([[int(score.value) for score in scored]])
    every = np.array(list(product(scores, repeat=6)))
    assert expected_qwk(given) == pytest.approx(expected_qwk(every).max(), abs=2e-3)
    assert expected_qwk(given) > LEAST_QWK


def by_signs(too_high: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return raters' scores, evenly spread, and the outputs of a model that sees each score with normal noise."""
    generator = np.random.default_rng(0)
    human = generator.integers(0, 4, 4000)
    noisy = human + generator.normal(0, 1, 4000) + too_high
    likely = np.exp(-((noisy[:, None] - np.arange(4)) ** 2) / 2)
    return human, logits(likely / likely.sum(axis=1, keepdims=True))


def test_cuts_undo_shrinkage_towards_the_mean() -> None:
    """Raters spread evenly over four scores; the model sees each with normal noise."""
    human, outputs = by_signs(0)

    head = Head(cuts=cuts_of(human[:300].tolist(), outputs[:300]))

    rounding = Head(cuts=(0.5, 1.5, 2.5))
    qwk, of_rounded = (
        quadratic_weighted_kappa(human[300:], [score.value for score in decode(outputs[300:], ITEM, chosen)])
        for chosen in (head, rounding)
    )
    assert qwk > of_rounded + 0.01
    spread = np.std([score.value for score in decode(outputs[300:], ITEM, head)])
    assert spread == pytest.approx(np.std(human), rel=0.1)


def test_cuts_correct_a_lenient_model() -> None:
    """The model takes every response to be .6 better."""
    human, outputs = by_signs(0.6)
    scores = human[:1000].tolist()

    head = Head(cuts=cuts_of([0, 1, 2, 3], outputs[:1000], scores))

    machine = np.array([score.value for score in decode(outputs[1000:], ITEM, head)])
    assert abs(machine.mean() - human.mean()) < 0.1 * human.std()
    uncorrected = Head(cuts=cuts_of([0, 1, 2, 3], outputs[:1000]))
    assert (
        np.mean([score.value for score in decode(outputs[1000:], ITEM, uncorrected)]) > human.mean() + 0.2 * human.std()
    )


def test_uninformative_model_is_not_spread_over_the_scale() -> None:
    generator = np.random.default_rng(0)
    outputs = generator.normal(0, 0.05, (500, 4))

    cuts = cuts_of([0, 1, 2, 3], outputs)

    assert cuts is not None
    assert np.diff(cuts) == pytest.approx([LEAST_QWK] * 2)


def test_constant_outputs_have_cuts() -> None:
    assert cuts_of([0, 1, 2, 3], np.zeros((40, 4))) == pytest.approx((1.3, 1.5, 1.7))
    # All responses are shifted to the mean of their human scores, 1.2: .3 less than expected.
    assert cuts_of([0, 3, 1, 2, 0], np.zeros((4000, 4)), [1.2] * 4000) == pytest.approx((1.36, 1.56, 1.76), abs=1e-3)


def test_shifts_are_shrunk_by_the_number_of_responses() -> None:
    """The first item's human scores lie .1 above the expected scores, the second's .2."""

    def shifts(first: int, second: int) -> list[float]:
        human = [[1.6] * first, [1.7] * second]
        cuts = choose_cuts(ITEM, [[0, 1, 2, 3]] * 2, human, [np.zeros((len(scores), 4)) for scores in human])
        return [1.3 - of_item[0] if of_item else float("nan") for of_item in cuts]

    assert shifts(PRIOR_RESPONSES, 0) == pytest.approx([0.075, 0.05])  # the other item has only the shift of all
    assert shifts(4000, 4000) == pytest.approx([0.1, 0.2], abs=0.002)
    assert shifts(4000, PRIOR_RESPONSES) == pytest.approx([0.1, 0.15], abs=0.002)


def test_cuts_lie_about_each_items_own_mean() -> None:
    """Two items differ in their mean alone, so that shared cuts would push both to the ends of the scale."""
    generator = np.random.default_rng(0)
    worth = [generator.normal(mean, 1, 2000) for mean in (-1, 1)]
    outputs = [synthetic.logits(values, 1.6, mean, generator) for values, mean in zip(worth, (-1, 1), strict=True)]
    lists = [synthetic.raters(values).tolist() for values in worth]

    cuts = choose_cuts(ITEM, lists, lists, outputs)

    assert cuts[0] is not None
    assert cuts[1] is not None
    assert np.diff(cuts[0]) == pytest.approx(np.diff(cuts[1]))
    machine = [
        [score.value for score in decode(rows, ITEM, Head(cuts=of_item))]
        for rows, of_item in zip(outputs, cuts, strict=True)
    ]
    human = [*lists[0], *lists[1]]
    [pooled] = choose_cuts(ITEM, [human], [human], [np.concatenate(outputs)])
    shared = [[score.value for score in decode(rows, ITEM, Head(cuts=pooled))] for rows in outputs]
    apart, together = (
        qwk_within(human, np.concatenate(scores), [0] * 2000 + [1] * 2000) for scores in (machine, shared)
    )
    assert apart > together + 0.02


@pytest.mark.parametrize("given", [{1, 2, 3}, {0, 1, 2}, {1, 2}])
@pytest.mark.parametrize("nearly", [0, 3])
def test_cuts_ascend_within_the_scale(given: set[int], nearly: int) -> None:
    outputs = logits([[0.97 if score == nearly else 0.01 for score in range(4)]] * 50)

    for mean in (None, *given):
        cuts = cuts_of(list(given), outputs, None if mean is None else [mean] * 50)
        assert cuts is not None
        assert [0, *cuts, 4] == sorted([0, *cuts, 4])
        Head(cuts=cuts)


def test_item_without_unfitted_rows_has_cuts_about_its_marked_mean() -> None:
    outputs = logits(np.random.default_rng(0).dirichlet([1, 1, 1, 1], 200))
    human = expected_choice(softmax(outputs)).tolist()

    first, second = choose_cuts(ITEM, [[0, 1, 2, 3], [0, 0, 0, 2]], [human, []], [outputs, outputs[:0]])

    assert first == cuts_of([0, 1, 2, 3], outputs)
    assert first is not None
    assert second is not None
    assert np.diff(second) == pytest.approx(np.diff(first))
    assert choose_cuts(ITEM, [[0, 1, 2, 3]], [[]], [outputs[:0]]) == [pytest.approx((1.3, 1.5, 1.7))]


def test_scores_that_no_rater_gave_are_never_given() -> None:
    generator = np.random.default_rng(0)
    outputs = logits(generator.dirichlet([1, 1, 1, 1], 200))
    unseen = logits(generator.dirichlet([0.3, 0.3, 0.3, 0.3], 2000))  # more extreme than `outputs`

    for given in ({1, 2}, {0, 2}, {0, 3}, {3}, {1, 3}):
        head = Head(cuts=cuts_of(list(given) * 20, outputs))
        assert {score.value for score in decode(unseen, ITEM, head)} == given


def test_target_is_the_raters_qwk_less_the_margin() -> None:
    pairs = 8 * [(0, 0), (1, 1), (2, 2), (3, 2)]
    raters_qwk = qwk_within([a for a, _ in pairs], [b for _, b in pairs], [0] * 32)
    assert target_for(ITEM, pairs, [0] * 32, default=0.9, human_margin=0.05) == pytest.approx(raters_qwk - 0.05)
    assert raters_qwk == pytest.approx(0.875, abs=0.005)  # RSMTool's, 2 · .875 / (1.25 + .6875 + .25²)


def test_raters_agreement_is_within_items() -> None:
    pairs = [*20 * [(0, 1), (1, 0)], *20 * [(2, 3), (3, 2)]]

    of_one = target_for(ITEM, pairs, [0] * 80, default=0.9, human_margin=0.05)
    of_two = target_for(ITEM, pairs, [0] * 40 + [1] * 40, default=0.9, human_margin=0.05)

    assert of_one > 0.5
    assert of_two < -0.9


def test_target_of_grades_is_the_raters_qwk() -> None:
    pairs = 8 * [(3, 3.5), (2, 2), (1, 1.75), (6, 5)]
    raters_qwk = qwk_within([a for a, _ in pairs], [b for _, b in pairs], [0] * 32)
    assert target_for(GRADES, pairs, [0] * 32, default=0.9, human_margin=0.05) == pytest.approx(raters_qwk - 0.05)


def test_target_of_nominal_labels_is_the_raters_exact_agreement() -> None:
    pairs = 8 * [(0, 0), (1, 1), (3, 3), (3, 0)]
    assert target_for(LABELS, pairs, [0] * 32, default=0.9, human_margin=0.05) == pytest.approx(0.75 - 0.05)


def test_constant_raters_leave_the_default_target() -> None:
    assert target_for(ITEM, [(1, 1)] * 40, [0] * 40, default=0.9, human_margin=0.05) == 0.9


def test_too_few_double_scored_responses_leave_the_default_target() -> None:
    pairs = [(0, 3), (3, 0), *[(1, 1)] * 28]
    assert target_for(ITEM, pairs[:-1], [0] * 29, 0.9, 0.05) == 0.9 != target_for(ITEM, pairs, [0] * 30, 0.9, 0.05)
    assert target_for(ITEM, [], [], default=0.9, human_margin=0.05) == 0.9
    assert target_for(LABELS, [], [], default=0.8, human_margin=0.05) == 0.8
