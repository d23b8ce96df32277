from math import erf, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from app.scoring.bundle import Head, Interval
from app.scoring.decoding import Score, columns, decode, distribution, expected_choice, softmax
from app.scoring.item import Item

POINTS = Item(item_id="heat-1", prompt="Why?", scale="points", max_score=3)
NOMINAL = Item(item_id="heat-1", prompt="Why?", scale="nominal", labels=("a", "b", "c", "d"))
GRADES = Item(item_id="heat-1", prompt="Why?", scale="continuous", min_score=1, max_score=5)
TWO_DEVIATIONS = Head(cuts=None, interval=Interval(coverage=0.9, deviations=2))
SIGMA = 0.2 / 1.6448536  # of raters' grades, if ± .2 of the scale holds nine tenths of them


def logits(*probabilities: float) -> NDArray[np.float64]:
    return np.log(np.maximum([probabilities], 1e-30))


def normal(deviations: float) -> float:
    """The share of a normal distribution below so many standard deviations."""
    return (1 + erf(deviations / sqrt(2))) / 2


def grade(mean: float, variance: float = 0.01, item: Item = GRADES) -> Score:
    [score] = decode(np.array([[mean, variance]], np.float32), item, TWO_DEVIATIONS)
    return score


def test_without_cuts_the_most_probable_score_is_given() -> None:
    [score] = decode(logits(0.45, 0.05, 0.1, 0.4), POINTS, Head(cuts=None))

    assert (score.value, score.interval) == (0, None)
    assert score.confidence == pytest.approx(0.45)
    assert score.expected == pytest.approx(1.45)
    assert score.probabilities == pytest.approx((0.45, 0.05, 0.1, 0.4))


@pytest.mark.parametrize(
    ("probabilities", "value", "confidence"),
    [
        ((0.9, 0.1, 0, 0), 0, 0.9),
        ((0.5, 0.5, 0, 0), 1, 0.5),  # the cut itself, .5, is reached
        ((0.505, 0, 0, 0.495), 1, 0),  # expected 1.485: what is given need not be probable
        ((0, 0, 0.5, 0.5), 3, 0.5),
    ],
)
def test_with_cuts_the_expected_score_is_placed_between_them(
    probabilities: tuple[float, ...], value: int, confidence: float
) -> None:
    [score] = decode(logits(*probabilities), POINTS, Head(cuts=(0.5, 1.5, 2.5)))

    assert score.value == value
    assert score.confidence == pytest.approx(confidence)


def test_labels_without_order_have_no_expected_score() -> None:
    [score] = decode(logits(0.1, 0.2, 0.3, 0.4), NOMINAL, Head(cuts=None))

    assert (score.value, score.expected) == (3, None)


def test_a_grade_and_its_interval_are_on_the_items_scale() -> None:
    score = grade(0.5)  # half way from 1 to 5, and 2 standard deviations of .1 to each side

    assert score.value == score.expected == pytest.approx(3)
    assert score.interval == pytest.approx((2.2, 3.8))
    assert score.probabilities is None


@pytest.mark.parametrize(
    ("mean", "value", "interval"),
    [
        (0.95, 4.8, (4.0, 5.0)),
        (1.1, 5.0, (4.6, 5.0)),  # better than the best there is
        (1.4, 5.0, (5.0, 5.0)),
        (0.1, 1.4, (1.0, 2.2)),
        (-0.5, 1.0, (1.0, 1.0)),  # worse than the worst
    ],
)
def test_no_grade_and_no_interval_leaves_the_scale(mean: float, value: float, interval: tuple[float, float]) -> None:
    score = grade(mean)

    assert score.value == pytest.approx(value)
    assert score.interval == pytest.approx(interval)


@pytest.mark.parametrize(
    ("mean", "confidence"),
    [
        (0.5, normal(0.1 / SIGMA) - normal(-0.1 / SIGMA)),  # .59, from .4 to .6
        (0.3, normal(0.1 / SIGMA) - normal(-0.1 / SIGMA)),  # the same anywhere in the middle
        (0.95, 1 - normal(-0.1 / SIGMA)),  # whatever lies above 1 is a 1
        (0.08, normal(0.1 / SIGMA)),
        (1.2, 1 - normal((0.9 - 1.2) / SIGMA)),  # 1 is given; from .9 it is near enough
        (-0.05, normal((0.1 + 0.05) / SIGMA)),
    ],
)
def test_confidence_is_the_probability_of_a_human_grade_within_a_tenth_of_the_scale(
    mean: float, confidence: float
) -> None:
    assert grade(mean).confidence == pytest.approx(confidence, abs=1e-5)


def test_the_less_a_grade_varies_the_surer_it_is() -> None:
    sure, unsure = grade(0.5, 0.001), grade(0.5, 0.05)

    assert sure.confidence > 0.98 > 0.3 > unsure.confidence
    assert sure.interval is not None
    assert unsure.interval is not None
    assert sure.interval[1] - sure.interval[0] == pytest.approx(4 * 4 * sqrt(0.001))
    assert unsure.interval[1] - unsure.interval[0] == pytest.approx(4 * 4 * sqrt(0.05))


def test_a_scale_may_begin_below_zero() -> None:
    item = Item(item_id="heat-1", prompt="Why?", scale="continuous", min_score=-2.5, max_score=2.5)

    score = grade(0.5, item=item)

    assert score.value == pytest.approx(0)
    assert score.interval == pytest.approx((-1, 1))
    assert grade(-1, item=item).value == -2.5


@pytest.mark.parametrize(("bottom", "top"), [(2.3, 12.1), (-10.0, -0.1), (1.4, 5.8), (0.1, 0.7)])
def test_the_ends_of_the_scale_are_given_as_they_are_written(bottom: float, top: float) -> None:
    """Not 12.100000000000001: what takes the score, a gradebook say, knows 12.1 as the most there is."""
    item = Item(item_id="heat-1", prompt="Why?", scale="continuous", min_score=bottom, max_score=top)

    best, worst = grade(1.5, item=item), grade(-0.5, item=item)

    assert (best.value, worst.value) == (top, bottom)
    assert (best.interval, worst.interval) == ((top, top), (bottom, bottom))


def test_a_head_decides_for_each_response_alone() -> None:
    outputs = np.array([[0.2, 0.01], [0.9, 0.02]], np.float32)

    scores = decode(outputs, GRADES, TWO_DEVIATIONS)

    assert scores == [grade(0.2, 0.01), grade(0.9, 0.02)]


def test_outputs_have_a_column_a_choice_or_mean_and_variance() -> None:
    assert [columns(item) for item in (POINTS, NOMINAL, GRADES)] == [4, 4, 2]


def test_softmax_stands_large_logits() -> None:
    assert softmax(np.array([[1e4, 0.0]], np.float32)).tolist() == [[1.0, 0.0]]


def test_the_expected_choice_weighs_each_by_its_probability() -> None:
    assert expected_choice(np.array([[0.5, 0, 0, 0.5], [0, 0, 1, 0]])).tolist() == [1.5, 2]


def test_logits_are_compared_as_probabilities_and_grades_as_they_are() -> None:
    outputs = np.array([[0.5, 0.01]], np.float32)

    assert np.array_equal(distribution(outputs, GRADES), outputs)
    assert distribution(logits(0.1, 0.2, 0.3, 0.4) + 7, POINTS)[0] == pytest.approx([0.1, 0.2, 0.3, 0.4])
