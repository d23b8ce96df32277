"""The length of a text in words, and the tokenizer of BLEU that suits a corpus, without downloads."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from app.scoring.words import IDEOGRAPHS, KANA, UNSPACED, script

BleuTokenizer = Literal["13a", "intl", "zh", "char"]  # of sacrebleu, without those that need a model or a dictionary

SCRIPT_SHARE = 0.1  # share of letters from which a script counts beside another


def count_words(text: str) -> float:
    """Count words between spaces; two letters of a script without spaces count as one word."""
    unspaced = [character.isalpha() and script(character) in UNSPACED for character in text]
    spaced = "".join(" " if apart else character for character, apart in zip(text, unspaced, strict=True))
    words = [part for part in spaced.split() if any(map(str.isalnum, part))]
    return len(words) + sum(unspaced) / 2


def bleu_tokenizer(references: Sequence[str]) -> BleuTokenizer:
    """Return the name of sacrebleu's tokenizer that suits the scripts of the references.

    `char`: most letters belong to a script without spaces other than Chinese.  `zh`: more than SCRIPT_SHARE of letters
    are Chinese; it separates ideographs and treats the rest as `13a` does.  `intl`: most letters are not Latin; it
    knows the punctuation of all scripts.  `13a`: all other corpora; it is the default of sacrebleu and of published
    figures.
    """
    letters = Counter(script(character) for text in references for character in text if character.isalpha())
    total = letters.total()
    ideographs, kana = sum(letters[name] for name in IDEOGRAPHS), sum(letters[name] for name in KANA)
    unspaced = sum(letters[name] for name in UNSPACED)
    japanese = kana > SCRIPT_SHARE * (kana + ideographs)
    by_letters = unspaced if japanese else unspaced - ideographs
    if by_letters > total / 2:
        return "char"
    if ideographs > SCRIPT_SHARE * total:
        return "zh"
    return "intl" if letters["LATIN"] < total / 2 else "13a"
