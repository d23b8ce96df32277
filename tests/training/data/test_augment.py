import pytest

from training.data.augment import Way, augmented, crop, splice

TEXTS = ["the warm air goes up in the room", "cold air sinks", "x"]
APART = [" ".join(f"{letter}{number}" for number in range(8)) for letter in "abcdef"]  # no two share a word


def test_the_same_seed_gives_the_same_texts() -> None:
    assert augmented(TEXTS, 5, seed=1) == augmented(TEXTS, 5, seed=1)
    assert augmented(TEXTS, 5, seed=1) != augmented(TEXTS, 5, seed=2)


def test_augmented_texts_hold_learners_words_and_are_never_empty() -> None:
    made = [own.text for own in augmented(TEXTS, 20, seed=1)]

    assert len(made) == 60
    assert all(made)
    assert {word for text in made for word in text.split()} <= {word for text in TEXTS for word in text.split()}


def test_no_attacks_are_made_for_a_count_of_zero() -> None:
    assert augmented(TEXTS, 0, seed=1) == []


@pytest.mark.parametrize("ways", [None, (crop,), (splice,)])
def test_every_word_is_from_one_of_the_sources(ways: tuple[Way, ...] | None) -> None:
    made = augmented(APART, 30, seed=3, ways=ways)

    for own in made:
        assert {"abcdef".index(word[0]) for word in own.text.split()} <= own.sources
    spliced = [own for own in made if len({word[0] for word in own.text.split()}) == 2]
    assert bool(spliced) is (ways in (None, (splice,)))
    assert max(len(own.sources) for own in made) == (2 if spliced else 1)


def test_text_made_of_one_response_names_it_as_only_source() -> None:
    made = augmented(APART, 5, seed=3, ways=(crop,))

    assert [own.sources for own in made] == [frozenset({number // 5}) for number in range(30)]
