"""Fairness of cases for mental arithmetic; test_rsmtool.py has RSMTool's numbers."""

import tracemalloc

import numpy as np
import pytest

from training.evaluation.fairness import Fairness, adjusted_r2, fairness

NOTHING = Fairness(overall_score_accuracy=0, overall_score_difference=0, conditional_score_difference=0)
UNDEFINED = Fairness(overall_score_accuracy=None, overall_score_difference=None, conditional_score_difference=None)


def test_group_explains_a_difference_that_follows_it() -> None:
    """Group a always gets a point too much, group b never."""
    figures = fairness([0, 1, 2, 0, 1, 2], [1, 2, 3, 0, 1, 2], list("aaabbb"))

    assert figures.overall_score_difference == pytest.approx(1)
    assert figures.overall_score_accuracy == pytest.approx(1)
    assert figures.conditional_score_difference is not None
    assert figures.conditional_score_difference > 0.9


def test_single_group_explains_nothing() -> None:
    assert fairness([0, 1, 2, 0], [1, 1, 2, 2], list("aaaa")) == NOTHING


def test_difference_explained_by_the_human_score_is_not_the_groups() -> None:
    """The lowest scores get a point too much in both groups, and a has more of them."""
    human, group = [0, 0, 0, 2, 0, 2, 2, 2], list("aaaabbbb")
    machine = [1, 1, 1, 2, 1, 2, 2, 2]

    figures = fairness(human, machine, group)

    assert figures.overall_score_difference is not None
    assert figures.overall_score_difference > 0.1
    assert figures.conditional_score_difference == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("error", [0, 1, -2])
def test_constant_error_has_no_variance_to_explain(error: int) -> None:
    human = [0, 1, 2, 3, 1, 2]

    assert fairness(human, [score + error for score in human], list("ababab")) == UNDEFINED


def test_error_of_constant_size_has_no_accuracy_to_explain() -> None:
    figures = fairness([1, 1, 2, 2, 1, 2], [2, 2, 3, 1, 0, 1], list("aaabbb"))

    assert figures.overall_score_accuracy is None
    assert figures.overall_score_difference == pytest.approx(1)


def test_group_determined_by_the_human_score_adds_nothing() -> None:
    """The rank of the design is less than its number of columns."""
    human = [0, 0, 1, 1, 2, 2, 0, 1]

    figures = fairness(human, [0, 1, 1, 2, 2, 1, 1, 1], ["low" if score < 1 else "high" for score in human])

    assert figures.conditional_score_difference == pytest.approx(0, abs=1e-12)
    assert figures.overall_score_difference is not None


@pytest.mark.parametrize("rows", [1, 2])
def test_too_few_rows_give_no_fairness(rows: int) -> None:
    assert fairness([0, 1][:rows], [1, 3][:rows], ["a", "b"][:rows]) == UNDEFINED


def test_unique_scores_leave_no_variance_for_groups() -> None:
    """Every row has a different human score."""
    figures = fairness([0, 1, 2, 3], [1, 1, 3, 2], list("aabb"))

    assert figures.conditional_score_difference is None
    assert figures.overall_score_difference is not None


def test_adjusted_r2_has_an_intercept() -> None:
    """The slope is 2, the residuals are 1, -2 and 1; from the mean y is off by -1, -2 and 3."""
    y, x = np.array([3.0, 2.0, 7.0]), np.array([[0.0], [1.0], [2.0]])

    assert adjusted_r2(y, x) == pytest.approx(1 - (6 / 1) / (14 / 2))


def test_adjusted_r2_counts_a_repeated_column_once() -> None:
    y, x = np.array([3.0, 2.0, 7.0, 4.0]), np.array([[0.0], [1.0], [2.0], [1.0]])

    assert adjusted_r2(y, np.hstack([x, x, 1 - x])) == pytest.approx(adjusted_r2(y, x))


def test_adjusted_r2_may_be_negative() -> None:
    figures = adjusted_r2(np.array([1.0, -1.0, -1.0, 1.0]), np.array([[0.0], [1.0], [0.0], [1.0]]))

    assert figures == pytest.approx(-0.5)


def test_constant_error_of_grades_is_not_explained_despite_rounding() -> None:
    """In floating point 1.2 - 1.1 differs from 2.3 - 2.2."""
    human = [1.1, 2.2, 3.3, 4.7, 5.9, 2.3]

    assert fairness(human, [grade + 0.1 for grade in human], list("aabbab")) == UNDEFINED


def test_grades_are_grouped_in_ten_bands() -> None:
    """The lower half of the scale gets .5 too much in both groups, and a is there more often."""
    generator = np.random.default_rng(0)
    human = generator.permutation(np.linspace(1, 6, 400))
    low = human < np.median(human)
    groups = ["a" if is_a else "b" for is_a in generator.random(400) < np.where(low, 0.7, 0.3)]
    machine = human + 0.5 * low + generator.normal(0, 0.05, 400)

    figures = fairness(human, machine, groups)

    assert figures.overall_score_difference is not None
    assert figures.overall_score_difference > 0.1
    assert figures.conditional_score_difference == pytest.approx(0, abs=0.005)


def test_many_different_grades_stay_within_ten_bands() -> None:
    generator = np.random.default_rng(0)
    human = generator.uniform(1, 6, 20_000)
    tracemalloc.start()

    figures = fairness(human, human + generator.normal(0, 1, 20_000), ["a", "b"] * 10_000)

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100 * 2**20  # bytes: 20,000 columns would take 3 GB
    assert figures.conditional_score_difference == pytest.approx(0, abs=1e-3)
