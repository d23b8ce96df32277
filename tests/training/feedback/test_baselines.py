from dataclasses import replace

from tests.training.feedback.told import OTHER, told
from training.feedback.baselines import commonest, nearest
from training.feedback.data import MarkedFeedback


def row(number: int, text: str, value: float, feedback: str = "") -> MarkedFeedback:
    base = told(number)
    return replace(base, marked=replace(base.marked, text=text, value=value), feedback=feedback)


KNOWN = [
    row(0, "warm air rises because it is light", 2, "Correct."),
    row(1, "the sun heats the ground", 2, "Correct, the sun does it."),
    row(2, "hot things go up", 2, "Correct."),
    row(3, "the moon pulls it", 0, "No, not the moon."),
]


def test_commonest_feedback_is_of_item_and_score() -> None:
    assert commonest(KNOWN, [row(9, "x", 2), row(9, "x", 0), row(9, "x", 1)]) == [
        "Correct.",
        "No, not the moon.",
        "Correct.",  # both scores are equally near; the first of the commonest
    ]


def test_nearest_response_with_the_score_gives_the_feedback() -> None:
    asked = [row(9, "sun on the ground", 2), row(9, "the sun heats the ground", 0)]

    assert nearest(KNOWN, asked) == ["Correct, the sun does it.", "No, not the moon."]


def test_item_without_feedback_uses_all_items() -> None:
    assert commonest(KNOWN, [told(2, OTHER)]) == ["Correct."]
