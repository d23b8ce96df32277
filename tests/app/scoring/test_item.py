import re
from typing import Any

import pytest
from pydantic import ValidationError

from app.scoring.item import Item


def an_item(**fields: Any) -> Item:
    return Item.model_validate({"item_id": "heat-1", "prompt": "Why does heat rise?"} | fields)


def test_points_count_from_zero_to_the_maximum() -> None:
    item = an_item(scale="points", max_score=3)

    assert (item.choices, item.bottom_score, item.top_score, item.span) == (4, 0, 3, 3)
    assert (item.score(2), item.label(2)) == (2, None)
    assert item.tolerance == 0


def test_ordinal_labels_are_ranked_from_worst_to_best() -> None:
    item = an_item(scale="ordinal", labels=["missing", "partial", "complete"])

    assert (item.choices, item.bottom_score, item.top_score, item.span) == (3, 0, 2, 2)
    assert (item.score(1), item.label(1)) == (1, "partial")


def test_nominal_labels_have_no_score() -> None:
    item = an_item(scale="nominal", labels=["correct", "contradictory"])

    assert (item.bottom_score, item.top_score, item.span) == (None, None, 0)
    assert (item.score(1), item.label(1)) == (None, "contradictory")


def test_grades_lie_between_two_ends() -> None:
    item = an_item(scale="continuous", min_score=1, max_score=6)

    assert (item.is_continuous, item.is_ordered, item.choices) == (True, True, 0)
    assert (item.bottom_score, item.top_score, item.span) == (1, 6, 5)
    assert item.tolerance == pytest.approx(0.5)
    assert (item.score(3.25), item.label(3.25)) == (3.25, None)


def test_grades_may_be_below_zero() -> None:
    item = an_item(scale="continuous", min_score=-2.5, max_score=0)

    assert (item.bottom_score, item.top_score, item.span) == (-2.5, 0, 2.5)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"scale": "continuous", "min_score": 1.0, "max_score": 6.0}, '"min_score":1,"max_score":6,'),
        ({"scale": "continuous", "min_score": 0.5, "max_score": 5.0}, '"min_score":0.5,"max_score":5,'),
        ({"scale": "continuous", "min_score": -1.0, "max_score": 2.5}, '"min_score":-1,"max_score":2.5,'),
        ({"scale": "points", "max_score": 3.0}, '"min_score":null,"max_score":3,'),
    ],
)
def test_whole_numbers_are_shown_whole(fields: dict[str, Any], shown: str) -> None:
    assert shown in an_item(**fields).model_dump_json()


