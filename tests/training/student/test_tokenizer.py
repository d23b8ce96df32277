import json
import string

import pytest

from app.scoring.featurizer import Featurizer
from training.student.tokenizer import learn_tokenizer

TEXTS = ["warm air rises because warm air is lighter"] * 2


def vocabulary(texts: list[str], size: int) -> set[str]:
    return set(json.loads(learn_tokenizer(texts, size))["model"]["vocab"])


def ids(texts: list[str], response: str) -> list[int]:
    featurizer = Featurizer.from_bytes(learn_tokenizer(texts, 200), 64)
    return [int(number) for number in featurizer.ids([response])[0]]


def test_vocabulary_holds_only_pieces_of_the_training_texts() -> None:
    """The released notebook fitted a second tokenizer on test data.  Here one is learnt, from training texts."""
    pieces = vocabulary([*TEXTS, "josephine"], 200) - {"[PAD]", "[UNK]", "[START]"}

    assert {"▁warm", "▁air", "▁rises"} <= pieces
    assert not any("jose" in piece for piece in pieces)  # stands once: a name, a slip


def test_the_vocabulary_is_bounded_and_the_common_words_stay() -> None:
    pieces = vocabulary(["air " * 9 + "warm " * 4 + "heat " * 3], 16)

    assert len(pieces) == 16
    assert "▁air" in pieces
    assert "▁heat" not in pieces


def test_the_same_texts_give_the_same_file() -> None:
    texts = [f"word{number % 7} word{number % 5}" for number in range(40)]

    assert learn_tokenizer(texts, 20) == learn_tokenizer(texts, 20)


@pytest.mark.parametrize(
    ("texts", "vocabulary"),
    [
        (["the air gets warm", "it becomes lighter", " ".join(string.digits)] * 2, 16),
        (["空气变热以后会上升", "冷空气代替热空气的位置", "水蒸发带走热量"] * 2, 30),
    ],
)
def test_same_texts_give_the_same_file_when_the_alphabet_is_cut(texts: list[str], vocabulary: int) -> None:
    """Characters that are equally rare must not be chosen by chance: a resumed run would not find its students."""
    assert len({learn_tokenizer(texts, vocabulary) for _ in range(20)}) == 1


def test_misspelt_word_keeps_most_of_its_pieces() -> None:
    right, slip = ids(TEXTS, "because"), ids(TEXTS, "becausse")

    assert 1 not in slip  # no [UNK]
    assert ids(TEXTS, "because warm") == [*right, *ids(TEXTS, "warm")[1:]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Die Lösung wird wärmer", "DIE LO\u0308SUNG WIRD WA\u0308RMER"),  # German, composed and decomposed
        ("İstanbul'da ısı artar", "istanbul'da ısı artar"),  # Turkish, with and without the dotted capital
        ("ｗａｒｍ air", "warm air"),  # full-width letters of an East Asian keyboard
        ("空气变热", "空气变热"),  # no spaces between words
    ],
)
def test_the_same_words_are_the_same_ids_in_every_language(one: str, other: str) -> None:
    texts = [one.lower(), other.lower(), one] * 3

    assert ids(texts, one) == ids(texts, other)
    assert 1 not in ids(texts, one)


def test_unknown_character_does_not_hide_its_word() -> None:
    known, with_one = ids(TEXTS, "warm air"), ids(TEXTS, "warm☺ air")

    assert with_one.count(1) == 1
    assert [number for number in known if number not in with_one] == []
