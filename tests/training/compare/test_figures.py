import numpy as np
import pytest

from app.scoring.agreement import quadratic_weighted_kappa
from tests.training.compare.findings import (
    AGREED,
    FEW,
    NO_RELATION,
    TITLES,
    double_scored,
    only,
    outcome,
    result,
    row_of,
    two_items,
)
from training.compare.figures import sections
from training.compare.section import HUMAN, STUDENT


def test_ordered_scales_have_mean_qwk_over_items() -> None:
    section = only(two_items())

    row = row_of(section)
    assert (section.kind, section.metric, section.items, section.rows) == ("ordered", "QWK", 2, 40)
    assert row.figure == pytest.approx(0.5)
    assert row.items == pytest.approx({"heat-1": 1.0, "heat-2": 0.0})
    assert row.accuracy == pytest.approx(6 / 8)
    assert row.macro_f1 == pytest.approx((2 / 3 + 1 + 2 / 3 + 1) / 4)  # over all rows: F1 2/3 for 0 and for 2


def test_labels_have_macro_f1_over_all_rows() -> None:
    section = only(
        [
            result("belief-1", [0, 0, 1], "nominal", student=outcome([0, 0, 0])),
            result("belief-2", [1, 2], "nominal", student=outcome([1, 1])),
        ]
    )

    row = row_of(section)
    assert (section.metric, section.rows) == ("macro-F1", 5)
    # 0: 2 right of 2 and 3; 1: 1 right of 2 and 2; 2: none.  Item by item it would be (0.4 + 1/3) / 2.
    assert row.figure == row.macro_f1 == pytest.approx((4 / 5 + 2 / 4 + 0) / 3)
    assert row.accuracy == pytest.approx(3 / 5)
    assert row.items == pytest.approx({"belief-1": (4 / 5 + 0) / 2, "belief-2": (2 / 3 + 0) / 2})


def test_labels_are_classes_by_name() -> None:
    def section(*labels: list[str]) -> float:
        values = ([0, 0, 1, 1], [0, 1, 1, 1]), ([1, 1, 0, 2], [1, 0, 0, 2])
        names = [f"belief-{number}" for number in range(2)]
        return row_of(
            only(
                [
                    result(name, human, "nominal", labels=item_labels, student=outcome(machine))
                    for name, (human, machine), item_labels in zip(names, values, labels, strict=True)
                ]
            )
        ).figure

    # By name raters gave a a b b and c c a d, the machine a b b b and c a a d.
    by_name = section(["a", "b"], ["a", "c", "d"])
    right, given, wanted = (np.array(classes) for classes in ([2, 2, 1, 1], [3, 3, 1, 1], [3, 2, 2, 1]))
    assert by_name == pytest.approx(np.mean(2 * right / (given + wanted)))
    assert section(["a", "b"], ["b", "a", "d"]) != pytest.approx(by_name)


def test_item_with_constant_human_scores_is_left_out() -> None:
    """QWK of that item would be 0 for a machine with one error, and undefined for a machine without."""
    constant, varied = [2] * 6, AGREED
    section = only(
        [
            result("heat-1", constant, student=outcome([2] * 5 + [1]), teacher=outcome(constant)),
            result("heat-2", varied[0], student=outcome(varied[1]), teacher=outcome(varied[1])),
        ]
    )

    assert [row_of(section, name).figure for name in ("student", "teacher")] == [1, 1]
    assert [row_of(section, name).items["heat-1"] for name in ("student", "teacher")] == [None, None]


def test_grades_have_rmse_over_all_rows() -> None:
    section = only(
        [
            result("shade-1", [1, 2, 3], "continuous", span=5, student=outcome([1, 2, 6])),
            result("shade-2", [4], "continuous", span=5, student=outcome([3])),
        ]
    )

    row = row_of(section)
    assert section.metric == "RMSE on a scale of 5"
    assert row.figure == pytest.approx((10 / 4) ** 0.5)
    assert row.items == pytest.approx({"shade-1": 3**0.5, "shade-2": 1.0})
    assert (row.accuracy, row.macro_f1) == (None, None)


def test_grades_on_different_scales_become_shares() -> None:
    section = only(
        [
            result("shade-1", [1, 5], "continuous", span=5, student=outcome([2, 5])),
            result("shade-2", [10, 0], "continuous", span=10, student=outcome([10, 4])),
        ]
    )

    assert section.metric == "RMSE as a share of the scale"
    assert row_of(section).figure == pytest.approx(((0.2**2 + 0.4**2) / 4) ** 0.5)
    assert row_of(section).items == pytest.approx({"shade-1": 0.2 / 2**0.5, "shade-2": 0.4 / 2**0.5})


def test_points_are_never_shares() -> None:
    items = two_items()
    items[1].span = 5

    assert row_of(only(items)).figure == pytest.approx(0.5)


def test_each_kind_of_scale_has_a_section() -> None:
    results = [
        result("shade-1", [1, 2], "continuous", span=5, student=outcome([1, 2])),
        result("belief-1", [0, 1], "nominal", student=outcome([0, 1])),
        result("heat-1", AGREED[0], student=outcome(AGREED[1])),
        result("rank-1", AGREED[0], "ordinal", student=outcome(AGREED[1])),
    ]

    found_sections = sections(results, TITLES, FEW)

    assert [section.kind for section in found_sections] == ["ordered", "labels", "grades"]
    assert [list(row_of(section).items) for section in found_sections] == [
        ["heat-1", "rank-1"],
        ["belief-1"],
        ["shade-1"],
    ]


