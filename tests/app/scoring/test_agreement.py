import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from app.scoring.agreement import (
    UnpairedScores,
    adjacent_agreement,
    agreement,
    cohens_kappa,
    exact_agreement,
    grade_agreement,
    interval_coverage,
    macro_f1,
    mean_absolute_error,
    pearson_correlation,
    quadratic_weighted_kappa,
    root_mean_squared_error,
    standardised_mean_difference,
)
from tests.refusals import refused


@pytest.mark.parametrize(
    ("human", "machine", "expected"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3], 1.0),  # the same scores
        ([0, 0, 2, 2], [0, 2, 0, 2], 0.0),  # no relation
        ([1, 2, 3], [2, 3, 4], 0.571),  # always one point too generous
        ([0, 2, 0, 2], [2, 0, 2, 0], -1.0),  # always the opposite
    ],
)
def test_qwk(human: list[int], machine: list[int], expected: float) -> None:
    assert quadratic_weighted_kappa(human, machine) == pytest.approx(expected, abs=1e-3)


def test_qwk_of_whole_scores_equals_the_confusion_matrix_form() -> None:
    generator = np.random.default_rng(0)
    human = generator.integers(0, 4, 200)
    machine = np.clip(human + generator.integers(-1, 2, 200), 0, 3)

    assert quadratic_weighted_kappa(human, machine) == pytest.approx(
        cohen_kappa_score(human, machine, weights="quadratic")
    )


def test_qwk_is_undefined_if_all_scores_are_equal() -> None:
    assert np.isnan(quadratic_weighted_kappa([1, 1], [1, 1]))


@pytest.mark.parametrize("grade", [0.1, 0.35, 0.7, 3.3])
@pytest.mark.parametrize("count", [1, 3, 7, 30])
def test_equal_grades_have_undefined_figures_despite_rounding(grade: float, count: int) -> None:
    alike, better = [grade] * count, [grade + 0.2] * count

    assert np.isnan(quadratic_weighted_kappa(alike, alike))
    assert np.isnan(standardised_mean_difference(alike, better))
    assert np.isnan(pearson_correlation(alike, better))


@pytest.mark.parametrize(
    ("human", "machine", "expected"),
    [
        ([0] * 25 + [1] * 25, [0] * 20 + [1] * 5 + [0] * 10 + [1] * 15, 0.4),  # .7 agree, .5 by chance
        ([0, 1, 2], [0, 1, 2], 1.0),  # the same labels
        ([0, 0, 1, 1], [0, 1, 0, 1], 0.0),  # no relation
    ],
)
def test_cohens_kappa(human: list[int], machine: list[int], expected: float) -> None:
    assert cohens_kappa(human, machine) == pytest.approx(expected)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_cohens_kappa_is_independent_of_the_order_of_labels(order: tuple[int, int, int]) -> None:
    generator = np.random.default_rng(0)
    first = generator.integers(0, 3, 60)
    second = np.where(generator.random(60) < 0.6, first, generator.integers(0, 3, 60))

    kappa = cohens_kappa(np.take(order, first), np.take(order, second))

    assert kappa == pytest.approx(cohen_kappa_score(first, second))


def test_cohens_kappa_is_undefined_if_all_labels_are_equal() -> None:
    assert np.isnan(cohens_kappa([1, 1], [1, 1]))


def test_exact_and_adjacent_agreement_are_shares() -> None:
    assert exact_agreement([0, 1, 2, 3], [0, 1, 1, 1]) == 0.5
    assert adjacent_agreement([0, 1, 2, 3], [0, 1, 1, 1]) == 0.75


def test_smd_is_in_standard_deviations_of_human_scores() -> None:
    assert standardised_mean_difference([0, 2], [1, 3]) == pytest.approx(1 / np.sqrt(2))
    assert np.isnan(standardised_mean_difference([2, 2], [1, 3]))


