import os
import random
import sys
from pathlib import Path

import pytest

from app.scoring.errors import BadBundle
from app.scoring.featurizer import Featurizer, padded
from tests.refusals import refused
from tests.tiny import word_tokenizer
from training.student.tokenizer import learn_tokenizer

TEXTS = [
    "Wärme steigt auf, weil warme Luft leichter ist.",
    "Wärme steigt; kalte Luft sinkt.",
    "3/4 ist mehr als 0,5",
] * 2


def a_featurizer(max_tokens: int = 32) -> Featurizer:
    return Featurizer.from_bytes(learn_tokenizer(TEXTS, 100), max_tokens)


def test_every_response_begins_with_start_and_is_padded_with_zeros() -> None:
    ids = a_featurizer().ids(["Wärme steigt", ""])

    assert ids.shape == (2, 3)
    assert ids[:, 0].tolist() == [2, 2]
    assert ids[1].tolist() == [2, 0, 0]


def test_case_and_compatible_forms_do_not_matter() -> None:
    plain, shouted, decomposed = a_featurizer().ids(["wärme", "WÄRME", "wa\u0308rme"])

    assert plain.tolist() == shouted.tolist() == decomposed.tolist()


def test_unknown_words_are_not_dropped() -> None:
    [start, _, *signs] = a_featurizer().ids(["жук"])[0].tolist()

    assert (start, signs) == (2, [1, 1, 1])  # START, the beginning of a word, three signs of another script


def test_digits_and_signs_are_separate_pieces() -> None:
    assert a_featurizer().ids(["3/4"]).shape == (1, 4)


def test_long_responses_are_cut_at_the_end() -> None:
    featurizer = a_featurizer(max_tokens=4)

    assert featurizer.ids(["warme Luft steigt auf und kalte Luft sinkt"]).shape == (1, 4)
    assert featurizer.ids(["warme Luft steigt"])[0].tolist() == featurizer.ids(["warme Luft steigt auf"])[0].tolist()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_unknown_words() -> None:
    """Promise 6: the cache of the tokenizers library would keep about 40 MB of these words."""
    featurizer, generator = a_featurizer(), random.Random(0)  # noqa: S311

    def meet_strange_words(responses: int) -> None:
        for _ in range(responses):
            words = ("".join(generator.choices("warmestil", k=240)) for _ in range(80))
            featurizer.ids([" ".join(words)])

    meet_strange_words(5)
    before = resident_bytes()
    meet_strange_words(60)

    assert resident_bytes() - before < 10 * 2**20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_tokenizer_with_other_special_tokens_is_refused() -> None:
    content = learn_tokenizer(TEXTS, 100).replace(b'"[START]"', b'"[CLS]"')

    with refused(BadBundle, "wrong_special_ids", file="tokenizer.json", ids=(0, 1, None)):
        Featurizer.from_bytes(content, 32)


def test_padding_is_the_same_for_separate_and_joint_reading() -> None:
    featurizer = Featurizer.from_bytes(word_tokenizer(), 64)
    texts = ["warm air rises", "", "cold air"]

    read = featurizer.read(texts)

    assert [featurizer.read([text])[0] for text in texts] == read
    assert padded(read).tolist() == featurizer.ids(texts).tolist() == [row + [0] * (4 - len(row)) for row in read]
