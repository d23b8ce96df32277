from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from app.scoring.decoding import decode
from tests.training.data import GRADES, ITEM, LABELS, marked
from training.selection import choose_cuts, choose_interval, choose_threshold, figure_of_merit, target_for


def logits(probabilities: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(np.asarray(probabilities, float), 1e-30)))


def test_the_threshold_is_the_lowest_from_which_the_target_is_kept() -> None:
    confidence = np.linspace(1, 0.5, 51)  # 1.00, .99, …
    correct = [1.0] * 30 + [0.0] * 21

    threshold = choose_threshold(confidence, correct, target=0.9)

    assert threshold is not None
    accepted = confidence >= threshold
    assert np.mean(np.array(correct)[accepted]) >= 0.9
    assert np.mean(np.array(correct)[confidence >= threshold - 0.011]) < 0.9


def test_equal_confidences_are_accepted_together_or_not_at_all() -> None:
    assert choose_threshold([0.9] * 40, [1.0] * 30 + [0.0] * 10, target=0.9) is None


def test_no_threshold_where_the_target_is_out_of_reach_or_the_rows_are_too_few() -> None:
    assert choose_threshold(np.linspace(0, 1, 50), [0.0] * 50, target=0.5) is None
    assert choose_threshold(np.linspace(0, 1, 10), [1.0] * 10, target=0.5) is None


def test_cuts_give_each_score_the_share_that_humans_gave_it() -> None:
    """A model that shrinks everything towards 1 still decodes to all scores."""
    generator = np.random.default_rng(0)
    human = np.repeat([0, 1, 2, 3], [40, 30, 20, 10])
    p = np.clip(0.8 + 0.2 * human + generator.normal(0, 0.02, 100), 0, 3) / 3
    outputs = logits(np.stack([1 - p, np.zeros(100), np.zeros(100), p], axis=1))  # expected score: 3p

    head = choose_cuts(ITEM, human.tolist(), outputs)

    scores = [int(score.value) for score in decode(outputs, ITEM, head)]
    assert np.bincount(scores).tolist() == [40, 30, 20, 10]
    assert head.cuts is not None
    assert list(head.cuts) == sorted(head.cuts)
    assert head.interval is None


def test_a_score_that_no_rater_gave_is_never_given() -> None:
    generator = np.random.default_rng(0)
    outputs = logits(generator.dirichlet([1, 1, 1, 1], 200))

    head = choose_cuts(ITEM, [1, 2] * 20, outputs)

    unseen = logits(generator.dirichlet([0.3, 0.3, 0.3, 0.3], 2000))  # more extreme than any that placed the cuts
    assert {score.value for score in decode(unseen, ITEM, head)} == {1, 2}


def test_labels_without_order_are_decoded_by_the_most_probable() -> None:
    outputs = logits([[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4]])

    assert choose_cuts(LABELS, [0, 3], outputs).cuts is None
    assert figure_of_merit(LABELS, [0, 3], outputs) == 1.0
    assert figure_of_merit(LABELS, [0, 2], outputs) == pytest.approx(1 / 3)  # of 0, 2 and 3 only 0 is met


def test_a_constant_scorer_of_constant_scores_earns_nothing() -> None:
    assert figure_of_merit(ITEM, [1, 1], logits([[0.0, 1.0, 0.0, 0.0]] * 2)) == 0.0


def test_of_grades_the_smaller_error_is_the_better() -> None:
    outputs = np.array([[0.2, 0.01], [0.9, 0.5]])

    assert figure_of_merit(GRADES, [0.2, 0.5], outputs) == pytest.approx(-np.sqrt(0.08))
    assert figure_of_merit(GRADES, [0.2, 0.9], outputs) == 0 > figure_of_merit(GRADES, [0.2, 0.5], outputs)


def simulated(rows: int, seed: int, misjudged: float = 1.0) -> tuple[list[float], NDArray[np.float64]]:
    """Grades as shares and outputs whose variance is off by a factor, alike for easy and hard responses."""
    generator = np.random.default_rng(seed)
    mean, deviation = generator.uniform(0.3, 0.7, rows), generator.uniform(0.01, 0.06, rows)
    grades = mean + deviation * generator.standard_t(4, rows)  # not even normal
    return grades.tolist(), np.stack([mean, deviation**2 * misjudged], axis=1)


@pytest.mark.parametrize("misjudged", [0.1, 1.0, 20.0])
def test_intervals_hold_nine_tenths_of_new_grades_however_variance_is_misjudged(misjudged: float) -> None:
    shares = []
    for seed in range(40):
        head = choose_interval(*simulated(100, 2 * seed, misjudged))
        grades, outputs = simulated(2000, 2 * seed + 1, misjudged)
        intervals = np.array([score.interval for score in decode(outputs, GRADES, head)])
        human = 1 + 5 * np.array(grades)
        shares.append(((intervals[:, 0] <= human) & (human <= intervals[:, 1])).mean())

    assert np.mean(shares) == pytest.approx(0.9, abs=0.012)  # 90.1 % of 100 exchangeable residuals
    assert min(shares) > 0.8


@pytest.mark.parametrize(
    ("rows", "rank"),
    [
        (100, 91),  # of 101 · .9, rounded up
        (19, 18),
        (9, 9),
        (5, 5),  # too few for nine tenths: the widest there is
    ],
)
def test_the_interval_is_the_residual_of_its_rank(rows: int, rank: int) -> None:
    residuals = np.arange(1, rows + 1) / 10
    outputs = np.stack([np.full(rows, 0.5), np.full(rows, 0.04)], axis=1)
    order = np.random.default_rng(0).permutation(rows)

    head = choose_interval((0.5 - 0.2 * residuals[order]).tolist(), outputs)

    assert head.cuts is None
    assert head.interval is not None
    assert head.interval.coverage == 0.9
    assert head.interval.deviations == pytest.approx(rank / 10)


def test_a_model_without_error_still_has_an_interval() -> None:
    head = choose_interval([0.5] * 20, np.array([[0.5, 0.01]] * 20))

    assert head.interval is not None
    assert head.interval.deviations > 0


def test_two_raters_set_the_target_themselves() -> None:
    rows = [replace(row, raters=(1, 2)) if number < 5 else row for number, row in enumerate(marked(20))]

    assert target_for(ITEM, rows, default=0.9, human_margin=0.05) == pytest.approx(0.75 - 0.05)


def test_raters_of_grades_agree_within_the_tolerance() -> None:
    pairs = [(3, 3.5), (2, 2), (1, 1.75), (6, 5)]  # a tenth of the scale from 1 to 6 is .5
    rows = [replace(row, raters=pair) for row, pair in zip(marked(4, item=GRADES), pairs, strict=True)]

    assert target_for(GRADES, rows, default=0.9, human_margin=0.05) == pytest.approx(0.5 - 0.05)


def test_one_rater_leaves_the_default() -> None:
    assert target_for(ITEM, [], default=0.9, human_margin=0.05) == 0.9
    assert target_for(LABELS, marked(8, item=LABELS), default=0.8, human_margin=0.05) == 0.8
