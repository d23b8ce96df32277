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
from training.calibration.cuts_and_target import DOUBT, LEAST_QWK, choose_cuts, target_for
from training.common.within_items import qwk_within

Cuts = tuple[float, ...] | None


def cuts_of(marked: Sequence[float], outputs: NDArray[np.float64], human: Sequence[float] | None = None) -> Cuts:
    """Cuts of one item; rows without human scores are taken to have those that are expected of them."""
    expected = expected_choice(softmax(outputs))
    [cuts] = choose_cuts(ITEM, [marked], [expected.tolist() if human is None else human], [outputs])
    return cuts


def logits(probabilities: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(np.asarray(probabilities, float), 1e-30)))


def with_mean(scores: Sequence[float], mean: float) -> list[float]:
    """Each of the scores, and the smallest and the largest so often that all have this mean."""
    low, high = min(scores), max(scores)
    of_high = round(3000 * (mean - low) / (high - low))
    return [*scores, *[high] * of_high, *[low] * (3000 - of_high)]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("scores", [(0, 1, 2, 3), (0, 2, 3)])
@pytest.mark.parametrize("items", [1, 2])
def test_no_other_way_to_score_lets_expect_a_higher_qwk(seed: int, scores: tuple[int, ...], items: int) -> None:
    """Of all ways to score six responses by the scores that raters gave, whatever cuts they would take."""
    probabilities = np.random.default_rng(seed).dirichlet([0.2] * 4, 6)
    of_items, choices = np.split(probabilities, items), np.arange(4)

    def expected_qwk(machine: NDArray[np.int64]) -> NDArray[np.float64]:
        """(ways, responses) → (ways,): within items"""
        squares = (choices - machine[..., None]) ** 2  # (ways, responses, choices)
        own_shares = np.repeat([own.mean(axis=0) for own in of_items], 6 // items, axis=0)
        return np.asarray(1 - (squares * probabilities).sum((1, 2)) / (squares * own_shares).sum((1, 2)))

    marked = [with_mean(scores, float((own @ choices).mean())) for own in of_items]
    outputs = [logits(own) for own in of_items]
    found = choose_cuts(ITEM, marked, [(own @ choices).tolist() for own in of_items], outputs)

    heads = [Head(cuts=cuts) for cuts in found]
    scored = [score for own, head in zip(outputs, heads, strict=True) for score in decode(own, ITEM, head)]
    given = np.array([[int(score.value) for score in scored]])
    every = np.array(list(product(scores, repeat=6)))
    assert expected_qwk(given) == pytest.approx(expected_qwk(every).max(), abs=2e-3)
    assert expected_qwk(given) > LEAST_QWK


def by_signs(too_high: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Raters' scores, as often each, and outputs by a normal sign of each score."""
    generator = np.random.default_rng(0)
    human = generator.integers(0, 4, 4000)
    signs = human + generator.normal(0, 1, 4000) + too_high
    likely = np.exp(-((signs[:, None] - np.arange(4)) ** 2) / 2)
    return human, logits(likely / likely.sum(axis=1, keepdims=True))


def test_what_a_model_shrinks_towards_the_middle_is_taken_apart_again() -> None:
    """Raters spread evenly over four scores; all that is known of a response is a normal sign of its score."""
    human, outputs = by_signs(0)

    head = Head(cuts=cuts_of(human[:300].tolist(), outputs[:300]))

    rounding = Head(cuts=(0.5, 1.5, 2.5))
    qwk, of_rounded = (
        quadratic_weighted_kappa(human[300:], [score.value for score in decode(outputs[300:], ITEM, own)])
        for own in (head, rounding)
    )
    assert qwk > of_rounded + 0.01
    spread = np.std([score.value for score in decode(outputs[300:], ITEM, head)])
    assert spread == pytest.approx(np.std(human), rel=0.1)


def test_what_a_model_gives_too_much_of_is_taken_back() -> None:
    """It takes every response to be as good as one whose sign is .6 higher."""
    human, outputs = by_signs(0.6)
    scores = human[:1000].tolist()

    head = Head(cuts=cuts_of([0, 1, 2, 3], outputs[:1000], scores))

    machine = np.array([score.value for score in decode(outputs[1000:], ITEM, head)])
    assert abs(machine.mean() - human.mean()) < 0.1 * human.std()
    blind = Head(cuts=cuts_of([0, 1, 2, 3], outputs[:1000]))
    assert np.mean([score.value for score in decode(outputs[1000:], ITEM, blind)]) > human.mean() + 0.2 * human.std()


def test_a_model_that_knows_next_to_nothing_is_not_taken_to_the_ends_of_the_scale() -> None:
    generator = np.random.default_rng(0)
    outputs = generator.normal(0, 0.05, (500, 4))

    cuts = cuts_of([0, 1, 2, 3], outputs)

    assert cuts is not None
    assert np.diff(cuts) == pytest.approx([LEAST_QWK] * 2)


def test_outputs_that_are_all_alike_have_cuts_too() -> None:
    assert cuts_of([0, 1, 2, 3], np.zeros((40, 4))) == pytest.approx((1.3, 1.5, 1.7))
    # All are taken to lie at the mean of their human scores, 1.2: .3 less than expected.
    assert cuts_of([0, 3, 1, 2, 0], np.zeros((4000, 4)), [1.2] * 4000) == pytest.approx((1.36, 1.56, 1.76), abs=1e-3)


def test_few_responses_shift_little_and_an_items_own_less_than_those_of_all() -> None:
    """The first item's lie .1 above what is expected of them, the second's .2."""

    def shifts(first: int, second: int) -> list[float]:
        human = [[1.6] * first, [1.7] * second]
        cuts = choose_cuts(ITEM, [[0, 1, 2, 3]] * 2, human, [np.zeros((len(own), 4)) for own in human])
        return [1.3 - own[0] if own else float("nan") for own in cuts]

    assert shifts(DOUBT, 0) == pytest.approx([0.075, 0.05])  # the other has but what all say
    assert shifts(4000, 4000) == pytest.approx([0.1, 0.2], abs=0.002)
    assert shifts(4000, DOUBT) == pytest.approx([0.1, 0.15], abs=0.002)


def test_each_item_is_taken_apart_about_its_own_mean() -> None:
    """Two items whose scores are alike but for where they lie: shared cuts would push both to the ends."""
    generator = np.random.default_rng(0)
    worth = [generator.normal(mean, 1, 2000) for mean in (-1, 1)]
    outputs = [synthetic.logits(own, 1.6, mean, generator) for own, mean in zip(worth, (-1, 1), strict=True)]
    lists = [synthetic.raters(own).tolist() for own in worth]

    cuts = choose_cuts(ITEM, lists, lists, outputs)

    assert cuts[0] is not None
    assert cuts[1] is not None
    assert np.diff(cuts[0]) == pytest.approx(np.diff(cuts[1]))
    machine = [
        [score.value for score in decode(own, ITEM, Head(cuts=of_item))]
        for own, of_item in zip(outputs, cuts, strict=True)
    ]
    human = [*lists[0], *lists[1]]
    [pooled] = choose_cuts(ITEM, [human], [human], [np.concatenate(outputs)])
    shared = [[score.value for score in decode(own, ITEM, Head(cuts=pooled))] for own in outputs]
    apart, together = (qwk_within(human, np.concatenate(own), [0] * 2000 + [1] * 2000) for own in (machine, shared))
    assert apart > together + 0.02


@pytest.mark.parametrize("given", [{1, 2, 3}, {0, 1, 2}, {1, 2}])
@pytest.mark.parametrize("nearly", [0, 3])
def test_cuts_ascend_within_the_scale_however_far_model_and_raters_are_apart(given: set[int], nearly: int) -> None:
    outputs = logits([[0.97 if score == nearly else 0.01 for score in range(4)]] * 50)

    for mean in (None, *given):
        cuts = cuts_of(list(given), outputs, None if mean is None else [mean] * 50)
        assert cuts is not None
        assert [0, *cuts, 4] == sorted([0, *cuts, 4])
        Head(cuts=cuts)


def test_an_item_without_unfitted_responses_has_cuts_about_the_mean_of_its_marked_ones() -> None:
    outputs = logits(np.random.default_rng(0).dirichlet([1, 1, 1, 1], 200))
    human = expected_choice(softmax(outputs)).tolist()

    first, second = choose_cuts(ITEM, [[0, 1, 2, 3], [0, 0, 0, 2]], [human, []], [outputs, outputs[:0]])

    assert first == cuts_of([0, 1, 2, 3], outputs)
    assert first is not None
    assert second is not None
    assert np.diff(second) == pytest.approx(np.diff(first))
    assert choose_cuts(ITEM, [[0, 1, 2, 3]], [[]], [outputs[:0]]) == [pytest.approx((1.3, 1.5, 1.7))]


def test_a_score_that_no_rater_gave_is_never_given() -> None:
    generator = np.random.default_rng(0)
    outputs = logits(generator.dirichlet([1, 1, 1, 1], 200))
    unseen = logits(generator.dirichlet([0.3, 0.3, 0.3, 0.3], 2000))  # more extreme than any that placed the cuts

    for own in ({1, 2}, {0, 2}, {0, 3}, {3}, {1, 3}):
        head = Head(cuts=cuts_of(list(own) * 20, outputs))
        assert {score.value for score in decode(unseen, ITEM, head)} == own


def test_two_raters_set_the_target_themselves() -> None:
    pairs = 8 * [(0, 0), (1, 1), (2, 2), (3, 2)]
    wanted = qwk_within([a for a, _ in pairs], [b for _, b in pairs], [0] * 32)
    assert target_for(ITEM, pairs, [0] * 32, default=0.9, human_margin=0.05) == pytest.approx(wanted - 0.05)
    assert wanted == pytest.approx(0.875, abs=0.005)  # RSMTool's, 2 · .875 / (1.25 + .6875 + .25²)


def test_raters_agree_within_items_not_by_telling_them_apart() -> None:
    pairs = [*20 * [(0, 1), (1, 0)], *20 * [(2, 3), (3, 2)]]

    of_one = target_for(ITEM, pairs, [0] * 80, default=0.9, human_margin=0.05)
    of_two = target_for(ITEM, pairs, [0] * 40 + [1] * 40, default=0.9, human_margin=0.05)

    assert of_one > 0.5
    assert of_two < -0.9


def test_raters_of_grades_agree_by_qwk_too() -> None:
    pairs = 8 * [(3, 3.5), (2, 2), (1, 1.75), (6, 5)]
    wanted = qwk_within([a for a, _ in pairs], [b for _, b in pairs], [0] * 32)
    assert target_for(GRADES, pairs, [0] * 32, default=0.9, human_margin=0.05) == pytest.approx(wanted - 0.05)


def test_raters_of_labels_without_order_agree_exactly_or_not() -> None:
    pairs = 8 * [(0, 0), (1, 1), (3, 3), (3, 0)]
    assert target_for(LABELS, pairs, [0] * 32, default=0.9, human_margin=0.05) == pytest.approx(0.75 - 0.05)


def test_raters_who_give_one_score_throughout_leave_the_default() -> None:
    assert target_for(ITEM, [(1, 1)] * 40, [0] * 40, default=0.9, human_margin=0.05) == 0.9


def test_one_rater_or_too_few_responses_of_two_leave_the_default() -> None:
    pairs = [(0, 3), (3, 0), *[(1, 1)] * 28]
    assert target_for(ITEM, pairs[:-1], [0] * 29, 0.9, 0.05) == 0.9 != target_for(ITEM, pairs, [0] * 30, 0.9, 0.05)
    assert target_for(ITEM, [], [], default=0.9, human_margin=0.05) == 0.9
    assert target_for(LABELS, [], [], default=0.8, human_margin=0.05) == 0.8
