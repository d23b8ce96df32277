from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.scoring.errors import BadMark
from app.scoring.item import Item
from app.scoring.scale import Scale
from tests.refusals import refused

GERMAN: dict[str, Any] = {"scale": "points", "min_score": 1, "max_score": 6, "better": "lower"}
AROUND_ZERO: dict[str, Any] = {"scale": "points", "min_score": -2, "max_score": 2}
POINTS: dict[str, Any] = {"scale": "points", "max_score": 3}
GRADES: dict[str, Any] = {"scale": "continuous", "min_score": 1, "max_score": 6}
GERMAN_GRADES: dict[str, Any] = GRADES | {"better": "lower"}
RANKS: dict[str, Any] = {"scale": "ordinal", "labels": ["missing", "partial", "complete"]}
NAMES: dict[str, Any] = {"scale": "nominal", "labels": ["correct", "contradictory"]}


def a_scale(fields: dict[str, Any]) -> Scale:
    return Scale.model_validate(fields)


def test_points_count_from_zero_to_the_maximum() -> None:
    scale = a_scale(POINTS)

    assert (scale.choices, scale.bottom_score, scale.top_score, scale.span) == (4, 0, 3, 3)
    assert (scale.score(2), scale.label(2)) == (2, None)
    assert scale.tolerance == 0


@pytest.mark.parametrize(
    ("fields", "names", "worst", "best"),
    [
        (GERMAN, ["1", "2", "3", "4", "5", "6"], 6, 1),
        (AROUND_ZERO, ["-2", "-1", "0", "1", "2"], -2, 2),
        (POINTS | {"better": "lower"}, ["0", "1", "2", "3"], 3, 0),
        (POINTS | {"min_score": 2}, ["2", "3"], 2, 3),
        ({"scale": "points", "min_score": -100, "max_score": 0}, [str(number) for number in range(-100, 1)], -100, 0),
        ({"scale": "points", "min_score": 10**15 - 1, "max_score": 10**15}, [str(10**15 - 1), str(10**15)], None, None),
    ],
)
def test_points_are_numbered_from_the_smallest(
    fields: dict[str, Any], names: Sequence[str], worst: int | None, best: int | None
) -> None:
    scale = a_scale(fields)

    assert (scale.names(), scale.choices, scale.span) == (names, len(names), len(names) - 1)
    assert [scale.name(scale.value(float(name), None)) for name in names] == names
    assert [str(score) for score in scale.named(range(scale.choices))] == names
    if worst is not None:
        assert (scale.score(scale.worst), scale.score(scale.best)) == (worst, best)
        assert [scale.is_worst(value) for value in range(scale.choices)] == [int(name) == worst for name in names]
        assert [scale.is_best(value) for value in range(scale.choices)] == [int(name) == best for name in names]


def test_ordinal_labels_are_ranked_from_worst_to_best() -> None:
    scale = a_scale(RANKS)

    assert (scale.choices, scale.bottom_score, scale.top_score, scale.span) == (3, 0, 2, 2)
    assert (scale.score(1), scale.label(1)) == (1, "partial")
    assert (scale.is_worst(0), scale.is_best(2)) == (True, True)


def test_nominal_labels_have_no_score() -> None:
    scale = a_scale(NAMES)

    assert (scale.bottom_score, scale.top_score, scale.span) == (None, None, 0)
    assert (scale.score(1), scale.label(1)) == (None, "contradictory")
    assert not any(scale.is_worst(value) or scale.is_best(value) for value in (0, 1))


def test_grades_lie_between_two_ends() -> None:
    scale = a_scale(GRADES)

    assert (scale.is_continuous, scale.is_ordered, scale.choices) == (True, True, 0)
    assert (scale.bottom_score, scale.top_score, scale.span) == (1, 6, 5)
    assert scale.tolerance == pytest.approx(0.5)
    assert (scale.score(3.25), scale.label(3.25), scale.share(3.25)) == (3.25, None, 0.45)


def test_grades_may_be_below_zero() -> None:
    scale = a_scale({"scale": "continuous", "min_score": -2.5, "max_score": 0})

    assert (scale.bottom_score, scale.top_score, scale.span) == (-2.5, 0, 2.5)


