from math import erf, log, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from app.scoring.bundle import Calibration, Head, Interval, PredictionSet
from app.scoring.decoding import Score, confidence, decode, distribution, expected_choice, output_columns, softmax
from app.scoring.item import Item

POINTS = Item(item_id="heat-1", prompt="Why?", scale="points", max_score=3)
NOMINAL = Item(item_id="heat-1", prompt="Why?", scale="nominal", labels=("a", "b", "c", "d"))
GRADES = Item(item_id="heat-1", prompt="Why?", scale="continuous", min_score=1, max_score=5)
TWO_DEVIATIONS = Head(cuts=None, interval=Interval(coverage=0.9, deviations=2))
SIGMA = 0.2 / 1.6448536  # SD of raters' grades if ± .2 of the scale contains 90 %


def logits(*probabilities: float) -> NDArray[np.float64]:
    return np.log(np.maximum([probabilities], 1e-30))


def normal(deviations: float) -> float:
    """Return the share of a normal distribution below `deviations` standard deviations."""
    return (1 + erf(deviations / sqrt(2))) / 2


def grade(mean: float, variance: float = 0.01, item: Item = GRADES) -> Score:
    [score] = decode(np.array([[mean, variance]], np.float32), item, TWO_DEVIATIONS)
    return score


def test_most_probable_score_is_given_without_cuts() -> None:
    [score] = decode(logits(0.45, 0.05, 0.1, 0.4), POINTS, Head(cuts=None))

    assert (score.value, score.interval) == (0, None)
    assert score.confidence == pytest.approx(0.45)
    assert score.expected == pytest.approx(1.45)
    assert score.probabilities == pytest.approx((0.45, 0.05, 0.1, 0.4))


@pytest.mark.parametrize(
    ("probabilities", "value", "confidence"),
    [
        ((0.9, 0.1, 0, 0), 0, 0.9),
        ((0.5, 0.5, 0, 0), 1, 0.5),  # expected .5 reaches the cut at .5
        ((0.505, 0, 0, 0.495), 1, 0),  # expected 1.485: the given score may be improbable
        ((0, 0, 0.5, 0.5), 3, 0.5),
    ],
)
def test_cuts_place_the_expected_score(probabilities: tuple[float, ...], value: int, confidence: float) -> None:
    [score] = decode(logits(*probabilities), POINTS, Head(cuts=(0.5, 1.5, 2.5)))

    assert score.value == value
    assert score.confidence == pytest.approx(confidence, abs=1e-5)


def test_nominal_labels_have_no_expected_score() -> None:
    [score] = decode(logits(0.1, 0.2, 0.3, 0.4), NOMINAL, Head(cuts=None))

    assert (score.value, score.expected) == (3, None)


def test_grade_and_interval_are_on_the_scale_of_the_item() -> None:
    score = grade(0.5)  # half way from 1 to 5, and 2 standard deviations of .1 to each side

    assert score.value == score.expected == pytest.approx(3)
    assert score.interval == pytest.approx((2.2, 3.8))
    assert score.probabilities is None


@pytest.mark.parametrize(
    ("mean", "value", "interval"),
    [
        (0.95, 4.8, (4.0, 5.0)),
        (1.1, 5.0, (4.6, 5.0)),  # above the scale
        (1.4, 5.0, (5.0, 5.0)),
        (0.1, 1.4, (1.0, 2.2)),
        (-0.5, 1.0, (1.0, 1.0)),  # below the scale
    ],
)
def test_grades_and_intervals_stay_on_the_scale(mean: float, value: float, interval: tuple[float, float]) -> None:
    score = grade(mean)

    assert score.value == pytest.approx(value)
    assert score.interval == pytest.approx(interval)


@pytest.mark.parametrize(
    ("mean", "confidence"),
    [
        (0.5, normal(0.1 / SIGMA) - normal(-0.1 / SIGMA)),  # .59, from .4 to .6
        (0.3, normal(0.1 / SIGMA) - normal(-0.1 / SIGMA)),  # the same anywhere in the middle
        (0.95, 1 - normal(-0.1 / SIGMA)),  # grades above 1 count as 1
        (0.08, normal(0.1 / SIGMA)),
        (1.2, 1 - normal((0.9 - 1.2) / SIGMA)),  # grade 1; human grades from .9 are within the tolerance
        (-0.05, normal((0.1 + 0.05) / SIGMA)),
    ],
)
def test_confidence_is_the_probability_of_a_human_grade_within_a_tenth_of_the_scale(
    mean: float, confidence: float
) -> None:
    assert grade(mean).confidence == pytest.approx(confidence, abs=1e-5)