def test_seeds_are_averaged_as_figures() -> None:
    opposite = [
        3,
        2,
        1,
        0,
    ] * 5  # QWK -1
    section = only([result("heat-1", AGREED[0], student=outcome(AGREED[1], AGREED[1], opposite))])

    row = row_of(section)
    assert row.seeds == pytest.approx([1, 1, -1])
    assert row.figure == pytest.approx(1 / 3)
    assert row.items == pytest.approx({"heat-1": 1 / 3})
    assert row.accuracy == pytest.approx(2 / 3)


def test_only_seeds_of_every_item_count() -> None:
    items = two_items()
    items[0].found[STUDENT] = outcome(AGREED[1], NO_RELATION[1])

    assert len(row_of(only(items)).seeds) == 1


def test_contestant_without_every_item_is_left_out() -> None:
    items = two_items()
    items[0].found["teacher"] = outcome(AGREED[1])

    assert [row.name for row in only(items).contestants] == [STUDENT]

    items[1].found["teacher"] = outcome([])  # tried, without scores
    assert [row.name for row in only(items).contestants] == [STUDENT]

    items[1].found["teacher"] = outcome(NO_RELATION[1])
    assert [row.name for row in only(items).contestants] == [STUDENT, "teacher"]


def test_contestants_are_in_the_order_of_titles() -> None:
    items = [
        result("heat-1", AGREED[0], teacher=outcome(AGREED[1]), unknown=outcome(AGREED[1]), student=outcome(AGREED[1]))
    ]

    assert [row.title for row in only(items).contestants] == ["the student", "its teacher"]


@pytest.mark.parametrize(
    ("student", "teacher", "settings"),
    [
        ({"split": "1", "student": "1"}, {"split": "1"}, 1),  # each depends on other parts
        ({"split": "1", "student": "1"}, {"split": "2"}, 2),
        ({"split": "1", "student": "2"}, {"split": "1"}, 2),  # another student on the other item
    ],
)
def test_different_settings_are_counted_by_part(
    student: dict[str, str], teacher: dict[str, str], settings: int
) -> None:
    first, second = two_items()
    first.found[STUDENT].settings = {"split": "1", "student": "1"}
    second.found[STUDENT].settings = student
    second.found["teacher"] = outcome([0, 1, 2]).model_copy(update={"settings": teacher})

    assert only([first, second]).settings == settings


def test_items_without_dev_rows_have_no_section() -> None:
    empty = result("heat-9", [], student=outcome([]))

    assert sections([empty], TITLES) == []
    assert only([*two_items(), empty]).items == 2


def test_raters_are_compared_if_every_row_has_two() -> None:
    items = double_scored(8)
    without = [items[0], items[1].model_copy(update={"raters": None})]
    assert HUMAN not in [row.name for row in only(without).contestants]

    row = row_of(only(items), HUMAN)

    assert row.figure == pytest.approx(0.5)
    assert row.items == pytest.approx({"heat-1": 1.0, "heat-2": 0.0})
    assert (row.parameters, row.minutes, row.costs, row.student_less_this) == (None, None, {}, None)


def test_raters_need_the_least_number_of_pairs() -> None:
    """Two items of 28 rows have 56 together, but a mean over items rests on each item."""
    assert HUMAN not in [row.name for row in only(double_scored(7)).contestants]


def test_raters_of_grades_are_compared_over_all_rows() -> None:
    items = [item.model_copy(update={"scale": "continuous"}) for item in double_scored(5)]

    row = row_of(only(items), HUMAN)

    assert row.items == {"heat-1": None, "heat-2": None}  # 20 rows each
    assert row.figure == pytest.approx((20 * 4 / 2 / 40) ** 0.5)
    assert HUMAN not in [item.name for item in only(items[:1]).contestants]


def test_costs_are_means_over_timed_items() -> None:
    items = two_items()
    items[0].found[STUDENT] = outcome(AGREED[1], parameters=100, seconds=60, timed=NO_RELATION[1])
    items[1].found[STUDENT] = outcome(NO_RELATION[1], parameters=300, seconds=180)

    row = row_of(only(items))

    assert (row.parameters, row.minutes) == (200, 2)
    cost = row.costs["float32"]
    assert (cost.bytes, cost.alone_ms, cost.batched_ms) == (1000, 0.5, 0.25)
    assert cost.figure == pytest.approx(quadratic_weighted_kappa(AGREED[0], NO_RELATION[1]))


def test_costs_need_times_of_all_contestants() -> None:
    """The second item has long responses, and times of a single contestant."""
    items = two_items()
    for item in items:
        item.found["teacher"] = outcome(item.human, timed=item.human)
    items[0].found[STUDENT] = outcome(AGREED[1], timed=AGREED[1])
    items[1].found["teacher"].timings["float32"].alone_ms = 99

    assert [row.costs["float32"].alone_ms for row in only(items).contestants] == [0.5, 0.5]
    del items[0].found["teacher"].timings["float32"]
    assert [row.costs for row in only(items).contestants] == [{}, {}]


def test_minutes_need_the_time_of_every_item() -> None:
    items = two_items()
    items[1].found[STUDENT].seconds = None

    assert row_of(only(items)).minutes is None


def test_timed_grades_are_shares_like_all_grades() -> None:
    """Only the first item was timed; the second has another scale."""
    section = only(
        [
            result("shade-1", [1, 5], "continuous", span=5, student=outcome([2, 5], timed=[2, 5])),
            result("shade-2", [10, 0], "continuous", span=10, student=outcome([10, 4])),
        ]
    )

    row = row_of(section)
    assert row.costs["float32"].figure == row.items["shade-1"] == pytest.approx(0.2 / 2**0.5)
