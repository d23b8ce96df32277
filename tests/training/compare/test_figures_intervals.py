"""Bootstrap intervals, paired differences, and figures that are undefined."""

from collections.abc import Callable

import numpy as np
import pytest

from app.scoring.agreement import quadratic_weighted_kappa
from app.scoring.scale import ScaleKind
from tests.training.compare.findings import noisy, only, outcome, result, row_of, two_items


@pytest.mark.parametrize(("rows", "items"), [(40, 1), (12, 3)])
def test_interval_holds_the_figure(rows: int, items: int) -> None:
    results = []
    for seed in range(items):
        human, machine = noisy(rows, seed)
        results.append(result(f"heat-{seed}", human, student=outcome(machine)))

    row = row_of(only(results))

    low, high = row.interval
    assert low < row.figure < high
    assert high - low > 0.05


def test_interval_has_the_binomial_width() -> None:
    """The half-width is nearly 1.96 · sd(e²) / (2 · RMSE · √n), for errors of 0 and 2 by turns."""
    section = only([result("shade-1", [1.0] * 400, "continuous", student=outcome([1.0, 3.0] * 200))])

    row = row_of(section)

    half = 1.96 * 2 / (2 * 2**0.5 * 400**0.5)
    assert row.figure == pytest.approx(2**0.5)
    assert row.interval == pytest.approx((row.figure - half, row.figure + half), abs=half / 6)


@pytest.mark.parametrize(
    ("scale", "figure"),
    [
        ("continuous", lambda wrong: 3 * (wrong / 45) ** 0.5),  # RMSE of grades that are wrong by 3
        (
            "nominal",
            lambda wrong: (45 - wrong) / (90 - wrong),
        ),  # macro-F1 of a label that is never right and of another
    ],
)
def test_rows_are_drawn_from_all_items_together(scale: ScaleKind, figure: Callable[[int], float]) -> None:
    """Of 45 rows those of the smaller item are wrong, and only those.  A resample has 5 of them in the mean, and in
    95 of a hundred resamples 1 to 9: these are the quantiles of the binomial distribution.
    """
    section = only(
        [
            result("small", [0] * 5, scale, student=outcome([3 if scale == "continuous" else 1] * 5)),
            result("large", [0] * 40, scale, student=outcome([0] * 40)),
        ]
    )

    row = row_of(section)

    low, high = row.interval
    assert row.figure == pytest.approx(figure(5))
    assert high - low == pytest.approx(abs(figure(9) - figure(1)), rel=0.15)


def test_more_rows_narrow_the_interval() -> None:
    widths = []
    for rows in (30, 1000):
        human, machine = noisy(rows)
        low, high = row_of(only([result("heat-1", human, student=outcome(machine))])).interval
        widths.append(high - low)

    assert widths[1] < widths[0] / 3


def test_interval_of_many_small_items_holds_the_figure() -> None:
    """QWK of six resampled rows is lower on average than QWK of the six rows, which many items make visible."""
    results = []
    for seed in range(100):
        human, machine = noisy(6, seed)
        results.append(result(f"heat-{seed}", human, student=outcome(machine)))

    row = row_of(only(results))

    assert row.interval[0] <= row.figure <= row.interval[1]


def test_difference_from_itself_is_zero() -> None:
    human, machine = noisy(30)
    section = only([result("heat-1", human, student=outcome(machine), teacher=outcome(machine))])

    twin = row_of(section, "teacher")
    assert twin.student_less_this == 0
    assert twin.student_less_this_interval == (0, 0)
    assert row_of(section).student_less_this is None
    assert row_of(section).interval == twin.interval


def test_differences_are_paired_and_signed() -> None:
    """Both err on the same rows, and the teacher on one more, so that it is never ahead in any draw."""
    human, machine = noisy(60)
    right = list(zip(human, machine, strict=True)).index((0, 0))
    teacher = [3 if number == right else value for number, value in enumerate(machine)]
    section = only([result("heat-1", human, student=outcome(machine), teacher=outcome(teacher))])

    row = row_of(section, "teacher")
    expected = quadratic_weighted_kappa(human, machine) - quadratic_weighted_kappa(human, teacher)
    assert row.student_less_this == pytest.approx(expected)
    assert row.student_less_this_interval is not None
    low, high = row.student_less_this_interval
    assert 0 <= low <= expected <= high < row.interval[1] - row.interval[0]


def test_item_with_constant_scores_is_left_out_of_intervals() -> None:
    section = only([*two_items(), result("heat-3", [1, 1], student=outcome([1, 1]))])

    assert row_of(section).figure == pytest.approx(0.5)
    assert row_of(section).items["heat-3"] is None


def test_constant_machine_has_an_interval() -> None:
    """QWK is undefined in draws with constant human scores."""
    section = only([result("heat-1", [1, 1, 1, 2, 1, 1], student=outcome([1] * 6))])

    assert row_of(section).figure == 0
    assert np.isfinite(row_of(section).interval).all()


def test_undefined_figures_are_no_failure() -> None:
    """The only item has constant human and machine scores."""
    assert only([result("heat-1", [1, 1, 1], student=outcome([1, 1, 1]))]).rows == 3
