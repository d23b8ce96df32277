import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from app.scoring.agreement import (
    adjacent_agreement,
    agreement,
    exact_agreement,
    macro_f1,
    quadratic_weighted_kappa,
    standardised_mean_difference,
)


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


def test_qwk_is_the_confusion_matrix_form_on_whole_scores() -> None:
    generator = np.random.default_rng(0)
    human = generator.integers(0, 4, 200)
    machine = np.clip(human + generator.integers(-1, 2, 200), 0, 3)

    assert quadratic_weighted_kappa(human, machine) == pytest.approx(
        cohen_kappa_score(human, machine, weights="quadratic")
    )


def test_qwk_is_undefined_when_nobody_ever_differs() -> None:
    assert np.isnan(quadratic_weighted_kappa([1, 1], [1, 1]))


def test_exact_and_adjacent_count_shares() -> None:
    assert exact_agreement([0, 1, 2, 3], [0, 1, 1, 1]) == 0.5
    assert adjacent_agreement([0, 1, 2, 3], [0, 1, 1, 1]) == 0.75


def test_smd_is_in_standard_deviations_of_the_human_scores() -> None:
    assert standardised_mean_difference([0, 2], [1, 3]) == pytest.approx(1 / np.sqrt(2))
    assert np.isnan(standardised_mean_difference([2, 2], [1, 3]))


def test_macro_f1_counts_rare_labels_like_common_ones() -> None:
    assert macro_f1([0, 0, 0, 1], [0, 0, 0, 0]) == pytest.approx((6 / 7 + 0) / 2)


def test_raters_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="equally long"):
        exact_agreement([1, 2], [1])


def test_nominal_items_have_no_distance_between_labels() -> None:
    figures = agreement([0, 1, 2], [0, 1, 1], ordered=False)

    assert figures is not None
    assert figures.exact == pytest.approx(2 / 3)
    assert figures.qwk is None
    assert figures.smd is None
    assert figures.adjacent is None


def test_there_is_no_agreement_on_nothing() -> None:
    assert agreement([], [], ordered=True) is None
