"""PRMSE of cases for mental arithmetic; test_rsmtool.py has RSMTool's numbers."""

import math

import pytest

from training.evaluation.truescore import prmse

AGREED = [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]


def test_prmse_without_rater_error_is_explained_variance() -> None:
    """Var(0, 1, 2, 3) with N - 1 is 5/3, and each machine score is off by .5."""
    assert prmse([0.5, 1.5, 2.5, 2.5], AGREED) == pytest.approx(1 - 0.25 / (5 / 3))


def test_machine_that_matches_true_scores_has_prmse_one() -> None:
    assert prmse([0, 1, 2, 3], AGREED) == 1


def test_prmse_ignores_the_order_of_raters() -> None:
    pairs = [(0.0, 1.0), (2.0, 1.0), (3.0, 3.0), (1.0, 2.0), (0.0, 0.0)]

    assert prmse([0, 1, 3, 2, 1], pairs) == prmse([0, 1, 3, 2, 1], [(b, a) for a, b in pairs])


@pytest.mark.parametrize(
    ("machine", "raters"),
    [
        ([], []),
        ([1], [(1.0, 2.0)]),
        ([1, 2, 3], [(2.0, 2.0)] * 3),  # constant raters
        ([1, 1, 1, 2], [(0.0, 3.0), (3.0, 0.0), (1.0, 2.0), (2.0, 1.0)]),  # raters differ more than responses
    ],
)
def test_prmse_without_true_variance_is_undefined(machine: list[int], raters: list[tuple[float, float]]) -> None:
    """RSMTool divides by the variance all the same, and gives .2 for the last case, of negative variance."""
    assert math.isnan(prmse(machine, raters))
