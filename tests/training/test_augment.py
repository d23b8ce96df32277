from training.augment import augmented

TEXTS = ["the warm air goes up in the room", "cold air sinks", "x"]


def test_the_same_seed_gives_the_same_texts() -> None:
    assert augmented(TEXTS, 5, seed=1) == augmented(TEXTS, 5, seed=1)
    assert augmented(TEXTS, 5, seed=1) != augmented(TEXTS, 5, seed=2)


def test_as_many_as_asked_for_made_of_learners_words_and_never_empty() -> None:
    made = augmented(TEXTS, 20, seed=1)

    assert len(made) == 60
    assert all(made)
    assert {word for text in made for word in text.split()} <= {word for text in TEXTS for word in text.split()}


def test_none_when_none_is_asked_for() -> None:
    assert augmented(TEXTS, 0, seed=1) == []
