from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.synthetic import HALF, NULL, TRUE, Pattern, scored
from benchmarks.threshold_search import pointwise
from training.calibration.threshold import MAX_PLACES, MIN_ACCEPTED, choose_threshold, step_down
from training.common.within_items import qwk_within

Floats = NDArray[np.float64]
TARGET = 0.8  # of the items drawn


def pairs(right: int, wrong: int) -> tuple[Floats, Floats, Floats]:
    """Return falling confidence, human and machine values: the surest are right, the rest are off by one."""
    human = np.tile([0.0, 1.0, 2.0, 3.0], right + wrong)[: right + wrong]
    machine = np.append(human[:right], human[right:] + 1)
    return np.linspace(1, 0.5, right + wrong), human, machine


@pytest.mark.parametrize("ordered", [True, False])
def test_threshold_is_the_lowest_that_reaches_the_target(ordered: bool) -> None:
    confidence, human, machine = pairs(60, 60)

    threshold = choose_threshold(confidence, human, machine, 0.8, ordered=ordered)

    assert threshold is not None
    accepted = confidence >= threshold
    assert accepted.sum() > 60
    exact = (human == machine)[accepted].mean()
    agreement = qwk_within(human[accepted], machine[accepted], [0] * accepted.sum()) if ordered else exact
    assert agreement > 0.8


def test_full_agreement_proves_only_what_its_number_allows() -> None:
    """At a true agreement of .95 all 100 responses agree less than once in a hundred; at .999 nine times in ten."""
    confidence, human, machine = pairs(100, 0)

    for ordered in (True, False):
        assert choose_threshold(confidence, human, machine, 0.95, ordered=ordered) == 0.5
        assert choose_threshold(confidence, human, machine, 0.999, ordered=ordered) is None
        assert choose_threshold(confidence, human, machine, 1.0, ordered=ordered) is None


def test_ordered_scores_need_qwk_and_labels_exact_agreement() -> None:
    """Scores from 0 to 10 that are always off by one: QWK 20/21, exact agreement 0."""
    human = np.tile(np.arange(11.0), 10)
    confidence = np.random.default_rng(0).random(110)

    assert choose_threshold(confidence, human, human + 1, 0.9, ordered=True) is not None
    assert choose_threshold(confidence, human, human + 1, 0.97, ordered=True) is None
    assert choose_threshold(confidence, human, human + 1, 0.1, ordered=False) is None


def test_threshold_ignores_the_order_of_rows() -> None:
    confidence, human, machine = pairs(60, 60)
    mixed = np.random.default_rng(0).permutation(120)

    thresholds = [
        choose_threshold(confidence[order], human[order], machine[order], 0.8, ordered=False)
        for order in (np.arange(120), mixed)
    ]

    assert thresholds[0] == thresholds[1] is not None


def test_equal_confidences_are_accepted_together() -> None:
    _, human, machine = pairs(35, 30)

    assert choose_threshold([0.9] * 65, human, machine, 0.9, ordered=False) is None
    assert choose_threshold([0.9] * 35 + [0.8] * 30, human, machine, 0.8, ordered=False) == 0.9


def test_no_threshold_out_of_reach_or_with_too_few_rows() -> None:
    confidence, human, machine = pairs(0, 50)
    few = MIN_ACCEPTED - 1

    assert choose_threshold(confidence, human, machine, 0.5, ordered=False) is None
    assert choose_threshold(confidence[:few], human[:few], human[:few], 0.5, ordered=True) is None
    assert choose_threshold(confidence[: few + 1], human[: few + 1], human[: few + 1], 0.5, ordered=True) is not None
    assert choose_threshold([], [], [], 0.5, ordered=True) is None


def test_constant_scores_give_no_threshold() -> None:
    assert choose_threshold(np.linspace(0, 1, 50), np.ones(50), np.ones(50), 0.5, ordered=True) is None
    assert choose_threshold(np.linspace(0, 1, 50), np.ones(50), np.zeros(50), 0.5, ordered=False) is None
    once = np.append(np.ones(49), 2.0)
    assert choose_threshold(np.linspace(0, 1, 50), once, np.ones(50), 0.5, ordered=True) is None


def test_search_spans_from_the_surest_few_to_all_rows() -> None:
    confidence, human, machine = pairs(400, 0)
    assert choose_threshold(confidence, human, machine, 0.9, ordered=True) == confidence[-1]
    assert len(confidence) > MAX_PLACES

    worse = np.append(machine[:MIN_ACCEPTED], 3 - machine[MIN_ACCEPTED:])
    threshold = choose_threshold(confidence, human, worse, 0.5, ordered=False)
    assert threshold is not None
    assert MIN_ACCEPTED <= (confidence >= threshold).sum() < MIN_ACCEPTED + 2 * 400 // MAX_PLACES


def test_step_down_drops_the_limit_of_places_that_passed() -> None:
    """Once the first place has passed, the second has a limit of its own."""
    by_chance = np.column_stack([np.linspace(0, 10, 1000), np.linspace(0, 1, 1000)])

    assert step_down(np.array([9.9, 2.0]), by_chance).tolist() == [True, True]
    assert step_down(np.array([9.0, 2.0]), by_chance).tolist() == [False, False]
    assert step_down(np.array([9.9, 0.5]), by_chance).tolist() == [True, False]


