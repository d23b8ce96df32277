from itertools import product

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from app.scoring.agreement import exact_agreement, quadratic_weighted_kappa
from app.scoring.bundle import Head
from app.scoring.decoding import decode
from tests.training.data import GRADES, ITEM, LABELS
from training.selection import LEAST_QWK, choose_cuts, choose_threshold, curve, figure_of_merit, target_for


def logits(probabilities: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(np.asarray(probabilities, float), 1e-30)))


def pairs(right: int, wrong: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Ever less sure, the human values, and the machine's: the surest are right, the others one off."""
    human = np.tile([0.0, 1.0, 2.0, 3.0], right + wrong)[: right + wrong]
    machine = np.append(human[:right], human[right:] + 1)
    return np.linspace(1, 0.5, right + wrong), human, machine


def test_the_threshold_is_the_lowest_from_which_the_target_is_kept_with_some_certainty() -> None:
    """60 right, the rest wrong: of 69 .870 less 1.64 · .041, of 70 .857 less 1.64 · .042; 75 would just reach .8."""
    confidence, human, machine = pairs(60, 60)

    threshold = choose_threshold(confidence, human, machine, 0.8, ordered=False)

    assert threshold is not None
    assert 68 <= (confidence >= threshold).sum() <= 70


def test_whoever_agrees_throughout_needs_no_more_certainty() -> None:
    confidence, human, machine = pairs(100, 0)

    assert choose_threshold(confidence, human, machine, 0.999, ordered=True) == 0.5
    assert choose_threshold(confidence, human, machine, 0.999, ordered=False) == 0.5


def test_scores_with_an_order_must_reach_a_qwk_and_labels_without_an_exact_agreement() -> None:
    """Of 0 to 10 always one off: QWK 20/21, exact agreement 0."""
    human = np.tile(np.arange(11.0), 10)
    confidence = np.random.default_rng(0).random(110)

    assert choose_threshold(confidence, human, human + 1, 0.9, ordered=True) is not None
    assert choose_threshold(confidence, human, human + 1, 0.97, ordered=True) is None
    assert choose_threshold(confidence, human, human + 1, 0.1, ordered=False) is None


def test_the_target_is_not_reached_by_luck() -> None:
    """All scores agree alike, .78 of them, whatever the confidence: the surest would often seem to reach .85."""
    found = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        machine = (generator.random(400) < 0.78).astype(float)
        found.append(choose_threshold(generator.random(400), np.ones(400), machine, 0.85, ordered=False))

    assert sum(own is not None for own in found) <= 3


def test_the_order_that_responses_come_in_changes_nothing() -> None:
    confidence, human, machine = pairs(60, 60)
    mixed = np.random.default_rng(0).permutation(120)

    thresholds = [
        choose_threshold(confidence[own], human[own], machine[own], 0.8, ordered=True)
        for own in (np.arange(120), mixed)
    ]

    assert thresholds[0] == thresholds[1] is not None


def test_equal_confidences_are_accepted_together_or_not_at_all() -> None:
    _, human, machine = pairs(35, 30)

    assert choose_threshold([0.9] * 65, human, machine, 0.9, ordered=False) is None
    assert choose_threshold([0.9] * 35 + [0.8] * 30, human, machine, 0.9, ordered=False) == 0.9


def test_no_threshold_where_the_target_is_out_of_reach_or_the_rows_are_too_few() -> None:
    confidence, human, machine = pairs(0, 50)

    assert choose_threshold(confidence, human, machine, 0.5, ordered=False) is None
    assert choose_threshold(confidence[:29], human[:29], human[:29], 0.5, ordered=True) is None
    assert choose_threshold(confidence[:30], human[:30], human[:30], 0.5, ordered=True) is not None
    assert choose_threshold([], [], [], 0.5, ordered=True) is None


def test_scores_that_are_all_alike_show_no_agreement() -> None:
    assert choose_threshold(np.linspace(0, 1, 50), np.ones(50), np.ones(50), 0.5, ordered=True) is None


def test_a_curve_is_the_agreement_of_the_first_one_two_and_more() -> None:
    generator = np.random.default_rng(0)
    human, machine = generator.integers(0, 4, 30).astype(float), generator.integers(0, 4, 30).astype(float)

    qwk = curve(human, machine, ordered=True)
    exact = curve(human, machine, ordered=False)

    wanted = [quadratic_weighted_kappa(human[:n], machine[:n]) for n in range(1, 31)]
    assert qwk == pytest.approx(np.array(wanted), nan_ok=True)
    assert exact == pytest.approx(np.array([exact_agreement(human[:n], machine[:n]) for n in range(1, 31)]))


@pytest.mark.parametrize("ordered", [True, False])
def test_a_response_may_count_twice_or_not_at_all(ordered: bool) -> None:
    generator = np.random.default_rng(0)
    human, machine = generator.integers(0, 4, 20).astype(float), generator.integers(0, 4, 20).astype(float)
    times = np.array([2, 0, 1, 3] * 5)

    weighted = curve(human, machine, ordered=ordered, times=times)

    repeated = curve(np.repeat(human, times), np.repeat(machine, times), ordered=ordered)
    assert weighted == pytest.approx(repeated[np.cumsum(times) - 1], nan_ok=True)


def test_two_equal_scores_have_no_qwk() -> None:
    assert np.isnan(curve(np.array([1.0, 1.0]), np.array([1.0, 1.0]), ordered=True)).all()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("scores", [(0, 1, 2, 3), (0, 2, 3)])
def test_no_other_way_to_score_lets_expect_a_higher_qwk(seed: int, scores: tuple[int, ...]) -> None:
    """Of all ways to score six responses by the scores that raters gave, whatever cuts they would take."""
    probabilities = np.random.default_rng(seed).dirichlet([0.2] * 4, 6)
    choices = np.arange(4)

    def expected_qwk(machine: NDArray[np.int64]) -> NDArray[np.float64]:
        """(ways, responses) → (ways,)"""
        squares = (choices - machine[..., None]) ** 2  # (ways, responses, choices)
        of_pairs = (squares * probabilities.mean(axis=0)).sum((1, 2))
        return np.asarray(1 - (squares * probabilities).sum((1, 2)) / of_pairs)

    head = Head(cuts=choose_cuts(ITEM, scores, logits(probabilities)))

    given = np.array([[int(score.value) for score in decode(logits(probabilities), ITEM, head)]])
    every = np.array(list(product(scores, repeat=6)))
    assert expected_qwk(given) == pytest.approx(expected_qwk(every).max())
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

    head = Head(cuts=choose_cuts(ITEM, human[:300].tolist(), outputs[:300]))

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

    head = Head(cuts=choose_cuts(ITEM, [0, 1, 2, 3], outputs[:1000], human[:1000].mean()))

    machine = np.array([score.value for score in decode(outputs[1000:], ITEM, head)])
    assert abs(machine.mean() - human.mean()) < 0.1 * human.std()
    blind = Head(cuts=choose_cuts(ITEM, [0, 1, 2, 3], outputs[:1000]))
    assert np.mean([score.value for score in decode(outputs[1000:], ITEM, blind)]) > human.mean() + 0.2 * human.std()


def test_a_model_that_knows_next_to_nothing_is_not_taken_to_the_ends_of_the_scale() -> None:
    generator = np.random.default_rng(0)
    outputs = generator.normal(0, 0.05, (500, 4))

    cuts = choose_cuts(ITEM, [0, 1, 2, 3], outputs)

    assert cuts is not None
    assert np.diff(cuts) == pytest.approx([LEAST_QWK] * 2)


def test_outputs_that_are_all_alike_have_cuts_too() -> None:
    cuts = choose_cuts(ITEM, [0, 1, 2, 3], np.zeros((40, 4)))

    assert cuts == pytest.approx((1.3, 1.5, 1.7))
    assert choose_cuts(ITEM, [0, 3, 1, 2], np.zeros((40, 4)), 1.2) == pytest.approx((1.36, 1.56, 1.76))


@pytest.mark.parametrize("given", [{1, 2, 3}, {0, 1, 2}, {1, 2}])
@pytest.mark.parametrize("nearly", [0, 3])
def test_cuts_ascend_within_the_scale_however_far_model_and_raters_are_apart(given: set[int], nearly: int) -> None:
    outputs = logits([[0.97 if score == nearly else 0.01 for score in range(4)]] * 50)

    for mean in (None, *given):
        cuts = choose_cuts(ITEM, list(given), outputs, mean)
        assert cuts is not None
        assert [0, *cuts, 4] == sorted([0, *cuts, 4])
        Head(cuts=cuts)


def test_a_score_that_no_rater_gave_is_never_given() -> None:
    generator = np.random.default_rng(0)
    outputs = logits(generator.dirichlet([1, 1, 1, 1], 200))
    unseen = logits(generator.dirichlet([0.3, 0.3, 0.3, 0.3], 2000))  # more extreme than any that placed the cuts

    for own in ({1, 2}, {0, 2}, {0, 3}, {3}, {1, 3}):
        head = Head(cuts=choose_cuts(ITEM, list(own) * 20, outputs))
        assert {score.value for score in decode(unseen, ITEM, head)} == own


def test_labels_without_order_are_decoded_by_the_most_probable() -> None:
    outputs = logits([[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4]])

    assert choose_cuts(LABELS, [0, 3], outputs) is None
    assert figure_of_merit(LABELS, [0, 3], outputs) == 1.0
    assert figure_of_merit(LABELS, [0, 2], outputs) == pytest.approx(1 / 3)  # of 0, 2 and 3 only 0 is met


def test_a_constant_scorer_of_constant_scores_earns_nothing() -> None:
    assert figure_of_merit(ITEM, [1, 1], logits([[0.0, 1.0, 0.0, 0.0]] * 2)) == 0.0


def test_of_grades_the_smaller_error_is_the_better() -> None:
    outputs = np.array([[0.2, 0.01], [0.9, 0.5]])

    assert figure_of_merit(GRADES, [0.2, 0.5], outputs) == pytest.approx(-np.sqrt(0.08))
    assert figure_of_merit(GRADES, [0.2, 0.9], outputs) == 0 > figure_of_merit(GRADES, [0.2, 0.5], outputs)


def test_two_raters_set_the_target_themselves() -> None:
    pairs = 8 * [(0, 0), (1, 1), (2, 2), (3, 2)]  # QWK 2 · .875 / (1.25 + .6875 + .25²)
    assert target_for(ITEM, pairs, default=0.9, human_margin=0.05) == pytest.approx(0.875 - 0.05)


def test_raters_of_grades_agree_by_qwk_too() -> None:
    pairs = 8 * [(3, 3.5), (2, 2), (1, 1.75), (6, 5)]
    wanted = quadratic_weighted_kappa(*np.array(pairs).T)
    assert target_for(GRADES, pairs, default=0.9, human_margin=0.05) == pytest.approx(wanted - 0.05)


def test_raters_of_labels_without_order_agree_exactly_or_not() -> None:
    pairs = 8 * [(0, 0), (1, 1), (3, 3), (3, 0)]
    assert target_for(LABELS, pairs, default=0.9, human_margin=0.05) == pytest.approx(0.75 - 0.05)


def test_raters_who_give_one_score_throughout_leave_the_default() -> None:
    assert target_for(ITEM, [(1, 1)] * 40, default=0.9, human_margin=0.05) == 0.9


def test_one_rater_or_too_few_responses_of_two_leave_the_default() -> None:
    pairs = [(0, 3), (3, 0), *[(1, 1)] * 28]
    assert target_for(ITEM, pairs[:-1], default=0.9, human_margin=0.05) == 0.9 != target_for(ITEM, pairs, 0.9, 0.05)
    assert target_for(ITEM, [], default=0.9, human_margin=0.05) == 0.9
    assert target_for(LABELS, [], default=0.8, human_margin=0.05) == 0.8
