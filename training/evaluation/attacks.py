"""Attacks on a scorer: junk that is worth nothing, and responses changed so that they are worth less.

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

JUNK = ("characters", "words", "keywords", "prompt", "other_item", "begging")  # worth nothing, whatever the item
CHANGED = ("shuffled", "padding", "adverb", "negation")  # made of good responses


def attacks(
    item: Item, good: Sequence[str], others: Sequence[str], phrases: Phrases, count: int, seed: int
) -> dict[str, list[str]]:
    """Up to `count` texts of each kind; a kind that cannot be made is left out.

    `good`: responses to this item with the best scores; `others`: such to other items.
    """
    generator = random.Random(seed)
    gap = gap_of(good or [item.prompt])
    words = sorted({word for text in good for word in units(text, gap)})
    given = units(" ".join([item.prompt, item.passage or ""]), gap)
    made: dict[str, list[str]] = {
        "characters": [_characters(generator) for _ in range(count)],
        "words": [_some(words, generator, 5, 40, gap) for _ in range(count)] if words else [],
        "keywords": [_some(_long(words), generator, 3, 10, ", ") for _ in range(count)] if _long(words) else [],
        "prompt": [_run(given, generator, gap) for _ in range(count)],
        "other_item": _drawn(others, count, generator),
        "begging": [_some(phrases.begging, generator, 1, 2) for _ in range(count)],
    }
    chosen = _drawn(good, count, generator)
    made |= {
        "shuffled": [_shuffled(text, generator, gap) for text in chosen],
        "padding": [f"{phrases.padding} {text} {phrases.padding}" for text in chosen],
        "adverb": [_inserted(text, generator.choice(phrases.adverbs), generator, gap) for text in chosen],
        "negation": [negated for text in chosen if (negated := _negated(text, phrases.opposites, gap)) != text],
    }
    return {name: texts for name, texts in made.items() if texts}


def good_responses(item: Item, rows: Sequence[MarkedResponse]) -> list[str]:
    """Return the texts with the best score that any row has; of labels without order all."""
    rows = [row for row in rows if not is_blank(row.text)]
    if not item.is_ordered:
        return [row.text for row in rows]
    best = max((item.merit(row.value) for row in rows), default=0)
    return [row.text for row in rows if item.merit(row.value) >= best - item.tolerance and not item.is_worst(row.value)]


def _characters(generator: random.Random) -> str:
    lengths = [generator.randint(1, 9) for _ in range(generator.randint(3, 30))]
    return " ".join("".join(generator.choices(string.ascii_lowercase, k=length)) for length in lengths)


def _some(from_: Sequence[str], generator: random.Random, least: int, most: int, by: str = " ") -> str:
    return by.join(generator.choices(from_, k=generator.randint(least, most)))


def _long(words: Sequence[str]) -> list[str]:
    """The words that carry meaning, for want of a dictionary: the longer ones."""
    return [word for word in words if len(word) >= 6 and word.isalpha()]


def _run(words: Sequence[str], generator: random.Random, gap: str) -> str:
    """Ten to fifty in a row."""
    length = min(len(words), generator.randint(10, 50))
    start = generator.randint(0, len(words) - length)
    return gap.join(words[start : start + length])


def _drawn(texts: Sequence[str], count: int, generator: random.Random) -> list[str]:
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
    """Each word or phrase that has an opposite turned into it, the longest first: `is not` into `is`."""
    pairs = [pair for one, two in opposites for pair in ((one, two), (two, one))]
    pairs.sort(key=lambda pair: len(pair[0]), reverse=True)
    if not pairs:
        return text
    known = "|".join("({})".format(r"\s+".join(map(re.escape, own.split()))) for own, _ in pairs)
    # contractions are one word; writing without spaces has no words' ends
    pattern = rf"(?<![\w'’])(?:{known})(?![\w'’])" if gap else known
    return re.sub(pattern, lambda found: pairs[found.lastindex - 1][1], text, flags=re.IGNORECASE)  # type: ignore[operator]