def test_either_end_of_a_continuous_scale_may_be_the_best() -> None:
    scale = a_scale(GERMAN_GRADES)

    assert (scale.worst, scale.best) == (6, 1)
    assert [scale.is_worst(value, within=0.5) for value in (5.4, 5.5, 6)] == [False, True, True]
    assert [scale.merit(value) for value in (1, 2.5, 6)] == [5, 3.5, 0]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"scale": "continuous", "min_score": 1.0, "max_score": 6.0}, '"min_score":1,"max_score":6,'),
        ({"scale": "continuous", "min_score": 0.5, "max_score": 5.0}, '"min_score":0.5,"max_score":5,'),
        ({"scale": "continuous", "min_score": -1.0, "max_score": 2.5}, '"min_score":-1,"max_score":2.5,'),
        ({"scale": "points", "max_score": 3.0}, '"min_score":null,"max_score":3,'),
    ],
)
def test_whole_numbers_are_shown_without_decimals(fields: dict[str, Any], shown: str) -> None:
    assert shown in a_scale(fields).model_dump_json()


@pytest.mark.parametrize("most", [10, 1, 0.3333333, 0.1, 100 / 7, 1e-12, 1_000_000, 999_999.9])
@pytest.mark.parametrize(
    "fields", [POINTS, GERMAN, AROUND_ZERO, RANKS, GRADES, GERMAN_GRADES, {"scale": "points", "max_score": 100}]
)
def test_best_score_is_the_gradebook_maximum_and_the_worst_is_zero(fields: dict[str, Any], most: float) -> None:
    scale = a_scale(fields)
    values = [scale.lowest + scale.span * number / 1000 for number in range(1001)]
    places = [scale.gradebook_score(value, most) for value in (values if scale.is_continuous else range(scale.choices))]
    known = [place for place in places if place is not None]

    assert scale.gradebook_score(scale.best, most) == most
    assert scale.gradebook_score(scale.worst, most) == 0
    assert len(known) == len(places)
    assert all(0 <= place <= most for place in known)
    assert known == sorted(known, reverse=scale.better == "lower")


@pytest.mark.parametrize(
    ("fields", "score", "most", "place"),
    [
        (POINTS, 2, 10, 6.666666666666667),
        (POINTS, 1, 1, 1 / 3),
        (POINTS, 1, 0.3333333, 0.1111111),
        (GERMAN, 2, 10, 8),
        (GERMAN, 5, 1, 0.2),
        (AROUND_ZERO, -1, 100, 25),
        (GRADES, 4.7, 100, 74),
        (GERMAN_GRADES, 1.7, 10, 8.6),
    ],
)
def test_gradebook_score_is_not_rounded(fields: dict[str, Any], score: float, most: float, place: float) -> None:
    scale = a_scale(fields)

    assert scale.gradebook_score(scale.value(score, None), most) == place


@given(
    bottom=st.integers(-1000, 1000),
    span=st.integers(1, 100),
    share=st.floats(0, 1),
    most=st.floats(0, 1_000_000, exclude_min=True),
    better=st.sampled_from(["higher", "lower"]),
)
@settings(deadline=None, database=None)
def test_gradebook_scores_stay_between_0_and_the_maximum(
    bottom: int, span: int, share: float, most: float, better: str
) -> None:
    bounds = {"min_score": bottom, "max_score": bottom + span, "better": better}
    points, grades = a_scale({"scale": "points"} | bounds), a_scale({"scale": "continuous"} | bounds)
    index, grade = round(share * span), min(bottom + span, bottom + share * span)
    places = [points.gradebook_score(index, most), grades.gradebook_score(grade, most)]

    for place, of_all in zip(places, [index / span, (grade - bottom) / span], strict=True):
        assert place is not None
        assert 0 <= place <= most
        assert place == pytest.approx(most * (1 - of_all if better == "lower" else of_all), rel=1e-9, abs=most * 1e-9)


def test_nominal_labels_have_no_gradebook_score() -> None:
    assert a_scale(NAMES).gradebook_score(1, 10) is None
    assert a_scale(POINTS).gradebook_score(1, None) is None


@pytest.mark.parametrize(
    ("fields", "value", "words"),
    [
        (POINTS, 2, "2 of 3"),
        ({"scale": "continuous", "min_score": 0, "max_score": 1}, 0.456, "0.46 of 1"),
        ({"scale": "ordinal", "labels": ["bad", "good"]}, 0, "bad"),
        (GERMAN, 1, "2 (1 is the best, 6 the worst)"),
        (AROUND_ZERO, 0, "-2 (2 is the best, -2 the worst)"),
        (POINTS | {"better": "lower"}, 0, "0 (0 is the best, 3 the worst)"),
        (GRADES, 2.5, "2.5 (6 is the best, 1 the worst)"),
    ],
)
def test_score_in_words(fields: dict[str, Any], value: float, words: str) -> None:
    assert a_scale(fields).in_words(value) == words


