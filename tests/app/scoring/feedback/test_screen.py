from typing import Any

import numpy as np
import pytest

from app.scoring.feedback.screen import FeedbackScreen, repeated, verdict, verdicts
from app.scoring.item import Item
from app.scoring.network import Network
from tests.tiny import word_count_onnx, word_tokenizer
from tests.tiny_feedback import VERDICTS

POINTS: dict[str, Any] = {"scale": "points", "max_score": 3}
GRADE: dict[str, Any] = {"scale": "continuous", "min_score": 1, "max_score": 5}
GERMAN: dict[str, Any] = {"scale": "points", "min_score": 1, "max_score": 6, "better": "lower"}
LABELS: dict[str, Any] = {"scale": "nominal", "labels": ["yes", "no"]}
RANKS: dict[str, Any] = {"scale": "ordinal", "labels": ["bad", "fair", "good"]}


def item(scale: dict[str, Any]) -> Item:
    return Item.model_validate({"item_id": "a", "prompt": "Why?"} | scale)


@pytest.fixture
def screen() -> FeedbackScreen:
    """Return a screen that reads one word as `between`, two or more as `highest`."""
    return FeedbackScreen(Network.from_bytes(word_tokenizer(), word_count_onnx(3), 64, VERDICTS), VERDICTS, 0.5)


@pytest.mark.parametrize(
    ("scale", "value", "said"),
    [
        (POINTS, 0, "lowest"),
        (POINTS, 1, "between"),
        (POINTS, 2, "between"),
        (POINTS, 3, "highest"),
        (RANKS, 0, "lowest"),
        (RANKS, 1, "between"),
        (RANKS, 2, "highest"),
        (GRADE, 1.2, "lowest"),
        (GRADE, 1.21, "between"),
        (GRADE, 4.79, "between"),
        (GRADE, 4.8, "highest"),
        (LABELS, 1, "no"),
        (GERMAN, 0, "highest"),
        (GERMAN, 1, "between"),
        (GERMAN, 5, "lowest"),
        (GRADE | {"better": "lower"}, 1.2, "highest"),
        (GRADE | {"better": "lower"}, 4.79, "between"),
        (GRADE | {"better": "lower"}, 4.8, "lowest"),
    ],
)
def test_verdict_of_a_score(scale: dict[str, Any], value: float, said: str) -> None:
    assert verdict(item(scale), value) == said


@pytest.mark.parametrize(
    ("scale", "value", "said"),
    [
        (POINTS, 3, {"highest"}),
        (GRADE, 1, {"lowest"}),  # no verdict lies below the worst grade
        (GRADE, 1.3, {"lowest", "between"}),
        (GRADE, 3, {"between"}),
        (GRADE, 4.7, {"between", "highest"}),
        (GRADE, 5, {"highest"}),
        (LABELS, 0, {"yes"}),
    ],
)
def test_grade_near_a_border_has_two_verdicts(scale: dict[str, Any], value: float, said: set[str]) -> None:
    assert verdicts(item(scale), value) == said


@pytest.mark.parametrize(
    ("text", "value", "objection"),
    [
        ("Nearly", 1, None),
        ("Nearly", 3, "contradicts_score"),
        ("Nearly", 0, "contradicts_score"),
        ("Quite right", 3, None),
        ("Quite right", 0, "contradicts_score"),
        ("", 3, "empty"),
        (" \n- …", 3, "empty"),
        ("warm air goes up and cold air sinks down", 3, "repeats_response"),
    ],
)
def test_empty_repeating_and_contradicting_texts_are_withheld(
    screen: FeedbackScreen, text: str, value: float, objection: str | None
) -> None:
    response = "I think warm air goes up and cold air sinks down, or so"

    assert screen.objection(text, response, item(POINTS), value) == objection


def test_threshold_decides_on_contradiction() -> None:
    reader = Network.from_bytes(word_tokenizer(), word_count_onnx(3), 64, VERDICTS)  # probability .91

    objections = [
        FeedbackScreen(reader, VERDICTS, least).objection("Nearly", "x", item(POINTS), 1) for least in (0.9, 0.95)
    ]

    assert objections == [None, "contradicts_score"]


def test_long_text_is_read_to_its_end() -> None:
    """The reader sees three pieces at a time; later pieces count too."""
    reader = Network.from_bytes(word_tokenizer(), word_count_onnx(3), 4, VERDICTS)
    screen = FeedbackScreen(reader, VERDICTS, 0.5)

    assert screen.objection("Quite right", "x", item(POINTS), 3) is None
    assert screen.objection("Quite right and complete", "x", item(POINTS), 3) is None
    assert (
        screen.objection("Quite right all of it", "x", item(POINTS), 3) == "contradicts_score"
    )  # one half is one word


def test_unreadable_text_agrees_with_no_score(screen: FeedbackScreen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Network, "outputs", lambda _, texts: np.full((len(texts), 3), np.nan, np.float32))

    assert screen.objection("Nearly", "x", item(POINTS), 1) == "contradicts_score"


def test_unknown_verdict_agrees_with_no_text(screen: FeedbackScreen) -> None:
    assert screen.objection("Quite right", "warm", item(LABELS), 0) == "contradicts_score"


def test_agreement_is_one_probability_per_text(screen: FeedbackScreen) -> None:
    both = screen.agreement(["Nearly", "Nearly", "Nearly"], [{"between"}, {"highest", "lowest"}, {"lowest", "between"}])

    assert both[0] + both[1] == pytest.approx(1)
    assert both[0] > 0.9
    assert both[2] > both[0]


@pytest.mark.parametrize(
    ("text", "response", "share"),
    [
        ("a b c d e f g h", "x a b c d e f g h y", 1.0),
        ("You say A, B; c d e f g h!", "a b c d e f g h", 0.8),
        ("a b c d e f g", "a b c d e f g", 0.0),  # fewer words than count as repeated
        ("one two three four five six seven eight", "", 0.0),
        ("", "a", 0.0),
        ("你说：暖空气上升冷空气下沉！", "暖空气上升，冷空气下沉", 10 / 12),  # no spaces: each letter is a word
        ("暖かい空気は上がる", "暖かい空気は上がる", 1.0),
        ("อากาศร้อนลอยขึ้น", "อากาศร้อนลอยขึ้น", 1.0),
        ("गर्म हवा ऊपर उठती है और ठंडी हवा", "गर्म हवा ऊपर उठती है और ठंडी हवा", 1.0),  # signs belong to words
        ("暖空气上升", "暖空气上升", 0.0),
    ],
)
def test_share_of_a_text_repeated_from_the_response(text: str, response: str, share: float) -> None:
    assert repeated(text, response) == pytest.approx(share)
