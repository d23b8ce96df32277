"""Cases that can be computed in one's head; numbers of RSMTool are in test_rsmtool.py."""

import math

import pytest

from training.evaluation.truescore import prmse

AGREED = [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]


def test_without_errors_of_raters_it_is_the_share_of_their_variance() -> None:
    """Var(0, 1, 2, 3) with N - 1 is 5/3; each score is .5 off."""
    assert prmse([0.5, 1.5, 2.5, 2.5], AGREED) == pytest.approx(1 - 0.25 / (5 / 3))


def test_a_machine_that_gives_what_raters_agree_on_is_perfect() -> None:
    assert prmse([0, 1, 2, 3], AGREED) == 1


def test_the_order_of_the_raters_tells_nothing() -> None:
    pairs = [(0.0, 1.0), (2.0, 1.0), (3.0, 3.0), (1.0, 2.0), (0.0, 0.0)]

    assert prmse([0, 1, 3, 2, 1], pairs) == prmse([0, 1, 3, 2, 1], [(b, a) for a, b in pairs])


@pytest.mark.parametrize(
    ("machine", "raters"),
    [
        ([], []),
        ([1], [(1.0, 2.0)]),
        ([1, 2, 3], [(2.0, 2.0)] * 3),  # all that raters gave is alike
        ([1, 1, 1, 2], [(0.0, 3.0), (3.0, 0.0), (1.0, 2.0), (2.0, 1.0)]),  # raters differ more than responses do
    ],
)
def test_where_there_is_no_true_variance_it_is_undefined(machine: list[int], raters: list[tuple[float, float]]) -> None:
    """RSMTool divides by it all the same; of the last it says .2, of a variance below 0."""
    assert math.isnan(prmse(machine, raters))