def test_banked_feedback_is_found_by_points_label_or_nearest_grade_below() -> None:
    points = an_item(scale="points", max_score=3, feedback={0: "Not yet.", "3": "All there."})  # YAML has numbers
    labels = an_item(scale="nominal", labels=["1", "air moves"], feedback={"air moves": "Yes.", "1": "A number."})
    grades = an_item(scale="continuous", min_score=-1, max_score=6, feedback={"4.5": "Good.", "-1": "Try.", "3": "So."})

    assert [points.banked_feedback(value) for value in (0, 1, 2, 3)] == ["Not yet.", None, None, "All there."]
    assert [labels.banked_feedback(value) for value in (0, 1)] == ["A number.", "Yes."]
    wanted = {-1: "Try.", 2.99: "Try.", 3: "So.", 4.49: "So.", 4.5: "Good.", 6: "Good."}
    assert {value: grades.banked_feedback(value) for value in wanted} == wanted
    assert an_item(scale="points", max_score=3).banked_feedback(1) is None
    assert an_item(scale="continuous", min_score=0, max_score=1, feedback={"0.5": "Good."}).banked_feedback(0.4) is None


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"scale": "points", "max_score": 3, "feedback": {"4": "More than all."}}, "'4'"),
        ({"scale": "points", "max_score": 3, "feedback": {"-1": "Less than nothing."}}, "'-1'"),
        ({"scale": "points", "max_score": 3, "feedback": {"01": "Which?"}}, "'01'"),
        ({"scale": "ordinal", "labels": ["bad", "good"], "feedback": {"god": "Misspelt."}}, "'god'"),
        ({"scale": "nominal", "labels": ["bad", "good"], "feedback": {"0": "A rank."}}, "'0'"),
        ({"scale": "continuous", "min_score": 1, "max_score": 6, "feedback": {"0.5": "Below."}}, "'0.5'"),
        ({"scale": "continuous", "min_score": 1, "max_score": 6, "feedback": {"nan": "No grade."}}, "'nan'"),
        ({"scale": "continuous", "min_score": 1, "max_score": 6, "feedback": {"good": "A word."}}, "'good'"),
        ({"scale": "points", "max_score": 3, "feedback": {"0": "  "}}, "feedback.0"),
        ({"scale": "points", "max_score": 3, "feedback": {"0": "a" * 5001}}, "feedback.0"),
        ({"scale": "points", "max_score": 3, "feedback": {"0": "\x00"}}, "feedback.0"),
        ({"scale": "points", "max_score": 3, "feedback": {}}, "feedback"),
        ({"scale": "points", "max_score": 3, "feedback": ["Not yet."]}, "feedback"),
    ],
)
def test_feedback_for_a_score_that_is_not_on_the_scale_is_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(named)):
        an_item(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"scale": "points"},  # no maximum
        {"scale": "points", "max_score": 0},  # nothing to score
        {"scale": "points", "max_score": 101},
        {"scale": "points", "max_score": 2.5},  # no whole points
        {"scale": "points", "max_score": 3, "min_score": 1},  # points count from 0
        {"scale": "continuous", "max_score": 6},  # one end is missing
        {"scale": "continuous", "min_score": 1},
        {"scale": "continuous", "min_score": 6, "max_score": 6},  # nothing between the ends
        {"scale": "continuous", "min_score": 6, "max_score": 1},
        {"scale": "continuous", "min_score": 0, "max_score": float("inf")},
        {"scale": "continuous", "min_score": float("-inf"), "max_score": 0},
        {"scale": "continuous", "min_score": 0, "max_score": float("nan")},
        {"scale": "continuous", "min_score": 1, "max_score": 6, "labels": ["a", "b"]},
        {"scale": "ordinal", "labels": ["a", "b"], "min_score": 0},
        {"scale": "nominal", "labels": ["a", "b"], "max_score": 1},
        {"scale": "points", "max_score": 3, "labels": ["a", "b"]},  # two scales
        {"scale": "ordinal"},  # no labels
        {"scale": "nominal", "labels": ["a"]},  # no choice
        {"scale": "nominal", "labels": ["a", "a"]},  # one label twice
        {"scale": "stars", "max_score": 5},  # no such scale
        {"scale": "points", "max_score": 3, "colour": "red"},  # an unknown field
        {"scale": "points", "max_score": 3, "item_id": "../etc"},
        {"scale": "points", "max_score": 3, "item_id": "heat-1\n"},
        {"scale": "points", "max_score": 3, "item_id": ".hidden"},
    ],
)
def test_an_item_that_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        an_item(**fields)


@pytest.mark.parametrize("refusals", [["  "], [""], ["x" * 201], ["a\0b"], "none"])
def test_a_refusal_is_a_short_text_that_can_be_seen(refusals: object) -> None:
    with pytest.raises(ValidationError) as caught:
        an_item(scale="points", max_score=3, refusals=refusals)

    assert {error["loc"][0] for error in caught.value.errors()} == {"refusals"}


def test_refusals_change_no_question() -> None:
    """A model of the item has not learnt them: it still knows the item."""
    item = an_item(scale="points", max_score=3)

    assert item.asks_the_same_as(an_item(scale="points", max_score=3, refusals=["no comment"]))
