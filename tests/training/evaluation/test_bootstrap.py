from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray

from app.scoring.agreement import exact_agreement, quadratic_weighted_kappa, standardised_mean_difference
from training.evaluation.bootstrap import interval

HUMAN = np.tile([0.0, 1.0, 2.0, 3.0], 100)
WRONG = np.arange(400) % 16 == 0  # a sixteenth, whatever the score
MACHINE = np.where(WRONG, 3 - HUMAN, HUMAN)


def test_its_width_is_that_of_a_share() -> None:
    """1.96 · √(p (1 - p) / n), nearly."""
    share = exact_agreement(HUMAN, MACHINE)

    found = interval(HUMAN, MACHINE, exact_agreement)

    half = 1.96 * np.sqrt(share * (1 - share) / len(HUMAN))
    assert found == pytest.approx((share - half, share + half), abs=0.006)


def test_responses_are_drawn_with_their_scores() -> None:
    """A machine that gives what raters gave does so in every resample."""
    assert interval(HUMAN, HUMAN, quadratic_weighted_kappa) == pytest.approx((1, 1))
    assert interval(HUMAN, HUMAN, exact_agreement) == (1, 1)


def test_it_holds_the_figure_itself() -> None:
    for figure in (quadratic_weighted_kappa, standardised_mean_difference, exact_agreement):
        found = interval(HUMAN, MACHINE, figure)
        assert found is not None
        assert found[0] < figure(HUMAN, MACHINE) < found[1]


def test_more_responses_make_it_narrower() -> None:
    few, many = (interval(HUMAN[:rows], MACHINE[:rows], exact_agreement) for rows in (64, 400))

    assert few is not None
    assert many is not None
    assert few[1] - few[0] > 1.8 * (many[1] - many[0])


def test_it_is_the_same_every_time() -> None:
    assert interval(HUMAN, MACHINE, exact_agreement) == interval(HUMAN, MACHINE, exact_agreement)


def test_what_is_undefined_on_most_resamples_has_none() -> None:
    assert interval([1] * 5, [1] * 5, quadratic_weighted_kappa) is None
    assert interval([1], [1], standardised_mean_difference) is None


@pytest.mark.parametrize(("defined", "expected"), [(2, (0.5, 0.5)), (1, None)])
def test_what_is_undefined_on_some_has_that_of_the_others(defined: int, expected: tuple[float, float] | None) -> None:
    """Of three resamples it is defined on two; or on one."""
    numbers = count()

    def sometimes(_: NDArray[np.float64], __: NDArray[np.float64]) -> float:
        return 0.5 if next(numbers) % 3 < defined else float("nan")

    assert interval(HUMAN, MACHINE, sometimes) == expected