def test_confidence_falls_with_the_variance_of_a_grade() -> None:
    sure, unsure = grade(0.5, 0.001), grade(0.5, 0.05)

    assert sure.confidence > 0.98 > 0.3 > unsure.confidence
    assert sure.interval is not None
    assert unsure.interval is not None
    assert sure.interval[1] - sure.interval[0] == pytest.approx(4 * 4 * sqrt(0.001))
    assert unsure.interval[1] - unsure.interval[0] == pytest.approx(4 * 4 * sqrt(0.05))


def test_uncalibrated_interval_is_the_scale_and_confidence_follows_the_models_variance() -> None:
    whole = Head(cuts=None, interval=Interval(coverage=None, deviations=None))

    [score, sure] = decode(np.array([[0.5, 0.01], [0.5, 1e-6]], np.float32), GRADES, whole)

    assert whole.coverage is None
    assert score.interval == sure.interval == (1, 5)
    assert score.confidence == pytest.approx(normal(1) - normal(-1), abs=1e-5)  # a tenth is one deviation of .1
    assert sure.confidence > 0.999


def test_grades_may_be_negative() -> None:
    item = Item(item_id="heat-1", prompt="Why?", scale="continuous", min_score=-2.5, max_score=2.5)

    score = grade(0.5, item=item)

    assert score.value == pytest.approx(0)
    assert score.interval == pytest.approx((-1, 1))
    assert grade(-1, item=item).value == -2.5


@pytest.mark.parametrize(("bottom", "top"), [(2.3, 12.1), (-10.0, -0.1), (1.4, 5.8), (0.1, 0.7)])
def test_ends_of_the_scale_are_exact(bottom: float, top: float) -> None:
    """A gradebook with the maximum 12.1 would refuse 12.100000000000001."""
    item = Item(item_id="heat-1", prompt="Why?", scale="continuous", min_score=bottom, max_score=top)

    best, worst = grade(1.5, item=item), grade(-0.5, item=item)

    assert (best.value, worst.value) == (top, bottom)
    assert (best.interval, worst.interval) == ((top, top), (bottom, bottom))


def test_each_response_is_decoded_alone() -> None:
    outputs = np.array([[0.2, 0.01], [0.9, 0.02]], np.float32)

    scores = decode(outputs, GRADES, TWO_DEVIATIONS)

    assert scores == [grade(0.2, 0.01), grade(0.9, 0.02)]


def test_outputs_have_a_column_per_choice_or_mean_and_variance() -> None:
    assert [output_columns(item) for item in (POINTS, NOMINAL, GRADES)] == [4, 4, 2]


def test_softmax_does_not_overflow() -> None:
    assert softmax(np.array([[1e4, 0.0]], np.float32)).tolist() == [[1.0, 0.0]]


def test_expected_choice_weights_choices_by_probability() -> None:
    assert expected_choice(np.array([[0.5, 0, 0, 0.5], [0, 0, 1, 0]])).tolist() == [1.5, 2]


def test_distribution_is_softmax_of_logits_and_leaves_grades() -> None:
    outputs = np.array([[0.5, 0.01]], np.float32)

    assert np.array_equal(distribution(outputs, GRADES), outputs)
    assert distribution(logits(0.1, 0.2, 0.3, 0.4) + 7, POINTS)[0] == pytest.approx([0.1, 0.2, 0.3, 0.4])


def scored(probabilities: tuple[float, ...], item: Item, head: Head) -> Score:
    [score] = decode(logits(*probabilities), item, head)
    return score


def test_temperature_is_applied_before_cuts_and_confidence() -> None:
    """At T = 2, probabilities (.8, .2, 0, 0) become sqrt(.8) to sqrt(.2), which is 2 to 1."""
    head = Head(
        cuts=(0.25, 1.5, 2.5),
        calibration=Calibration(temperature=2),
        prediction_set=PredictionSet(coverage=0.9, least=0.3),
    )

    score = scored((0.8, 0.2, 0, 0), POINTS, head)

    assert score.probabilities == pytest.approx((2 / 3, 1 / 3, 0, 0), abs=1e-6)
    assert score.expected == pytest.approx(1 / 3, abs=1e-6)
    assert score.value == 1  # without the temperature, .2 would not reach the cut
    assert score.confidence == pytest.approx(1 / 3, abs=1e-6)
    assert score.prediction_set == (0, 1)


def test_temperature_does_not_change_grades() -> None:
    head = TWO_DEVIATIONS.model_copy(update={"calibration": Calibration(temperature=4)})

    assert decode(np.array([[0.5, 0.01]], np.float32), GRADES, head) == [grade(0.5)]


