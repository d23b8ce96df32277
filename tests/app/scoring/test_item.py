from typing import Any

import pytest
from pydantic import ValidationError

from app.scoring.item import Item


def an_item(**fields: Any) -> Item:
    return Item.model_validate({"item_id": "heat-1", "prompt": "Why does heat rise?"} | fields)


def test_points_count_from_zero_to_the_maximum() -> None:
    item = an_item(scale="points", max_score=3)

    assert (item.choices, item.top_score) == (4, 3)
    assert (item.score(2), item.label(2)) == (2, None)


def test_ordinal_labels_are_ranked_from_worst_to_best() -> None:
    item = an_item(scale="ordinal", labels=["missing", "partial", "complete"])

    assert (item.choices, item.top_score) == (3, 2)
    assert (item.score(1), item.label(1)) == (1, "partial")


def test_nominal_labels_have_no_score() -> None:
    item = an_item(scale="nominal", labels=["correct", "contradictory"])

    assert item.top_score is None
    assert (item.score(1), item.label(1)) == (None, "contradictory")


@pytest.mark.parametrize(
    "fields",
    [
        {"scale": "points"},  # no maximum
        {"scale": "points", "max_score": 0},  # nothing to score
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
