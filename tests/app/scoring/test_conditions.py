from collections.abc import Sequence
from math import log
from typing import Any

import pytest

from app.scoring.conditions import (
    Examination,
    Examiner,
    Limits,
    copied,
    letters,
    normalised,
    pieces_per_character,
    read_pieces,
    repetition,
    runs,
    surprise,
)
from app.scoring.featurizer import Featurizer
from app.scoring.item import Item
from tests.tiny import word_tokenizer

# The tiny tokenizer has one piece for each word of two sentences, and one piece for all other words.
FEATURIZER = Featurizer.from_bytes(word_tokenizer(), 12)
GIVEN = "warm air goes up and cold air sinks because warm air is lighter than cold air"
ITEM = Item(item_id="heat-1", prompt=GIVEN, scale="points", max_score=3)
UNKNOWN = 1
COMMON = [log(0.5)] * FEATURIZER.vocabulary
COMMON[UNKNOWN] = log(0.001)


def examine(response: str, **limits: Any) -> Examination:
    return Examiner(Limits(**limits), ITEM, FEATURIZER).examine(response, FEATURIZER.read([response])[0])


def test_default_limits_hold_back_blank_responses_only() -> None:
    for response in ("warm air", "zzz", "?", "idk", "warm warm warm warm warm warm"):
        assert examine(response) == Examination()
    assert examine(" \u200b") == Examination("blank")


@pytest.mark.parametrize("response", ["idk", "IDK!", " I don't know. ", "i don’t   know", "?"])
def test_refusal_is_recognised_despite_case_and_punctuation(response: str) -> None:
    assert examine(response, refusals=("idk", "i dont know", "?")) == Examination("refusal")


@pytest.mark.parametrize("response", ["idk but warm air rises", "I don't know why heat rises", "??"])
def test_longer_text_is_not_a_refusal(response: str) -> None:
    assert examine(response, refusals=("idk", "i dont know", "?")) == Examination()


def test_rare_words_are_off_topic_and_in_small_pieces_unreadable() -> None:
    limits = {"log_frequency": tuple(COMMON), "usual": -COMMON[5], "surprise": 3.0}

    assert examine("warm air goes up", **limits) == Examination()
    assert examine("penguins eat much fish", **limits) == Examination(flags=("off_topic",))
    assert examine("x y z " * 7, **limits, pieces_per_character=0.5) == Examination("unreadable")
    assert examine("penguins eat much fish", **limits, pieces_per_character=0.5) == Examination(flags=("off_topic",))


def test_small_pieces_without_surprise_are_not_unreadable() -> None:
    assert examine("x y z " * 7, pieces_per_character=0.5).condition is None


def test_text_with_few_letters_is_flagged_and_never_unreadable() -> None:
    """A new slip, symbol or number may be a right answer."""
    limits = {"log_frequency": tuple(COMMON), "usual": -COMMON[5], "surprise": 3.0, "pieces_per_character": 0.1}

    assert examine("Pairs", **limits) == Examination(flags=("off_topic",))
    assert examine("2 7 3 1 5 6 8 9 4", **limits) == Examination(flags=("off_topic",))
    assert letters("Ελ 12 不x!") == 4


@pytest.mark.parametrize("text", ["0.33333333", "10000000000", "9 9 9 9 9 9 9 9 9", "aaaaaaaa"])
def test_text_with_few_letters_is_not_a_repetition(text: str) -> None:
    """A number of equal digits may be a right answer."""
    assert examine(text, repetition=-1) == Examination()


def test_repetition_and_copying_have_limits() -> None:
    again = "warm air goes up warm air goes up warm"

    assert examine(again, repetition=0.5) == Examination()
    assert examine(again, repetition=0.3) == Examination("repetition")
    assert examine("so warm air goes up and cold air sinks because", copied=0.9) == Examination()
    assert examine("warm air goes up and cold air sinks because warm", copied=0.9) == Examination(flags=("copied",))


def test_text_copied_from_the_passage_is_flagged() -> None:
    item = ITEM.model_copy(update={"prompt": "Why?", "passage": "penguins swim " * 100 + GIVEN})
    featurizer = Featurizer.from_bytes(word_tokenizer(), 64)
    text = "warm air goes up and cold air sinks because warm air"
    examination = Examiner(Limits(copied=0.9), item, featurizer).examine(text, featurizer.read([text])[0])

    assert examination.flags == ("copied",)


def test_truncated_response_is_over_long() -> None:
    assert examine(" ".join(["air"] * 10)) == Examination()
    assert examine(" ".join(["air"] * 11)) == Examination(flags=("over_long",))  # twelve pieces with START
    assert examine(" ".join(["air"] * 500)) == Examination(flags=("over_long",))


def test_first_condition_counts_and_all_flags_count() -> None:
    limits = {"log_frequency": tuple(COMMON), "usual": -1e3, "surprise": 3.0, "copied": 0.5}

    both = examine(GIVEN, **limits)
    assert both.flags == ("copied", "off_topic", "over_long")
    assert examine("idk", refusals=("idk",), repetition=-1).condition == "refusal"


def test_surprise_grows_with_the_length_of_a_response() -> None:
    short, long = read_pieces(FEATURIZER, "penguins warm"), read_pieces(FEATURIZER, "penguins warm " * 4)

    assert surprise(long, COMMON, 0.0) == pytest.approx(2 * surprise(short, COMMON, 0.0))
    assert surprise(short, [], 0.0) == 0
    assert surprise(short[:0], COMMON, 0.0) == 0


def hashes(sequence: Sequence[int]) -> set[int]:
    return set(map(hash, runs(sequence, 10)))


def test_measures_of_pieces() -> None:
    response = [5, 6, 7, 8, 5, 6, 7, 8]

    assert repetition(response) == pytest.approx(1 / 5)  # the last of five runs of four is a repetition
    assert repetition(response[:3]) == 0
    assert copied(range(20), hashes(range(5, 20))) == pytest.approx(15 / 20)
    assert copied([*range(10), 99, *range(5, 20)], hashes(range(20))) == pytest.approx(25 / 26)  # two places
    assert copied(response[:0], hashes(response)) == 0
    assert pieces_per_character(response, "ab cd  ef") == pytest.approx(8 / 6)
    assert pieces_per_character(response[:0], "") == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  I DON'T know!! ", "i dont know"),
        ("Ｉｄｋ", "idk"),
        ("Weiß nicht.", "weiss nicht"),
        ("不知道。", "不知道"),
        ("...", "..."),
        ("a_b", "a b"),
    ],
)
def test_normalised(text: str, expected: str) -> None:
    assert normalised(text) == expected
