import numpy as np
import pytest
from numpy.typing import NDArray

from app.scoring.bundle import Calibration, Head
from app.scoring.decoding import confidence, decode, softmax
from app.scoring.item import Item
from tests.training.example_rows import GRADES, ITEM, LABELS
from training.calibration.confidence import (
    COVERAGE,
    ENOUGH,
    RANGE,
    choose_confidence,
    choose_interval,
    choose_set,
    choose_temperature,
)


def drawn(probabilities: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw a choice for each row by its probabilities."""
    return np.asarray((generator.random((len(probabilities), 1)) > probabilities.cumsum(axis=1)).sum(axis=1))


def labelled(
    rows: int, seed: int, temperature: float = 1.0
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return human values, the logits of a model that is overconfident by the temperature, and its probabilities."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (rows, 4))
    return drawn(softmax(logits / temperature), generator), logits, softmax(logits)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 3.0])
def test_temperature_of_an_overconfident_model_is_recovered(temperature: float) -> None:
    human, logits, _ = labelled(4000, 0, temperature)

    assert choose_temperature(human, logits) == pytest.approx(temperature, rel=0.08)


def test_temperature_calibrates_probabilities_of_new_rows() -> None:
    human, logits, _ = labelled(4000, 0, 2.5)
    new, new_logits, _ = labelled(4000, 1, 2.5)

    p = softmax(new_logits / choose_temperature(human, logits))

    sure = p.max(axis=1) > 0.5
    assert (p.argmax(axis=1) == new)[sure].mean() == pytest.approx(p.max(axis=1)[sure].mean(), abs=0.03)
    assert (p.argmax(axis=1) == new)[sure].mean() < softmax(new_logits).max(axis=1)[sure].mean() - 0.2


def test_temperature_stays_in_its_range() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (200, 4))

    assert choose_temperature(logits.argmax(axis=1), logits) == pytest.approx(1 / RANGE, rel=0.01)
    assert choose_temperature(logits.argmin(axis=1), logits) == pytest.approx(RANGE, rel=0.01)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, -0.4), (1.6, 0.5), (0.3, 1.0)])
def test_slope_and_intercept_are_recovered(slope: float, intercept: float) -> None:
    generator = np.random.default_rng(0)
    p = generator.uniform(0.02, 0.98, 20_000)
    true = 1 / (1 + np.exp(-(slope * np.log(p / (1 - p)) + intercept)))

    calibration = choose_confidence(1.3, p, generator.random(20_000) < true)

    assert calibration.temperature == 1.3
    assert calibration.slope == pytest.approx(slope, abs=0.08)
    assert calibration.intercept == pytest.approx(intercept, abs=0.08)
    assert confidence(0.7, calibration) == pytest.approx(np.interp(0.7, np.sort(p), np.sort(true)), abs=0.02)


def test_calibration_keeps_the_order_of_confidences() -> None:
    p = np.linspace(0.05, 0.95, 400)

    calibration = choose_confidence(1.0, p, np.random.default_rng(0).random(400) > p)

    assert 0 < calibration.slope < 0.1
    assert confidence(0.9, calibration) > confidence(0.1, calibration)


@pytest.mark.parametrize("right", [True, False])
def test_ridge_keeps_confidence_from_certainty(right: bool) -> None:
    """Only the ridge holds the line here.  Without it confidence in new responses would be certain."""
    calibration = choose_confidence(1.0, np.full(60, 0.7), np.full(60, right))

    assert (0.7 < confidence(0.7, calibration) < 0.999) if right else (0.001 < confidence(0.7, calibration) < 0.3)


def test_ridge_pulls_few_responses_to_the_uncalibrated_probability() -> None:
    generator = np.random.default_rng(0)
    p = generator.uniform(0.3, 0.9, 20_000)
    right = generator.random(20_000) < p**2
    whole = choose_confidence(1.0, p, right)

    assert whole.intercept < -0.5  # p² is less than p
    assert choose_confidence(1.0, p[:1], right[:1]).intercept == 0


def test_certain_probabilities_give_finite_calibration() -> None:
    calibration = choose_confidence(1.0, [0.0, 1.0] * 20, [False, True] * 20)

    assert np.isfinite([calibration.slope, calibration.intercept]).all()
    assert confidence(1.0, calibration) > 0.99


def test_fewer_than_enough_rows_fit_nothing() -> None:
    human, logits, p = labelled(ENOUGH, 0, 3.0)
    given, right = p.max(axis=1), p.argmax(axis=1) == human

    assert choose_temperature(human[1:], logits[1:]) == 1
    assert choose_temperature(human, logits) != 1
    assert choose_confidence(1.0, given[1:], right[1:]) == Calibration()
    assert choose_confidence(1.7, given[1:], right[1:]) == Calibration(temperature=1.7)
    assert choose_confidence(1.0, given, right) != Calibration()
    assert choose_temperature([], np.zeros((0, 4))) == 1


@pytest.mark.parametrize("temperature", [0.4, 1.0, 4.0])
def test_sets_hold_nine_tenths_of_new_scores_at_any_temperature(temperature: float) -> None:
    shares = []
    for seed in range(40):
        human, _, p = labelled(100, 2 * seed, temperature)
        new, _, new_p = labelled(2000, 2 * seed + 1, temperature)
        shares.append((new_p[np.arange(2000), new] >= choose_set(human, p).least).mean())

    assert np.mean(shares) == pytest.approx(0.9, abs=0.012)  # 90.1 % of 100 exchangeable scores
    assert min(shares) > 0.75


@pytest.mark.parametrize("item", [ITEM, LABELS])
def test_decoded_sets_cover_at_least_as_promised(item: Item) -> None:
    shares, sizes = [], []
    for seed in range(20):
        human, _, p = labelled(100, 2 * seed, 2.0)
        new, new_logits, _ = labelled(500, 2 * seed + 1, 2.0)
        head = Head(cuts=None, prediction_set=choose_set(human, p))
        sets = [score.prediction_set or () for score in decode(new_logits, item, head)]
        shares.append(np.mean([value in held for value, held in zip(new, sets, strict=True)]))
        sizes.append(np.mean([len(held) for held in sets]))

    assert np.mean(shares) > 0.89
    assert 1 < np.mean(sizes) < 4


@pytest.mark.parametrize(
    ("rows", "rank"),
    [
        (100, 91),  # of 101 · .9, rounded up
        (19, 18),
        (9, 9),  # the fewest rows with a rank that holds nine tenths
    ],
)
def test_set_limit_has_the_conformal_rank(rows: int, rank: int) -> None:
    given = np.random.default_rng(0).permutation(1 - np.arange(1, rows + 1) / 200)
    probabilities = np.stack([given, 1 - given], axis=1)

    prediction_set = choose_set(np.zeros(rows), probabilities)

    assert prediction_set.coverage == COVERAGE == 0.9
    assert prediction_set.least == pytest.approx(1 - rank / 200)


@pytest.mark.parametrize("seed", range(10))
def test_scores_at_the_limit_are_in_the_set(seed: int) -> None:
    """Repeated texts share a probability, so that all or none of them are at the limit."""
    human, logits, _ = labelled(5, seed)
    human, logits = np.repeat(human, 40), np.repeat(logits, 40, axis=0)
    head = Head(cuts=None, prediction_set=choose_set(human, softmax(logits)))

    sets = [score.prediction_set or () for score in decode(logits, LABELS, head)]

    assert np.mean([value in held for value, held in zip(human, sets, strict=True)]) >= 0.9


@pytest.mark.parametrize("rows", [0, 1, 4, 8])
def test_too_few_rows_give_a_full_set_without_promise(rows: int) -> None:
    """A new value exceeds the largest of eight once in nine times, so a set from eight rows would hold .89."""
    human, _, p = labelled(rows, 0)

    prediction_set = choose_set(human, p)

    assert (prediction_set.coverage, prediction_set.least) == (None, 0)
    sets = [
        score.prediction_set
        for score in decode(np.zeros((2, 4)), LABELS, Head(cuts=None, prediction_set=prediction_set))
    ]
    assert sets == [(0, 1, 2, 3)] * 2


@pytest.mark.parametrize("rows", [0, 1, 4, 8])
def test_too_few_rows_give_a_full_interval_without_promise(rows: int) -> None:
    grades, outputs = simulated(rows, 0)

    interval = choose_interval(grades, outputs)

    assert (interval.coverage, interval.deviations) == (None, None)
    [score] = decode(np.array([[0.5, 0.01]]), GRADES, Head(cuts=None, interval=interval))
    assert score.interval == (1, 6)


@pytest.mark.parametrize("rows", range(1, 25))
def test_coverage_holds_for_every_number_of_rows(rows: int) -> None:
    """2,000 data sets of each size, with a new score and a new grade each; .9 less three standard errors."""
    generator = np.random.default_rng(rows)
    held = np.zeros(2)
    for _ in range(2000):
        given, residuals = generator.random(rows + 1), generator.exponential(1, rows + 1)
        prediction_set = choose_set(np.zeros(rows), np.stack([given, 1 - given], axis=1)[:rows])
        interval = choose_interval((0.5 + 0.1 * residuals[:rows]).tolist(), np.tile([0.5, 0.01], (rows, 1)))
        limit = np.inf if interval.deviations is None else interval.deviations
        held += [given[rows] >= prediction_set.least, residuals[rows] <= limit]

    assert held.min() / 2000 > 0.9 - 3 * np.sqrt(0.09 / 2000)


def simulated(rows: int, seed: int, misjudged: float = 1.0) -> tuple[list[float], NDArray[np.float64]]:
    """Return grades as shares, and outputs with a variance that is off by the same factor for every response."""
    generator = np.random.default_rng(seed)
    mean, deviation = generator.uniform(0.3, 0.7, rows), generator.uniform(0.01, 0.06, rows)
    grades = mean + deviation * generator.standard_t(4, rows)  # not even normal
    return grades.tolist(), np.stack([mean, deviation**2 * misjudged], axis=1)


@pytest.mark.parametrize("misjudged", [0.1, 1.0, 20.0])
def test_intervals_hold_nine_tenths_of_new_grades_at_any_variance(misjudged: float) -> None:
    shares = []
    for seed in range(40):
        head = Head(cuts=None, interval=choose_interval(*simulated(100, 2 * seed, misjudged)))
        grades, outputs = simulated(2000, 2 * seed + 1, misjudged)
        intervals = np.array([score.interval for score in decode(outputs, GRADES, head)])
        human = 1 + 5 * np.array(grades)
        shares.append(((intervals[:, 0] <= human) & (human <= intervals[:, 1])).mean())

    assert np.mean(shares) == pytest.approx(0.9, abs=0.012)  # 90.1 % of 100 exchangeable residuals
    assert min(shares) > 0.8


@pytest.mark.parametrize(
    ("rows", "rank"),
    [
        (100, 91),
        (19, 18),
        (9, 9),
    ],
)
def test_interval_has_the_conformal_rank(rows: int, rank: int) -> None:
    residuals = np.arange(1, rows + 1) / 10
    outputs = np.stack([np.full(rows, 0.5), np.full(rows, 0.04)], axis=1)
    order = np.random.default_rng(0).permutation(rows)

    interval = choose_interval((0.5 - 0.2 * residuals[order]).tolist(), outputs)

    assert interval.coverage == 0.9
    assert interval.deviations == pytest.approx(rank / 10)


def test_model_without_error_has_an_interval() -> None:
    deviations = choose_interval([0.5] * 20, np.array([[0.5, 0.01]] * 20)).deviations

    assert deviations is not None
    assert deviations > 0
