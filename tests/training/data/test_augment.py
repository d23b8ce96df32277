import pytest

from training.data.augment import Way, augmented, crop, splice

TEXTS = ["the warm air goes up in the room", "cold air sinks", "x"]
APART = [" ".join(f"{letter}{number}" for number in range(8)) for letter in "abcdef"]  # no two share a word


def test_the_same_seed_gives_the_same_texts() -> None:
    assert augmented(TEXTS, 5, seed=1) == augmented(TEXTS, 5, seed=1)
    assert augmented(TEXTS, 5, seed=1) != augmented(TEXTS, 5, seed=2)


def test_augmented_texts_hold_learners_words_and_are_never_empty() -> None:
    texts = [new.text for new in augmented(TEXTS, 20, seed=1)]

    assert len(texts) == 60
    assert all(texts)
    assert {word for text in texts for word in text.split()} <= {word for text in TEXTS for word in text.split()}


def test_no_attacks_are_made_for_a_count_of_zero() -> None:
    assert augmented(TEXTS, 0, seed=1) == []


@pytest.mark.parametrize("ways", [None, (crop,), (splice,)])
def test_every_word_is_from_one_of_the_sources(ways: tuple[Way, ...] | None) -> None:
    new_texts = augmented(APART, 30, seed=3, ways=ways)

    for new in new_texts:
        assert {"abcdef".index(word[0]) for word in new.text.split()} <= new.sources
    spliced = [new for new in new_texts if len({word[0] for word in new.text.split()}) == 2]
    assert bool(spliced) is (ways in (None, (splice,)))
    assert max(len(new.sources) for new in new_texts) == (2 if spliced else 1)


def test_text_made_of_one_response_names_it_as_only_source() -> None:
    new_texts = augmented(APART, 5, seed=3, ways=(crop,))

    assert [new.sources for new in new_texts] == [frozenset({number // 5}) for number in range(30)]
