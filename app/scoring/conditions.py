"""Why no model may score a response (a condition), and why a person should look at its score (flags).

Each is a small pure function of the response; its limit stands in the bundle, learnt from the item's own responses
(training/calibration/condition_limits.py).  They read pieces of words, as the student does, so no language is assumed.
"""

import base64
import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from app.scoring.errors import BadBundle
from app.scoring.featurizer import Featurizer, Ids
from app.scoring.item import Item
from app.scoring.text import is_blank

Condition = Literal["blank", "refusal", "unreadable", "repetition"]
Flag = Literal["copied", "off_topic", "disordered", "over_long"]
# A response is some sixty pieces: too few for numpy, whose every call costs as much as a loop over all of them.
Pieces = Sequence[int]
SeenPairs = NDArray[np.int64]  # ascending: of tens of thousands, which would be megabytes as a set
PieceRun = tuple[int, ...]  # pieces in a row
COPIED_RUN = 10  # pieces in a row that count as copied: some seven words
WINDOW = 40  # words of what was given that are read at a time
MAX_PACKED = 8 * 2**20  # bytes
REPEATED_RUN = 4  # pieces in a row whose return counts as repetition
LEAST_READ = 20  # letters: fewer may be a number, a symbol or a slip that nobody wrote before, and a right answer


class Limits(BaseModel):
    """As they are by default nothing but a blank response is held back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    refusals: tuple[str, ...] = Field(default=(), description="Normalised responses that say no more than `idk`.")
    log_frequency: tuple[float, ...] = Field(
        default=(), description="By piece: the logarithm of the share of responses that have it."
    )
    usual: float = Field(default=0.0, allow_inf_nan=False, description="Mean surprise of a piece of a response.")
    surprise: float = Field(default=1e9, description="Above it a response is far from all that were seen.")
    pieces_per_character: float = Field(default=1e9, description="Above it, and surprising, nothing can be read of it.")
    neighbours: str = Field(default="", description="Pieces of two words seen side by side: see `packed`.")
    usual_new: float = Field(default=0.0, ge=0, le=1, description="Usual share of neighbours not seen before.")
    disorder: float = Field(default=1e9, description="Above it the words may be any, but their order is not a text's.")
    repetition: float = Field(default=1.0, description="Above this share of repeated runs there is too little else.")
    copied: float = Field(default=1.0, description="Above this share, the words are those of prompt and passage.")


@dataclass(frozen=True, slots=True)
class Examination:
    condition: Condition | None = None
    flags: tuple[Flag, ...] = ()


class Examiner:
    """Looks at responses to one item before its student does."""

    def __init__(self, limits: Limits, item: Item, featurizer: Featurizer) -> None:
        self._limits = limits
        self._featurizer = featurizer
        if len(limits.log_frequency) not in (0, featurizer.vocabulary):
            raise BadBundle(
                "limits.log_frequency has not one number for each piece of the tokenizer",
                code="bad_limits",
                field="log_frequency",
            )
        self._refusals = frozenset(limits.refusals)
        self._longest_refusal = max(map(len, limits.refusals), default=-1)
        self._neighbours = unpacked(limits.neighbours)
        self._given = prompt_runs(item, featurizer)

    def examine(self, response: str, read: Ids) -> Examination:
        """The first condition that holds; without one all flags that do.  `read`: the response as the featurizer has
        read it.
        """
        if is_blank(response):
            return Examination("blank")
        limits, own = self._limits, read[1:]
        words = without_signs(self._featurizer, own)
        # Each of them has a letter or digit of its own: with more it cannot be a refusal, and need not be normalised.
        if len(words) <= self._longest_refusal and normalised(response) in self._refusals:
            return Examination("refusal")
        surprising = surprise(own, limits.log_frequency, limits.usual) > limits.surprise
        if surprising and density(own, response) > limits.pieces_per_character and letters(response) >= LEAST_READ:
            return Examination("unreadable")
        if repetition(own) > limits.repetition and letters(response) >= LEAST_READ:
            return Examination("repetition")
        found: dict[Flag, bool] = {
            "copied": copied(own, self._given) > limits.copied,
            "off_topic": surprising,
            "disordered": disorder(neighbours(self._featurizer, words), self._neighbours, limits.usual_new)
            > limits.disorder,
            "over_long": len(read) >= self._featurizer.max_tokens,  # the rest is cut
        }
        return Examination(flags=tuple(name for name, holds in found.items() if holds))


def prompt_runs(item: Item, featurizer: Featurizer) -> frozenset[int]:
    """Hashes of every run of COPIED_RUN pieces of prompt and passage, read in windows: a featurizer cuts long texts.

    The runs themselves would be a megabyte of a long passage; two that differ as good as never share a hash.
    """
    windows = [
        " ".join(words[start : start + WINDOW])
        for words in (item.prompt.split(), (item.passage or "").split())
        for start in range(0, len(words), WINDOW - COPIED_RUN)
    ]
    return frozenset(hash(run) for ids in featurizer.read(windows) for run in runs(ids[1:], COPIED_RUN))


def pieces(featurizer: Featurizer, text: str) -> Ids:
    """Without START; unknown signs are pieces too."""
    return featurizer.read([text])[0][1:]


def normalised(text: str) -> str:
    """Letters and digits in lower case, the words one space apart; signs alone stay as they are."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = re.findall(r"[^\W_]+", folded.replace("'", "").replace("’", ""))
    return " ".join(words) or folded.strip()