def test_macro_f1_counts_rare_labels_like_common_ones() -> None:
    assert macro_f1([0, 0, 0, 1], [0, 0, 0, 0]) == pytest.approx((6 / 7 + 0) / 2)


def test_lists_of_different_length_are_refused() -> None:
    with refused(UnpairedScores, human=(2,), machine=(1,)):
        exact_agreement([1, 2], [1])


def test_nominal_items_have_no_figures_of_distance() -> None:
    figures = agreement([0, 1, 2], [0, 1, 1], ordered=False)

    assert figures is not None
    assert figures.exact == pytest.approx(2 / 3)
    assert figures.qwk is None
    assert figures.smd is None
    assert figures.adjacent is None


def test_agreement_without_responses_is_none() -> None:
    assert agreement([], [], ordered=True) is None


def test_scores_exactly_at_the_tolerance_are_equal() -> None:
    assert exact_agreement([1, 2, 3, 4], [1.5, 2.51, 2.5, 6], tolerance=0.5) == 0.5
    assert exact_agreement([0.3], [0.4], tolerance=0.1) == 1  # .1 apart, though not in floating point


def test_errors_are_in_units_of_the_scale() -> None:
    human, machine = [1, 2, 3, 6], [1, 4, 2, 4]  # differences 0, 2, -1, -2

    assert root_mean_squared_error(human, machine) == pytest.approx(1.5)  # √(9 / 4)
    assert mean_absolute_error(human, machine) == pytest.approx(1.25)


def test_pearsons_r_ignores_level_and_spread() -> None:
    assert pearson_correlation([1, 2, 3], [12, 14, 16]) == pytest.approx(1)
    assert pearson_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert pearson_correlation([1, 2, 3], [1, 3, 1]) == pytest.approx(0)
    assert pearson_correlation([1, 2, 3, 6], [1, 4, 2, 4]) == pytest.approx(6 / np.sqrt(14 * 6.75))
    assert np.isnan(pearson_correlation([1, 2, 3], [2, 2, 2]))


def test_coverage_includes_grades_at_the_ends_of_intervals() -> None:
    intervals = [(0, 1), (1, 2), (2, 3), (4, 5)]

    assert interval_coverage([0.5, 2, 3.1, 3.9], intervals) == 0.5


def test_all_figures_of_grades_at_once() -> None:
    human, machine = [1, 2, 3, 6], [1, 4, 2, 4]
    intervals = [(0.5, 1.5), (3, 5), (1, 3), (3, 5)]

    figures = grade_agreement(human, machine, intervals, tolerance=1, raters=([1, 2, 3, 4], [1, 2, 3, 6]))

    assert figures is not None
    assert figures.model_dump() == pytest.approx(
        {
            "n": 4,
            "exact": 0.5,
            "adjacent": None,
            "qwk": 2 * 1.5 / (3.5 + 1.6875 + 0.0625),
            "smd": -0.25 / np.sqrt(14 / 3),
            "macro_f1": None,
            "rmse": 1.5,
            "mae": 1.25,
            "pearson": 6 / np.sqrt(14 * 6.75),
            "coverage": 0.5,
            "human_qwk": 2 * 2 / (1.25 + 3.5 + 0.25),
            "human_exact": 0.75,
            "human_rmse": 1.0,
            "human_n": 4,
        }
    )


def test_undefined_figures_of_grades_are_none() -> None:
    figures = grade_agreement([2, 2], [2, 2], [(1, 3), (1, 3)], tolerance=0.5)

    assert figures is not None
    assert (figures.qwk, figures.smd, figures.pearson) == (None, None, None)
    assert (figures.rmse, figures.mae, figures.coverage, figures.exact) == (0, 0, 1, 1)
    assert (figures.human_qwk, figures.human_exact, figures.human_rmse, figures.human_n) == (None,) * 4


def test_agreement_without_grades_is_none() -> None:
    assert grade_agreement([], [], [], tolerance=0.5) is None
