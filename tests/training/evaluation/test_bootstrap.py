from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray

from app.scoring.agreement import exact_agreement, quadratic_weighted_kappa, standardised_mean_difference
from training.evaluation.bootstrap import interval

HUMAN = np.tile([0.0, 1.0, 2.0, 3.0], 100)
WRONG = np.arange(400) % 16 == 0  # a sixteenth of every score
MACHINE = np.where(WRONG, 3 - HUMAN, HUMAN)


def test_interval_of_a_share_has_the_binomial_width() -> None:
    """The half-width is nearly 1.96 · √(p (1 - p) / n)."""
    share = exact_agreement(HUMAN, MACHINE)

    bounds = interval(HUMAN, MACHINE, exact_agreement)

    half = 1.96 * np.sqrt(share * (1 - share) / len(HUMAN))
    assert bounds == pytest.approx((share - half, share + half), abs=0.006)


def test_human_and_machine_scores_are_resampled_together() -> None:
    """A machine that equals the raters does so in every draw."""
    assert interval(HUMAN, HUMAN, quadratic_weighted_kappa) == pytest.approx((1, 1))
    assert interval(HUMAN, HUMAN, exact_agreement) == (1, 1)


def test_interval_holds_the_figure() -> None:
    for figure in (quadratic_weighted_kappa, standardised_mean_difference, exact_agreement):
        bounds = interval(HUMAN, MACHINE, figure)
        assert bounds is not None
        assert bounds[0] < figure(HUMAN, MACHINE) < bounds[1]


def test_more_responses_narrow_the_interval() -> None:
    few, many = (interval(HUMAN[:rows], MACHINE[:rows], exact_agreement) for rows in (64, 400))

    assert few is not None
    assert many is not None
    assert few[1] - few[0] > 1.8 * (many[1] - many[0])


def test_interval_is_reproducible() -> None:
    assert interval(HUMAN, MACHINE, exact_agreement) == interval(HUMAN, MACHINE, exact_agreement)


def test_figure_undefined_on_most_resamples_has_no_interval() -> None:
    assert interval([1] * 5, [1] * 5, quadratic_weighted_kappa) is None
    assert interval([1], [1], standardised_mean_difference) is None


@pytest.mark.parametrize(("defined", "expected"), [(2, (0.5, 0.5)), (1, None)])
def test_undefined_resamples_are_left_out(defined: int, expected: tuple[float, float] | None) -> None:
    """The figure is defined on two draws of three, or on one."""
    numbers = count()

    def sometimes(_: NDArray[np.float64], __: NDArray[np.float64]) -> float:
        return 0.5 if next(numbers) % 3 < defined else float("nan")

    assert interval(HUMAN, MACHINE, sometimes) == expected