@pytest.mark.parametrize(
    ("slope", "intercept", "sure"),
    [
        (1, 0, 0.8),
        (0.5, 0, 2 / 3),  # odds of 4 to 1 become sqrt(4) to 1
        (2, 0, 16 / 17),
        (1, -log(4), 0.5),
        (1, log(2), 8 / 9),
    ],
)
def test_confidence_is_platt_scaling_of_the_given_scores_probability(
    slope: float, intercept: float, sure: float
) -> None:
    head = Head(cuts=None, calibration=Calibration(slope=slope, intercept=intercept))

    score = scored((0.1, 0.8, 0.1, 0), POINTS, head)

    assert score.confidence == pytest.approx(sure)
    assert score.probabilities == pytest.approx((0.1, 0.8, 0.1, 0))  # the network's, not calibrated


def test_confidence_of_a_grade_is_calibrated() -> None:
    head = TWO_DEVIATIONS.model_copy(update={"calibration": Calibration(slope=0.5, intercept=log(2))})
    p = grade(0.5).confidence

    [score] = decode(np.array([[0.5, 0.01]], np.float32), GRADES, head)

    odds = 2 * sqrt(p / (1 - p))
    assert score.confidence == pytest.approx(odds / (1 + odds))
    assert (score.value, score.interval) == (grade(0.5).value, grade(0.5).interval)


@pytest.mark.parametrize("slope", [0.05, 1.0, 1e6])
def test_confidence_is_monotonic_and_between_0_and_1(slope: float) -> None:
    calibration = Calibration(slope=slope)

    confidences = [confidence(p, calibration) for p in (0.0, 1e-9, 0.1, 0.5, 0.9, 1 - 1e-9, 1.0)]

    assert confidences == sorted(confidences)
    assert all(0 <= value <= 1 for value in confidences)
    assert confidences[0] < confidences[3] == 0.5 < confidences[-1]


def test_confidence_does_not_overflow() -> None:
    assert confidence(0.0, Calibration(slope=100, intercept=-1000)) == 0.0
    assert confidence(1.0, Calibration(slope=100, intercept=1000)) == 1.0


def held(probabilities: tuple[float, ...], least: float, item: Item = POINTS, cuts: bool = False) -> object:
    head = Head(cuts=(0.5, 1.5, 2.5) if cuts else None, prediction_set=PredictionSet(coverage=0.9, least=least))
    return scored(probabilities, item, head).prediction_set


@pytest.mark.parametrize(
    ("probabilities", "least", "wanted"),
    [
        ((0.1, 0.6, 0.25, 0.05), 0.2, (1, 2)),
        ((0.1, 0.6, 0.25, 0.05), 0.7, (1,)),  # always contains the given score
        ((0.1, 0.6, 0.25, 0.05), 0.0, (0, 1, 2, 3)),
        ((0.45, 0.02, 0.08, 0.45), 0.3, (0, 1, 2, 3)),  # contains the scores between two likely ones
        ((0.4, 0.1, 0.3, 0.2), 0.25, (0, 1, 2)),
        ((0.45, 0.45, 0.05, 0.05), 0.06, (0, 1)),
    ],
)
def test_prediction_set_contains_likely_scores_and_all_between(
    probabilities: tuple[float, ...], least: float, wanted: tuple[int, ...]
) -> None:
    assert held(probabilities, least) == wanted


def test_prediction_set_contains_an_improbable_score_placed_by_cuts() -> None:
    assert held((0.505, 0, 0, 0.495), 0.5, cuts=True) == (0, 1)  # expected 1.485: 1 is given


def test_prediction_set_of_a_nominal_item_may_have_gaps() -> None:
    assert held((0.45, 0.02, 0.08, 0.45), 0.3, NOMINAL) == (0, 3)
    assert held((0.2, 0.3, 0.1, 0.4), 0.5, NOMINAL) == (3,)
    ordinal = Item(item_id="heat-1", prompt="Why?", scale="ordinal", labels=("a", "b", "c", "d"))
    assert held((0.45, 0.02, 0.08, 0.45), 0.3, ordinal) == (0, 1, 2, 3)


@pytest.mark.parametrize("item", [POINTS, NOMINAL])
def test_prediction_sets_are_sorted_and_contain_the_score(item: Item) -> None:
    outputs = np.log(np.random.default_rng(0).dirichlet([0.5] * 4, 500))
    cuts = (0.8, 1.2, 2.5) if item.is_ordered else None
    head = Head(cuts=cuts, prediction_set=PredictionSet(coverage=0.9, least=0.3))

    scores = decode(outputs, item, head)

    sets = [score.prediction_set or () for score in scores]
    assert all(score.value in values for score, values in zip(scores, sets, strict=True))
    assert all(tuple(sorted(set(values))) == values for values in sets)
    assert any(len(values) > 1 for values in sets)
    gaps = [values for values in sets if values[-1] - values[0] + 1 != len(values)]
    assert bool(gaps) is not item.is_ordered


def test_grades_have_no_prediction_set() -> None:
    assert grade(0.5).prediction_set is None
    assert scored((0.1, 0.6, 0.25, 0.05), POINTS, Head(cuts=None)).prediction_set is None
