"""The length of a text in words, and the tokenizer of BLEU that suits a corpus.  Nothing is downloaded."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from app.scoring.words import IDEOGRAPHS, KANA, UNSPACED, script

BleuTokenizer = Literal["13a", "intl", "zh", "char"]  # sacrebleu's names; its others need a model or a dictionary

ENOUGH = 0.1  # share of letters from which a script counts beside another


def count_words(text: str) -> float:
    """Count words between spaces; two letters of a script without spaces count as one word."""
    unspaced = [character.isalpha() and script(character) in UNSPACED for character in text]
    rest = "".join(" " if apart else character for character, apart in zip(text, unspaced, strict=True))
    return sum(any(map(str.isalnum, part)) for part in rest.split()) + sum(unspaced) / 2


def bleu_tokenizer(references: Sequence[str]) -> BleuTokenizer:
    """Return the name of sacrebleu's tokenizer that suits the scripts of the references.

    `char` where most letters belong to a script without spaces other than Chinese; `zh`, which separates ideographs and
    treats the rest as `13a` does, where ENOUGH letters are Chinese; `intl`, which knows the punctuation of all scripts,
    where most letters are not Latin; else `13a`, sacrebleu's default, by which published figures were measured.
    """
    letters = Counter(script(character) for text in references for character in text if character.isalpha())
    total = letters.total()
    ideographs, kana = (sum(letters[name] for name in names) for names in (IDEOGRAPHS, KANA))
    unspaced = sum(letters[name] for name in UNSPACED)
    japanese = kana > ENOUGH * (kana + ideographs)
    by_letters = unspaced if japanese else unspaced - ideographs
    if by_letters > total / 2:
        return "char"
    if ideographs > ENOUGH * total:
        return "zh"
    return "intl" if letters["LATIN"] < total / 2 else "13a"
