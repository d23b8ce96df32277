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

# The tiny tokenizer has a piece for each of the words of two sentences, and one for all that is strange.
FEATURIZER = Featurizer.from_bytes(word_tokenizer(), 12)
GIVEN = "warm air goes up and cold air sinks because warm air is lighter than cold air"
ITEM = Item(item_id="heat-1", prompt=GIVEN, scale="points", max_score=3)
UNKNOWN = 1
COMMON = [log(0.5)] * FEATURIZER.vocabulary
COMMON[UNKNOWN] = log(0.001)


def examine(response: str, **limits: Any) -> Examination:
    return Examiner(Limits(**limits), ITEM, FEATURIZER).examine(response, FEATURIZER.read([response])[0])


def test_without_limits_only_blanks_are_held_back() -> None:
    for response in ("warm air", "zzz", "?", "idk", "warm warm warm warm warm warm"):
        assert examine(response) == Examination()
    assert examine(" \u200b") == Examination("blank")


@pytest.mark.parametrize("response", ["idk", "IDK!", " I don't know. ", "i don’t   know", "?"])
def test_a_refusal_is_known_in_any_dress(response: str) -> None:
    assert examine(response, refusals=("idk", "i dont know", "?")) == Examination("refusal")


@pytest.mark.parametrize("response", ["idk but warm air rises", "I don't know why heat rises", "??"])
def test_more_than_a_refusal_is_none(response: str) -> None:
    assert examine(response, refusals=("idk", "i dont know", "?")) == Examination()


def test_what_is_rare_is_off_topic_and_in_small_pieces_unreadable() -> None:
    limits = {"log_frequency": tuple(COMMON), "usual": -COMMON[5], "surprise": 3.0}

    assert examine("warm air goes up", **limits) == Examination()
    assert examine("penguins eat much fish", **limits) == Examination(flags=("off_topic",))
    assert examine("x y z " * 7, **limits, pieces_per_character=0.5) == Examination("unreadable")
    assert examine("penguins eat much fish", **limits, pieces_per_character=0.5) == Examination(flags=("off_topic",))


def test_small_pieces_alone_are_no_reason() -> None:
    assert examine("x y z " * 7, pieces_per_character=0.5).condition is None


def test_a_text_of_few_letters_is_flagged_and_never_unreadable() -> None:
    """A slip, a symbol or a number that nobody wrote before may be a right answer."""
    limits = {"log_frequency": tuple(COMMON), "usual": -COMMON[5], "surprise": 3.0, "pieces_per_character": 0.1}

    assert examine("Pairs", **limits) == Examination(flags=("off_topic",))
    assert examine("2 7 3 1 5 6 8 9 4", **limits) == Examination(flags=("off_topic",))
    assert letters("Ελ 12 不x!") == 4


@pytest.mark.parametrize("text", ["0.33333333", "10000000000", "9 9 9 9 9 9 9 9 9", "aaaaaaaa"])
def test_a_text_of_few_letters_is_no_repetition(text: str) -> None:
    """A number of equal digits may be a right answer."""
    assert examine(text, repetition=-1) == Examination()


def test_repetition_and_copying_have_limits() -> None:
    again = "warm air goes up warm air goes up warm"

    assert examine(again, repetition=0.5) == Examination()
    assert examine(again, repetition=0.3) == Examination("repetition")
    assert examine("so warm air goes up and cold air sinks because", copied=0.9) == Examination()
    assert examine("warm air goes up and cold air sinks because warm", copied=0.9) == Examination(flags=("copied",))


def test_a_passage_can_be_copied_too() -> None:
    item = ITEM.model_copy(update={"prompt": "Why?", "passage": "penguins swim " * 100 + GIVEN})
    own = Featurizer.from_bytes(word_tokenizer(), 64)
    text = "warm air goes up and cold air sinks because warm air"
    found = Examiner(Limits(copied=0.9), item, own).examine(text, own.read([text])[0])

    assert found.flags == ("copied",)


def test_what_is_cut_off_is_over_long() -> None:
    assert examine(" ".join(["air"] * 10)) == Examination()
    assert examine(" ".join(["air"] * 11)) == Examination(flags=("over_long",))  # and START: twelve
    assert examine(" ".join(["air"] * 500)) == Examination(flags=("over_long",))


def test_the_first_condition_counts_and_all_flags_do() -> None:
    limits = {"log_frequency": tuple(COMMON), "usual": -1e3, "surprise": 3.0, "copied": 0.5}

    both = examine(GIVEN, **limits)
    assert both.flags == ("copied", "off_topic", "over_long")
    assert examine("idk", refusals=("idk",), repetition=-1).condition == "refusal"


def test_a_small_difference_tells_more_of_a_long_response() -> None:
    short, long = read_pieces(FEATURIZER, "penguins warm"), read_pieces(FEATURIZER, "penguins warm " * 4)

    assert surprise(long, COMMON, 0.0) == pytest.approx(2 * surprise(short, COMMON, 0.0))
    assert surprise(short, [], 0.0) == 0
    assert surprise(short[:0], COMMON, 0.0) == 0


def hashes(given: Sequence[int]) -> set[int]:
    return set(map(hash, runs(given, 10)))


def test_measures_of_pieces() -> None:
    own = [5, 6, 7, 8, 5, 6, 7, 8]

    assert repetition(own) == pytest.approx(1 / 5)  # the last of five runs of four stood before
    assert repetition(own[:3]) == 0
    assert copied(range(20), hashes(range(5, 20))) == pytest.approx(15 / 20)
    assert copied([*range(10), 99, *range(5, 20)], hashes(range(20))) == pytest.approx(25 / 26)  # two places
    assert copied(own[:0], hashes(own)) == 0
    assert pieces_per_character(own, "ab cd  ef") == pytest.approx(8 / 6)
    assert pieces_per_character(own[:0], "") == 0


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("  I DON'T know!! ", "i dont know"),
        ("Ｉｄｋ", "idk"),
        ("Weiß nicht.", "weiss nicht"),
        ("不知道。", "不知道"),
        ("...", "..."),
        ("a_b", "a b"),
    ],
)
def test_normalised(text: str, same: str) -> None:
    assert normalised(text) == same
