import random

import pytest

from app.scoring.conditions import Examiner, Limits
from app.scoring.featurizer import Featurizer
from tests.training.example_rows import ITEM
from training.config import MAX_STUDENT_TOKENS, StudentConfig
from training.student.token_lengths import (
    enough_tokens,
    expected_counts,
    over_long_share,
    over_long_warning,
    token_counts,
)
from training.student.tokenizer import learn_tokenizer


def essays(count: int, words: range) -> list[str]:
    generator = random.Random(0)  # noqa: S311  # no secret
    known = ["warm", "air", "rises", "because", "it", "is", "lighter", "than", "cold"]
    return [" ".join(generator.choices(known, k=generator.choice(words))) for _ in range(count)]


@pytest.mark.parametrize("max_tokens", [8, 20, 40])
def test_over_long_share_equals_the_share_of_flags(max_tokens: int) -> None:
    texts = essays(60, range(4, 60))
    tokenizer = learn_tokenizer(texts, 200)
    featurizer = Featurizer.from_bytes(tokenizer, max_tokens)
    examiner = Examiner(Limits(), ITEM, featurizer)
    flags = [examiner.examine(text, ids).flags for text, ids in zip(texts, featurizer.read(texts), strict=True)]

    share = over_long_share(token_counts(tokenizer, texts), max_tokens)

    assert 0 < share < 1
    assert share == sum(response_flags == ("over_long",) for response_flags in flags) / len(texts)


@pytest.mark.parametrize("limit", [0.0, 0.05, 0.5, 1.0])
def test_enough_tokens_is_the_smallest_sufficient_setting(limit: float) -> None:
    counts = [random.Random(number).randint(5, 300) for number in range(100)]  # noqa: S311  # no secret

    enough = enough_tokens(counts, limit)

    assert over_long_share(counts, enough) <= limit
    assert limit == 1 or over_long_share(counts, enough - 1) > limit


def test_enough_tokens_stays_within_the_largest_setting() -> None:
    assert enough_tokens([MAX_STUDENT_TOKENS] * 10, 0.05) == MAX_STUDENT_TOKENS
    assert over_long_share([], 8) == 0


def test_expected_counts_equal_counts_of_the_learnt_tokenizer() -> None:
    texts, student = essays(60, range(200, 400)), StudentConfig()

    counts = expected_counts(texts, texts, student)

    assert counts == token_counts(learn_tokenizer(texts, student.vocabulary), texts)
    assert expected_counts(["warm air"], texts, student) == [0]  # it cannot be over-long: nothing is learnt


def test_warning_names_item_share_and_setting() -> None:
    warning = over_long_warning("essay-1", {"train": 1.0, "dev": 0.981}, 256, 700)

    for part in ("essay-1", "100% of train", "98% of dev", "256", "student.max_tokens", "700"):
        assert part in warning
