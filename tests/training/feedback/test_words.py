import pytest

from training.feedback.words import bleu_tokenizer, count_words

ENGLISH, GERMAN = "The answer is right.", "Die Lösung ist größer."
RUSSIAN, KOREAN = "Ответ верный.", "답이 맞습니다."
CHINESE, JAPANESE, THAI = "回答正确。", "正しい答えです。", "คำตอบถูกต้อง"


@pytest.mark.parametrize(
    ("corpus", "tokenizer"),
    [
        ([ENGLISH], "13a"),
        ([GERMAN], "13a"),
        ([RUSSIAN], "intl"),
        ([KOREAN], "intl"),  # spaces between words
        ([CHINESE], "zh"),
        ([JAPANESE], "char"),
        ([THAI], "char"),
        ([ENGLISH] * 9 + [RUSSIAN], "13a"),
        ([ENGLISH, CHINESE], "zh"),  # which treats Latin words as 13a does
        ([ENGLISH] * 20 + [CHINESE], "13a"),
        ([ENGLISH] * 3 + [THAI], "13a"),  # few letters are Thai
        (["42 %", ""], "13a"),
    ],
)
def test_tokenizer_suits_the_script_of_the_corpus(corpus: list[str], tokenizer: str) -> None:
    assert bleu_tokenizer(corpus) == tokenizer


@pytest.mark.parametrize(
    ("text", "count"), [(ENGLISH, 4), (RUSSIAN, 2), (CHINESE, 2), ("水是H2O。", 2), ("yes - no", 2), ("", 0)]
)
def test_two_letters_without_spaces_count_as_a_word(text: str, count: float) -> None:
    assert count_words(text) == count
