"""More text for the teacher to label: crops and splices of learners' own responses.

The texts need not make sense or keep a score: the teacher scores each as it stands.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training.data.word_units import gap_of, units

Words = list[str]
Way = Callable[[Words, Words, random.Random], Words]  # a response's words, another's → a new text's


@dataclass(frozen=True, slots=True)
class Augmented:
    text: str
    sources: frozenset[int]  # which of the given texts its words are from


def augmented(texts: Sequence[str], per_text: int, seed: int, ways: Sequence[Way] | None = None) -> list[Augmented]:
    """`per_text` new texts for each one, each in one of the ways; the same seed gives the same texts."""
    generator = random.Random(seed)
    gap = gap_of(texts)
    words = [units(text, gap) for text in texts]
    made: list[Augmented] = []
    for number, own in enumerate(words):
        for _ in range(per_text):
            way = generator.choice(ways or WAYS)
            other = generator.choice(range(len(words)))
            sources = {number, other} if way is splice else {number}
            made.append(Augmented(gap.join(way(own, words[other], generator)), frozenset(sources)))
    return made


def crop(own: Words, _: Words, generator: random.Random) -> Words:
    """A run of 40 to 90 % of the words."""
    length = max(1, round(len(own) * generator.uniform(0.4, 0.9)))
    start = generator.randint(0, max(0, len(own) - length))
    return own[start : start + length]


def splice(own: Words, other: Words, generator: random.Random) -> Words:
    """The beginning of one response and the end of another."""
    return own[: generator.randint(1, max(1, len(own)))] + other[generator.randint(0, max(0, len(other) - 1)) :]


WAYS: tuple[Way, ...] = (crop, splice, splice)  # as often as they are named
