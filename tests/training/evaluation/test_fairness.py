"""Cases that can be computed in one's head; numbers of RSMTool are in test_rsmtool.py."""

import tracemalloc

import numpy as np
import pytest

from training.evaluation.fairness import Fairness, adjusted_r2, fairness

NOTHING = Fairness(overall_score_accuracy=0, overall_score_difference=0, conditional_score_difference=0)
UNDEFINED = Fairness(overall_score_accuracy=None, overall_score_difference=None, conditional_score_difference=None)


def test_a_group_that_tells_the_whole_difference_explains_all_of_it() -> None:
    """Always one point too much for a, never for b."""
    found = fairness([0, 1, 2, 0, 1, 2], [1, 2, 3, 0, 1, 2], list("aaabbb"))

    assert found.overall_score_difference == pytest.approx(1)
    assert found.overall_score_accuracy == pytest.approx(1)
    assert found.conditional_score_difference is not None
    assert found.conditional_score_difference > 0.9


def test_one_group_alone_explains_nothing() -> None:
    assert fairness([0, 1, 2, 0], [1, 1, 2, 2], list("aaaa")) == NOTHING


def test_what_the_human_score_tells_is_not_laid_to_the_group() -> None:
    """The lowest scores get a point too much, whoever gets them; a gets more of these."""
    human, group = [0, 0, 0, 2, 0, 2, 2, 2], list("aaaabbbb")
    machine = [1, 1, 1, 2, 1, 2, 2, 2]

    found = fairness(human, machine, group)

    assert found.overall_score_difference is not None
    assert found.overall_score_difference > 0.1
    assert found.conditional_score_difference == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("error", [0, 1, -2])
def test_an_error_that_is_always_the_same_is_explained_by_nothing(error: int) -> None:
    human = [0, 1, 2, 3, 1, 2]

    assert fairness(human, [score + error for score in human], list("ababab")) == UNDEFINED


def test_an_error_of_one_size_either_way_has_no_accuracy_to_explain() -> None:
    found = fairness([1, 1, 2, 2, 1, 2], [2, 2, 3, 1, 0, 1], list("aaabbb"))

    assert found.overall_score_accuracy is None
    assert found.overall_score_difference == pytest.approx(1)


def test_a_group_that_the_human_score_tells_adds_nothing() -> None:
    """The design has less rank than columns."""
    human = [0, 0, 1, 1, 2, 2, 0, 1]

    found = fairness(human, [0, 1, 1, 2, 2, 1, 1, 1], ["low" if score < 1 else "high" for score in human])

    assert found.conditional_score_difference == pytest.approx(0, abs=1e-12)
    assert found.overall_score_difference is not None


@pytest.mark.parametrize("rows", [1, 2])
def test_of_fewer_rows_than_it_takes_nothing_is_said(rows: int) -> None:
    assert fairness([0, 1][:rows], [1, 3][:rows], ["a", "b"][:rows]) == UNDEFINED


def test_every_score_its_own_leaves_nothing_to_tell_groups_by() -> None:
    """As many different human scores as rows."""
    found = fairness([0, 1, 2, 3], [1, 1, 3, 2], list("aabb"))

    assert found.conditional_score_difference is None
    assert found.overall_score_difference is not None


def test_adjusted_r2_is_of_least_squares_with_an_intercept() -> None:
    """The slope is 2, the residuals are 1, -2 and 1; from the mean y is off by -1, -2 and 3."""
    y, x = np.array([3.0, 2.0, 7.0]), np.array([[0.0], [1.0], [2.0]])

    assert adjusted_r2(y, x) == pytest.approx(1 - (6 / 1) / (14 / 2))


def test_adjusted_r2_counts_a_column_said_twice_once() -> None:
    y, x = np.array([3.0, 2.0, 7.0, 4.0]), np.array([[0.0], [1.0], [2.0], [1.0]])

    assert adjusted_r2(y, np.hstack([x, x, 1 - x])) == pytest.approx(adjusted_r2(y, x))


def test_adjusted_r2_may_fall_below_nothing() -> None:
    found = adjusted_r2(np.array([1.0, -1.0, -1.0, 1.0]), np.array([[0.0], [1.0], [0.0], [1.0]]))

    assert found == pytest.approx(-0.5)


def test_of_grades_with_small_differences_an_error_that_is_always_the_same_is_explained_by_nothing() -> None:
    """1.2 - 1.1 and 2.3 - 2.2 are not the same number to a computer."""
    human = [1.1, 2.2, 3.3, 4.7, 5.9, 2.3]

    assert fairness(human, [grade + 0.1 for grade in human], list("aabbab")) == UNDEFINED


def test_grades_are_taken_in_ten_bands_so_that_each_has_several() -> None:
    """The lower half of the scale is given .5 too much, whoever writes; a writes there more often."""
    generator = np.random.default_rng(0)
    human = generator.permutation(np.linspace(1, 6, 400))
    low = human < np.median(human)
    groups = ["a" if own else "b" for own in generator.random(400) < np.where(low, 0.7, 0.3)]
    machine = human + 0.5 * low + generator.normal(0, 0.05, 400)

    found = fairness(human, machine, groups)

    assert found.overall_score_difference is not None
    assert found.overall_score_difference > 0.1
    assert found.conditional_score_difference == pytest.approx(0, abs=0.005)


def test_thousands_of_different_grades_are_no_thousands_of_columns() -> None:
    generator = np.random.default_rng(0)
    human = generator.uniform(1, 6, 20_000)
    tracemalloc.start()

    found = fairness(human, human + generator.normal(0, 1, 20_000), ["a", "b"] * 10_000)

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100 * 2**20  # bytes: 20,000 columns would take 3 GB
    assert found.conditional_score_difference == pytest.approx(0, abs=1e-3)