def test_item_has_the_fields_of_its_scale() -> None:
    item = Item.model_validate({"item_id": "heat-1", "prompt": "Why?"} | GERMAN)

    assert item.scale_as_json() == GERMAN
    assert a_scale(item.scale_as_json()).names() == item.names()


@pytest.mark.parametrize(
    ("fields", "score", "label"),
    [
        (GERMAN, 0, None),
        (GERMAN, 7, None),
        (GERMAN, 1.5, None),
        (GERMAN, None, None),
        (GERMAN, 1, "1"),
        (AROUND_ZERO, -3, None),
        (GRADES, 0.99, None),
    ],
)
def test_mark_outside_the_scores_is_refused(fields: dict[str, Any], score: float | None, label: str | None) -> None:
    with refused(BadMark, "not_a_score", min_score=fields["min_score"], max_score=fields["max_score"]):
        a_scale(fields).value(score, label)


@pytest.mark.parametrize(("score", "label"), [(1, None), (None, None), (1, "partial"), (None, "part")])
def test_mark_outside_the_labels_is_refused(score: float | None, label: str | None) -> None:
    with refused(BadMark, "not_a_label", labels=("missing", "partial", "complete")):
        a_scale(RANKS).value(score, label)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"scale": "points"}, "bad_points"),
        ({"scale": "points", "max_score": 0}, "bad_points"),  # nothing to score
        ({"scale": "points", "max_score": 101}, "bad_points"),
        ({"scale": "points", "max_score": 2.5}, "bad_points"),
        ({"scale": "points", "min_score": 0.5, "max_score": 3}, "bad_points"),
        ({"scale": "points", "min_score": 3, "max_score": 3}, "bad_points"),
        ({"scale": "points", "min_score": -100, "max_score": 1}, "bad_points"),  # 102 scores
        ({"scale": "points", "min_score": -2}, "bad_points"),
        ({"scale": "points", "min_score": 10**15, "max_score": 10**15 + 1}, "score_out_of_bounds"),
        ({"scale": "continuous", "min_score": -(10**400), "max_score": 1}, "score_out_of_bounds"),
        ({"scale": "continuous", "max_score": 6}, "grades_need_bounds"),
        ({"scale": "continuous", "min_score": 1}, "grades_need_bounds"),
        ({"scale": "continuous", "min_score": 6, "max_score": 6}, "grades_need_bounds"),
        ({"scale": "continuous", "min_score": 6, "max_score": 1}, "grades_need_bounds"),
        ({"scale": "continuous", "min_score": 0, "max_score": float("inf")}, "score_out_of_bounds"),
        ({"scale": "continuous", "min_score": float("-inf"), "max_score": 0}, "score_out_of_bounds"),
        ({"scale": "continuous", "min_score": 0, "max_score": float("nan")}, "score_out_of_bounds"),
        ({"scale": "continuous", "min_score": 1, "max_score": 6, "labels": ["a", "b"]}, "no_labels_wanted"),
        ({"scale": "points", "max_score": 3, "labels": ["a", "b"]}, "no_labels_wanted"),  # mixes two scales
        ({"scale": "ordinal", "labels": ["a", "b"], "min_score": 0}, "labels_wanted"),
        ({"scale": "nominal", "labels": ["a", "b"], "max_score": 1}, "labels_wanted"),
        ({"scale": "ordinal"}, "labels_wanted"),
        ({"scale": "nominal", "labels": ["a"]}, "bad_labels"),  # only one label
        ({"scale": "nominal", "labels": ["a", "a"]}, "bad_labels"),  # a repeated label
        (RANKS | {"better": "lower"}, "better_needs_numbers"),  # the order of the labels decides
        (NAMES | {"better": "lower"}, "better_needs_numbers"),
        (POINTS | {"better": "smaller"}, "literal_error"),
        ({"scale": "stars", "max_score": 5}, "literal_error"),
        (POINTS | {"colour": "red"}, "extra_forbidden"),
    ],
)
def test_impossible_scale_is_refused(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        a_scale(fields)

    assert code in {error["type"] for error in caught.value.errors(include_url=False)}
