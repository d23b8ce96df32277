"""Attacks on a scorer: junk that is worth nothing, and good responses changed so that they are worth less.

After Ding et al. (COLING 2020), Filighera et al. (AIED 2020; IJAIED 2024) and Kumar et al. (2020).
"""

import random
import re
import string
from collections.abc import Sequence

from app.scoring.item import Item
from app.scoring.text import is_blank
from training.config import Phrases
from training.data.responses import MarkedResponse
from training.data.word_units import gap_of, units

JUNK = ("characters", "words", "keywords", "prompt", "other_item", "begging")  # worth nothing for any item
CHANGED = ("shuffled", "padding", "adverb", "negation")  # made from good responses
LONG_WORD = 6  # characters


def attacks(
    item: Item, good: Sequence[str], other_items: Sequence[str], phrases: Phrases, count: int, seed: int
) -> dict[str, list[str]]:
    """Return up to `count` texts of each kind of attack.  A kind that cannot be made is left out.

    `good`: responses to this item with the best scores; `other_items`: good responses to other items.
    """
    generator = random.Random(seed)
    junk = _junk(item, good, other_items, phrases, count, generator)
    changed = _changed(good, phrases, count, generator)
    return {name: texts for name, texts in (junk | changed).items() if texts}


def _junk(
    item: Item, good: Sequence[str], other_items: Sequence[str], phrases: Phrases, count: int, generator: random.Random
) -> dict[str, list[str]]:
    """Return the texts of each kind in JUNK."""
    gap = gap_of(good or [item.prompt])
    words = sorted({word for text in good for word in units(text, gap)})
    long_words = [word for word in words if len(word) >= LONG_WORD and word.isalpha()]
    prompt = units(" ".join([item.prompt, item.passage or ""]), gap)
    return {
        "characters": [_characters(generator) for _ in range(count)],
        "words": [_drawn_words(words, generator, 5, 40, gap) for _ in range(count)] if words else [],
        "keywords": [_drawn_words(long_words, generator, 3, 10, ", ") for _ in range(count)] if long_words else [],
        "prompt": [_excerpt(prompt, generator, gap) for _ in range(count)],
        "other_item": _sample(other_items, count, generator),
        "begging": [_drawn_words(phrases.begging, generator, 1, 2, " ") for _ in range(count)],
    }


def _changed(good: Sequence[str], phrases: Phrases, count: int, generator: random.Random) -> dict[str, list[str]]:
    """Return the texts of each kind in CHANGED."""
    gap = gap_of(good)
    chosen = _sample(good, count, generator)
    shuffled = [_shuffled(text, generator, gap) for text in chosen]
    padded = [f"{phrases.padding} {text} {phrases.padding}" for text in chosen]
    with_adverb = [_inserted(text, generator.choice(phrases.adverbs), generator, gap) for text in chosen]
    pairs = [(text, _negated(text, phrases.opposites, gap)) for text in chosen]
    negated = [changed for text, changed in pairs if changed != text]
    return {"shuffled": shuffled, "padding": padded, "adverb": with_adverb, "negation": negated}


def good_responses(item: Item, rows: Sequence[MarkedResponse]) -> list[str]:
    """Return the texts with the best score that any row has; all texts if labels have no order."""
    rows = [row for row in rows if not is_blank(row.text)]
    if not item.is_ordered:
        return [row.text for row in rows]
    best = max((item.merit(row.value) for row in rows), default=0)
    return [row.text for row in rows if item.merit(row.value) >= best - item.tolerance and not item.is_worst(row.value)]


def _characters(generator: random.Random) -> str:
    lengths = [generator.randint(1, 9) for _ in range(generator.randint(3, 30))]
    words = [generator.choices(string.ascii_lowercase, k=length) for length in lengths]
    return " ".join("".join(letters) for letters in words)


def _drawn_words(words: Sequence[str], generator: random.Random, least: int, most: int, gap: str) -> str:
    return gap.join(generator.choices(words, k=generator.randint(least, most)))


def _excerpt(words: Sequence[str], generator: random.Random, gap: str) -> str:
    """Return ten to fifty consecutive words."""
    length = min(len(words), generator.randint(10, 50))
    start = generator.randint(0, len(words) - length)
    return gap.join(words[start : start + length])


def _sample(texts: Sequence[str], count: int, generator: random.Random) -> list[str]:
    return generator.sample(list(texts), min(count, len(texts)))


def _shuffled(text: str, generator: random.Random, gap: str) -> str:
    words = units(text, gap)
    generator.shuffle(words)
    return gap.join(words)


def _inserted(text: str, adverb: str, generator: random.Random, gap: str) -> str:
    words = units(text, gap)
    words.insert(generator.randint(0, len(words)), adverb)
    return gap.join(words)


def _negated(text: str, opposites: Sequence[tuple[str, str]], gap: str) -> str:
    """Return the text with each word or phrase replaced by its opposite, the longest first: `is` for `is not`."""
    replacements = [pair for first, second in opposites for pair in ((first, second), (second, first))]
    replacements.sort(key=lambda pair: len(pair[0]), reverse=True)
    if not replacements:
        return text
    phrases = "|".join(_phrase_group(phrase) for phrase, _ in replacements)
    # A contraction is a single word.  Scripts without spaces have no word boundaries.
    pattern = rf"(?<![\w'’])(?:{phrases})(?![\w'’])" if gap else phrases

    def opposite_of(match: re.Match[str]) -> str:
        return replacements[(match.lastindex or 1) - 1][1]

    return re.sub(pattern, opposite_of, text, flags=re.IGNORECASE)


def _phrase_group(phrase: str) -> str:
    """Return a regular expression group that matches a phrase with any white space between its words."""
    words = map(re.escape, phrase.split())
    return "({})".format(r"\s+".join(words))