def surprise(own: Pieces, log_frequency: Sequence[float], usual: float) -> float:
    """How much rarer the pieces are than usual, by the square root of their number: of a long response a small
    difference in the mean says as much as a large one of a short response (as standard errors of means do).
    """
    if not own or not log_frequency:
        return 0.0
    return (-sum([log_frequency[piece] for piece in own]) / len(own) - usual) * sqrt(len(own))


def without_signs(featurizer: Featurizer, own: Pieces) -> Ids:
    """All but signs."""
    signs = featurizer.signs
    return [piece for piece in own if not signs[piece]]


def neighbours(featurizer: Featurizer, words: Pieces) -> list[int]:
    """The last piece of each word with the first of the next, as one number, of pieces that are no signs."""
    begins, vocabulary = featurizer.begins, featurizer.vocabulary
    return [last * vocabulary + first for last, first in pairwise(words) if begins[first]]


def disorder(own: Pieces, seen: SeenPairs, usual: float) -> float:
    """How much larger the share of neighbours never seen is than usual, by the square root of their number."""
    if not own or not len(seen):
        return 0.0
    wanted = np.array(own)
    places = seen.searchsorted(wanted)
    places[places == len(seen)] = 0
    new = np.count_nonzero(seen[places] != wanted)
    return float((new / len(own) - usual) * sqrt(len(own)))


def packed(seen: SeenPairs) -> str:
    """Ascending numbers as text: base64 of zlib of the differences, 4 bytes each."""
    return base64.b64encode(zlib.compress(np.diff(seen, prepend=0).astype("<u4").tobytes(), 9)).decode()


def unpacked(text: str) -> SeenPairs:
    """Raises BadBundle for what `packed` never wrote."""
    try:
        reader = zlib.decompressobj()
        content = reader.decompress(base64.b64decode(text, validate=True), MAX_PACKED) if text else b""
        if text and not reader.eof:
            raise ValueError("too long, or cut")
        return np.cumsum(np.frombuffer(content, "<u4").astype(np.int64))
    except (ValueError, zlib.error) as error:
        raise BadBundle(f"limits.neighbours cannot be read: {error}", code="bad_limits", field="neighbours") from None


def letters(text: str) -> int:
    """Count the letters of any script."""
    return sum(map(str.isalpha, text))


def density(own: Pieces, text: str) -> float:
    """Pieces per character that is not white space: words that were seen are few pieces, others fall into letters."""
    return len(own) / max(1, sum(not character.isspace() for character in text))


def repetition(own: Pieces) -> float:
    """Share of runs of REPEATED_RUN pieces that stood before."""
    count = len(own) - REPEATED_RUN + 1
    return 1 - len(set(runs(own, REPEATED_RUN))) / count if count > 0 else 0.0


def copied(own: Pieces, given: AbstractSet[int]) -> float:
    """Share of the pieces that stand in runs of COPIED_RUN whose hashes are among those of what was given."""
    inside = end = 0
    for start, run in enumerate(runs(own, COPIED_RUN)):
        if hash(run) in given:
            inside += start + COPIED_RUN - max(start, end)
            end = start + COPIED_RUN
    return inside / len(own) if inside else 0.0


def runs(own: Pieces, length: int) -> Iterator[PieceRun]:
    """Every run of that length, in order."""
    return zip(*(own[start:] for start in range(length)), strict=False)
