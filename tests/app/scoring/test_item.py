from typing import Any

import pytest
from pydantic import ValidationError

from app.scoring.item import Item

GRADES: dict[str, Any] = {"scale": "continuous", "min_score": 1, "max_score": 6}


def an_item(**fields: Any) -> Item:
    return Item.model_validate({"item_id": "heat-1", "prompt": "Why does heat rise?"} | fields)


def test_banked_feedback_is_chosen_by_score_label_or_grade() -> None:
    points = an_item(scale="points", max_score=3, feedback={0: "Not yet.", "3": "All there."})  # YAML has numbers
    labels = an_item(scale="nominal", labels=["1", "air moves"], feedback={"air moves": "Yes.", "1": "A number."})
    grades = an_item(scale="continuous", min_score=-1, max_score=6, feedback={"4.5": "Good.", "-1": "Try.", "3": "So."})

    assert [points.banked_feedback(value) for value in (0, 1, 2, 3)] == ["Not yet.", None, None, "All there."]
    assert [labels.banked_feedback(value) for value in (0, 1)] == ["A number.", "Yes."]
    wanted = {-1: "Try.", 2.99: "Try.", 3: "So.", 4.49: "So.", 4.5: "Good.", 6: "Good."}
    assert {value: grades.banked_feedback(value) for value in wanted} == wanted
    assert an_item(scale="points", max_score=3).banked_feedback(1) is None
    assert an_item(scale="continuous", min_score=0, max_score=1, feedback={"0.5": "Good."}).banked_feedback(0.4) is None


def test_banked_feedback_follows_the_scale() -> None:
    german = {"min_score": 1, "max_score": 6, "better": "lower"}
    points = an_item(scale="points", **german, feedback={1: "Excellent.", "6": "Again."})
    below = an_item(scale="points", min_score=-2, max_score=2, feedback={-2: "Again.", 0: "So."})
    grades = an_item(scale="continuous", **german, feedback={"2.5": "Good.", "6": "Try.", "4": "So."})

    assert [points.banked_feedback(value) for value in range(6)] == ["Excellent.", *[None] * 4, "Again."]
    assert [below.banked_feedback(value) for value in range(5)] == ["Again.", None, "So.", None, None]
    wanted = {1: "Good.", 2.5: "Good.", 2.51: "So.", 4: "So.", 4.01: "Try.", 6: "Try."}
    assert {value: grades.banked_feedback(value) for value in wanted} == wanted


def test_items_with_another_best_end_are_different() -> None:
    one, other = (an_item(scale="points", min_score=1, max_score=6, better=better) for better in ("lower", "higher"))

    assert not one.asks_the_same_as(other)
    assert one.asks_the_same_as(one.model_copy(update={"title": "Heat"}))


@pytest.mark.parametrize(
    ("fields", "code", "where"),
    [
        ({"scale": "points", "max_score": 3, "feedback": {"4": "More than all."}}, "feedback_for_no_score", "4"),
        ({"scale": "points", "max_score": 3, "feedback": {"-1": "Less than nothing."}}, "feedback_for_no_score", "-1"),
        ({"scale": "points", "max_score": 3, "feedback": {"01": "Which?"}}, "feedback_for_no_score", "01"),
        (
            {"scale": "points", "min_score": 1, "max_score": 6, "feedback": {"0": "Off."}},
            "feedback_for_no_score",
            "0",
        ),
        ({"scale": "ordinal", "labels": ["bad", "good"], "feedback": {"god": "No."}}, "feedback_for_no_score", "god"),
        ({"scale": "nominal", "labels": ["bad", "good"], "feedback": {"0": "A rank."}}, "feedback_for_no_score", "0"),
        (GRADES | {"feedback": {"0.5": "Below."}}, "feedback_for_no_grade", "0.5"),
        (GRADES | {"feedback": {"nan": "No grade."}}, "feedback_for_no_grade", "nan"),
        (GRADES | {"feedback": {"good": "A word."}}, "feedback_for_no_grade", "good"),
        ({"scale": "points", "max_score": 3, "feedback": {"0": "  "}}, "string_pattern_mismatch", "feedback.0"),
        ({"scale": "points", "max_score": 3, "feedback": {"0": "a" * 5001}}, "string_too_long", "feedback.0"),
        ({"scale": "points", "max_score": 3, "feedback": {"0": "\x00"}}, "value_error", "feedback.0"),
        ({"scale": "points", "max_score": 3, "feedback": {}}, "too_short", "feedback"),
        ({"scale": "points", "max_score": 3, "feedback": ["Not yet."]}, "dict_type", "feedback"),
    ],
)
def test_feedback_for_a_score_that_is_not_on_the_scale_is_refused(
    fields: dict[str, Any], code: str, where: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        an_item(**fields)

    [error] = caught.value.errors(include_url=False)
    assert (error["type"], error.get("ctx", {}).get("key") or ".".join(map(str, error["loc"]))) == (code, where)


@pytest.mark.parametrize("item_id", ["../etc", "heat-1\n", ".hidden"])
def test_invalid_item_id_is_refused(item_id: str) -> None:
    with pytest.raises(ValidationError) as caught:
        an_item(scale="points", max_score=3, item_id=item_id)

    assert [(error["loc"], error["type"]) for error in caught.value.errors()] == [
        (("item_id",), "string_pattern_mismatch")
    ]


@pytest.mark.parametrize("refusals", [["  "], [""], ["x" * 201], ["a\0b"], "none"])
def test_refusal_must_be_a_short_visible_text(refusals: object) -> None:
    with pytest.raises(ValidationError) as caught:
        an_item(scale="points", max_score=3, refusals=refusals)

    assert {error["loc"][0] for error in caught.value.errors()} == {"refusals"}


def test_items_with_other_refusals_ask_the_same() -> None:
    """Models do not learn refusals, so a model still fits the item."""
    item = an_item(scale="points", max_score=3)

    assert item.asks_the_same_as(an_item(scale="points", max_score=3, refusals=["no comment"]))
