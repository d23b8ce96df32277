import pytest

from training.feedback.measures import likeness

HUMAN = ["The answer is right in every part of it.", "You do not say why the air rises at all."]


def test_the_raters_own_words_are_as_like_as_can_be() -> None:
    found = likeness(HUMAN, HUMAN)

    assert found.bleu == pytest.approx(100)
    assert (found.rouge_1, found.rouge_2, found.rouge_l) == (1, 1, 1)
    assert found.similarity == pytest.approx(1, abs=1e-4)


def test_each_text_is_held_against_its_own_reference() -> None:
    assert likeness(HUMAN[::-1], HUMAN).rouge_l < 0.4


def test_rouge_is_the_mean_f_of_stemmed_words_in_order() -> None:
    found = likeness(["air rising warm"], ["warm air rises"])

    assert found.rouge_1 == 1
    assert found.rouge_2 == pytest.approx(0.5)  # "air rise" of two pairs each
    assert found.rouge_l == pytest.approx(2 / 3)
    assert found.bleu < 100


def test_meaning_counts_where_words_differ() -> None:
    near = likeness(["That is correct."], ["The answer is right."]).similarity
    far = likeness(["Penguins live in the south."], ["The answer is right."]).similarity

    assert near > far + 0.3