def drawn_items(pattern: Pattern, ordered: bool, n: int, items: int = 60) -> list[tuple[Floats, Floats, Floats]]:
    """Return ranks of confidence, human scores and machine scores of items with n responses each."""
    drawn = []
    for number in range(items):
        generator = np.random.default_rng([2, number, n])
        ranks = np.sort(generator.random(n))
        drawn.append((ranks, *scored(pattern, TARGET, ordered, ranks, generator)))
    return drawn


def found_before(items: Sequence[tuple[Floats, Floats, Floats]], ordered: bool) -> int:
    """Count the items with a threshold by the former rule: the last place with a one-sided 95 % bound at the target."""
    return sum(pointwise(human, machine, TARGET, ordered)[1] > 0 for _, human, machine in items)


def found_after(items: Sequence[tuple[Floats, Floats, Floats]], ordered: bool) -> int:
    """Count the items with a threshold by the present rule."""
    thresholds = [choose_threshold(1 - ranks, h, m, TARGET, ordered=ordered) for ranks, h, m in items]
    return sum(threshold is not None for threshold in thresholds)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("n", [60, 150])
def test_error_rate_holds_when_confidence_is_uninformative(n: int, ordered: bool) -> None:
    """Agreement is the target at every confidence, so that one item in twenty may have a threshold."""
    items = drawn_items(NULL[0], ordered, n)

    assert found_after(items, ordered) <= 6  # of 60 at .05 each, chance finds 7 or more in 3 of 100 such tests
    assert found_before(items, ordered) >= 10


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("pattern", NULL[1:], ids=lambda pattern: pattern.name)
def test_error_rate_holds_when_confidence_informs_or_misleads(pattern: Pattern, ordered: bool) -> None:
    assert found_after(drawn_items(pattern, ordered, 100), ordered) <= 5


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("pattern", TRUE, ids=lambda pattern: pattern.name)
def test_true_agreement_above_the_target_is_found(pattern: Pattern, ordered: bool) -> None:
    """With 1,000 responses hardly anything is lost to the former rule, which errs in every third item."""
    items = drawn_items(pattern, ordered, 1000, items=20)

    assert found_before(items, ordered) == 20
    assert found_after(items, ordered) >= 19


@pytest.mark.parametrize("ordered", [True, False])
def test_half_that_reaches_the_target_is_found(ordered: bool) -> None:
    shares = []
    for number in range(10):
        generator = np.random.default_rng([3, number])
        ranks = np.sort(generator.random(2000))
        human, machine = scored(HALF, 0.8, ordered, ranks, generator)
        threshold = choose_threshold(1 - ranks, human, machine, 0.8, ordered=ordered)
        shares.append(0 if threshold is None else float((1 - ranks >= threshold).mean()))

    assert np.mean(shares) > 0.4
    assert max(shares) < 0.95


def of_items(means: Sequence[float], rows: int, noise: float, seed: int) -> tuple[Floats, Floats, Floats, list[int]]:
    """Return uninformative confidence, human and machine scores, and items that differ in their means alone."""
    generator = np.random.default_rng([4, seed])  # 0 alone is the seed of the search
    worth = np.repeat(means, rows) + generator.normal(0, 1, rows * len(means))
    seen = worth + noise * generator.normal(0, 1, len(worth))
    human, machine = np.round(worth), np.round(seen)
    return generator.random(len(worth)), human, machine, np.repeat(np.arange(len(means)), rows).tolist()


def test_differences_between_items_reach_no_target() -> None:
    """Twelve items, three standard deviations apart: pooled QWK .9, within items .5, target .6."""
    confidence, human, machine, items = of_items(np.linspace(0, 33, 12).tolist(), 40, 1.5, 0)
    assert qwk_within(human, machine, items) < 0.55

    assert choose_threshold(confidence, human, machine, 0.6, ordered=True) == confidence.min()
    assert choose_threshold(confidence, human, machine, 0.6, ordered=True, items=items) is None


def test_small_items_reach_the_target_together() -> None:
    """Forty items of ten responses: QWK within items .8, target .65."""
    confidence, human, machine, items = of_items([0.0] * 40, 10, 0.6, 0)

    assert choose_threshold(confidence, human, machine, 0.65, ordered=True, items=items) == confidence.min()


def test_error_rate_holds_within_items() -> None:
    thresholds = 0
    for seed in range(60):
        confidence, human, machine, items = of_items(np.linspace(-2, 2, 8).tolist(), 25, 1.0, seed)
        thresholds += choose_threshold(confidence, human, machine, 0.63, ordered=True, items=items) is not None

    every = [of_items(np.linspace(-2, 2, 8).tolist(), 25, 1.0, seed) for seed in range(400)]
    truth = np.mean([qwk_within(human, machine, items) for _, human, machine, items in every])
    assert truth == pytest.approx(0.63, abs=0.01)
    assert thresholds <= 6
