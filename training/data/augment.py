"""Augmented text for the teacher to label: crops and splices of learners' responses.

The texts need not make sense or keep a score, for the teacher scores each by itself.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training.data.word_units import gap_of, units

Words = list[str]
Way = Callable[[Words, Words, random.Random], Words]  # the words of a response and of another → of a new text


@dataclass(frozen=True, slots=True)
class Augmented:
    """A new text, and the numbers of the texts that its words come from."""

    text: str
    sources: frozenset[int]


def augmented(texts: Sequence[str], per_text: int, seed: int, ways: Sequence[Way] | None = None) -> list[Augmented]:
    """Make `per_text` new texts of each text, each in one of the ways.  The same seed gives the same texts."""
    generator = random.Random(seed)
    gap = gap_of(texts)
    responses = [units(text, gap) for text in texts]
    new_texts: list[Augmented] = []
    for number, response in enumerate(responses):
        for _ in range(per_text):
            way = generator.choice(ways or WAYS)
            other = generator.choice(range(len(responses)))
            sources = {number, other} if way is splice else {number}
            words = way(response, responses[other], generator)
            new_texts.append(Augmented(gap.join(words), frozenset(sources)))
    return new_texts


def crop(response: Words, _: Words, generator: random.Random) -> Words:
    """Return a run of 40 to 90 % of the words."""
    length = max(1, round(len(response) * generator.uniform(0.4, 0.9)))
    start = generator.randint(0, max(0, len(response) - length))
    return response[start : start + length]


def splice(response: Words, other: Words, generator: random.Random) -> Words:
    """Return the beginning of a response followed by the end of the other."""
    end = generator.randint(1, max(1, len(response)))
    start = generator.randint(0, max(0, len(other) - 1))
    return response[:end] + other[start:]


WAYS: tuple[Way, ...] = (crop, splice, splice)  # a way is drawn as often as it is named
