import json

from training.tokenizer import learn_tokenizer


def test_it_knows_only_words_of_the_texts_it_learnt_from() -> None:
    """The released notebook fitted a second tokeniser on test data: here there is one, and it is in the bundle."""
    vocabulary = json.loads(learn_tokenizer(["warm air rises", "warm air"], 100))["model"]["vocab"]

    assert set(vocabulary) == {"[PAD]", "[UNK]", "[START]", "warm", "air"}  # `rises` stands once: a name, a slip


def test_the_vocabulary_is_bounded_and_the_common_words_stay() -> None:
    texts = ["air " * 5 + "warm " * 4 + "heat " * 3]

    assert set(json.loads(learn_tokenizer(texts, 5))["model"]["vocab"]) == {"[PAD]", "[UNK]", "[START]", "air", "warm"}


def test_the_same_texts_give_the_same_file() -> None:
    texts = [f"word{number % 7} word{number % 5}" for number in range(40)]

    assert learn_tokenizer(texts, 20) == learn_tokenizer(texts, 20)
