"""Conditions, under which no model may score a response, and flags, under which a person reviews its score.

Each is a limit on a small pure function of the response.  The bundle holds the limits, which training learns from
responses to the item (training/calibration/condition_limits.py).  The functions read pieces of words, as the student
does, so they assume no language.
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
from pydantic import Field

from app.scoring.bundle_files import FrozenModel
from app.scoring.errors import BadBundle
from app.scoring.featurizer import Featurizer, Ids
from app.scoring.item import Item
from app.scoring.text import is_blank

Condition = Literal["blank", "refusal", "unreadable", "repetition"]
Flag = Literal["copied", "off_topic", "disordered", "over_long"]
# Ids of the pieces of one response, about sixty.  A loop over so few costs as much as a single call of numpy.
Pieces = Sequence[int]
SeenPairs = NDArray[np.int64]  # Ascending.  A set of tens of thousands of pairs would take megabytes.
PieceRun = tuple[int, ...]  # consecutive pieces
COPIED_RUN = 10  # consecutive pieces that count as copied: about seven words
WINDOW = 40  # words of prompt and passage that are read at a time
MAX_PACKED = 8 * 2**20  # bytes
REPEATED_RUN = 4  # consecutive pieces that count as repeated when they occur again
LEAST_READ = 20  # letters: a shorter response may be a number, a symbol or a slip, and still be right


class Limits(FrozenModel):
    """Limits of conditions and flags.  The defaults hold back blank responses only."""

    refusals: tuple[str, ...] = Field(default=(), description="Normalised refusals to answer, such as `idk`.")
    log_frequency: tuple[float, ...] = Field(default=(), description="Log of the share of responses with each piece.")
    usual: float = Field(default=0.0, allow_inf_nan=False, description="Usual mean surprise of a response's pieces.")
    surprise: float = Field(default=1e9, description="Limit above which a response is off topic.")
    pieces_per_character: float = Field(default=1e9, description="Limit for surprising, unreadable responses.")
    neighbours: str = Field(default="", description="Pairs of neighbouring pieces in training responses, packed.")
    usual_new: float = Field(default=0.0, ge=0, le=1, description="Usual share of neighbours not seen in training.")
    disorder: float = Field(default=1e9, description="Limit above which the order of the words is not that of a text.")
    repetition: float = Field(default=1.0, description="Limit of the share of repeated runs.")
    copied: float = Field(default=1.0, description="Limit of the share of pieces copied from prompt and passage.")


@dataclass(frozen=True, slots=True)
class Examination:
    """The condition that holds for a response; without one, the flags that hold."""

    condition: Condition | None = None
    flags: tuple[Flag, ...] = ()


class Examiner:
    """Examines responses to one item before its student scores them."""

    def __init__(self, limits: Limits, item: Item, featurizer: Featurizer) -> None:
        """Raise BadBundle for limits that do not fit the featurizer or cannot be unpacked."""
        self._limits = limits
        self._featurizer = featurizer
        if len(limits.log_frequency) not in (0, featurizer.vocabulary):
            raise BadBundle(
                f"limits.log_frequency has {len(limits.log_frequency)} numbers; the tokenizer has "
                f"{featurizer.vocabulary} pieces",
                code="bad_limits",
                field="log_frequency",
            )
        self._refusals = frozenset(limits.refusals)
        self._longest_refusal = max(map(len, limits.refusals), default=-1)
        self._seen_pairs = unpacked(limits.neighbours)
        self._prompt_runs = prompt_runs(item, featurizer)

    def examine(self, response: str, read: Ids) -> Examination:
        """Return the first condition that holds for a response; without one, all flags that hold.

        `read` holds the ids of the response from `Featurizer.read`, START included.
        """
        if is_blank(response):
            return Examination("blank")
        limits, pieces = self._limits, read[1:]
        words = without_signs(self._featurizer, pieces)
        # Every piece in `words` has a letter or digit.  More pieces than the longest refusal has characters cannot be a
        # refusal, so normalising the response is not needed.
        if len(words) <= self._longest_refusal and normalised(response) in self._refusals:
            return Examination("refusal")
        surprising = surprise(pieces, limits.log_frequency, limits.usual) > limits.surprise
        in_small_pieces = surprising and pieces_per_character(pieces, response) > limits.pieces_per_character
        if in_small_pieces and letters(response) >= LEAST_READ:
            return Examination("unreadable")
        if repetition(pieces) > limits.repetition and letters(response) >= LEAST_READ:
            return Examination("repetition")
        return Examination(flags=self._flags(read, words, surprising=surprising))

    def _flags(self, read: Ids, words: Pieces, *, surprising: bool) -> tuple[Flag, ...]:
        limits = self._limits
        flags: list[Flag] = []
        if copied(read[1:], self._prompt_runs) > limits.copied:
            flags.append("copied")
        if surprising:
            flags.append("off_topic")
        pairs = neighbours(self._featurizer, words)
        if disorder(pairs, self._seen_pairs, limits.usual_new) > limits.disorder:
            flags.append("disordered")
        if len(read) >= self._featurizer.max_tokens:  # The featurizer cut the rest.
            flags.append("over_long")
        return tuple(flags)


def prompt_runs(item: Item, featurizer: Featurizer) -> frozenset[int]:
    """Return hashes of every run of COPIED_RUN pieces of prompt and passage.

    The texts are read in windows, because a featurizer cuts long texts.  Hashes take less memory than the runs, which
    would be a megabyte for a long passage; two different runs practically never share a hash.
    """
    windows = []
    for text in (item.prompt, item.passage or ""):
        words = text.split()
        starts = range(0, len(words), WINDOW - COPIED_RUN)
        windows += [words[start : start + WINDOW] for start in starts]
    hashes: set[int] = set()
    for ids in featurizer.read([" ".join(window) for window in windows]):
        in_window = runs(ids[1:], COPIED_RUN)
        hashes.update(map(hash, in_window))
    return frozenset(hashes)


def read_pieces(featurizer: Featurizer, text: str) -> Ids:
    """Return the ids of a text's pieces without START, unknown signs included."""
    return featurizer.read([text])[0][1:]


def normalised(text: str) -> str:
    """Return letters and digits in lower case with one space between words; a text of signs only keeps its signs."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    without_apostrophes = folded.replace("'", "").replace("’", "")
    words = re.findall(r"[^\W_]+", without_apostrophes)
    return " ".join(words) or folded.strip()


def surprise(pieces: Pieces, log_frequency: Sequence[float], usual: float) -> float:
    """Return how much rarer the pieces are than usual: (mean of -log frequency - usual) · √(number of pieces).

    The root weighs the difference as a standard error of a mean does: a small difference in a long response says as
    much as a large difference in a short response.  `log_frequency` has the shape (vocabulary,) or is empty.
    """
    if not pieces or not log_frequency:
        return 0.0
    total = -sum([log_frequency[piece] for piece in pieces])
    return (total / len(pieces) - usual) * sqrt(len(pieces))


def without_signs(featurizer: Featurizer, pieces: Pieces) -> Ids:
    """Return the pieces that have a letter or a digit."""
    signs = featurizer.signs
    return [piece for piece in pieces if not signs[piece]]


def neighbours(featurizer: Featurizer, words: Pieces) -> list[int]:
    """Return, for each two neighbouring words, the last piece of the first and the first piece of the second.

    Each pair is one number: last · vocabulary + first.  `words` holds pieces from `without_signs`.
    """
    begins, vocabulary = featurizer.begins, featurizer.vocabulary
    return [last * vocabulary + first for last, first in pairwise(words) if begins[first]]


def disorder(pairs: Pieces, seen_pairs: SeenPairs, usual: float) -> float:
    """Return how much larger than usual the share of new pairs is: (share - usual) · √(number of pairs).

    `pairs` are pairs of the response from `neighbours`, `seen_pairs` those of training responses, ascending or empty.
    """
    if not pairs or not len(seen_pairs):
        return 0.0
    codes = np.array(pairs)
    places = seen_pairs.searchsorted(codes)
    places[places == len(seen_pairs)] = 0
    new = np.count_nonzero(seen_pairs[places] != codes)
    more_than_usual = new / len(pairs) - usual
    return float(more_than_usual * sqrt(len(pairs)))


def packed(seen_pairs: SeenPairs) -> str:
    """Return ascending numbers as text: base64 of zlib of their differences, 4 bytes each."""
    differences = np.diff(seen_pairs, prepend=0).astype("<u4")
    compressed = zlib.compress(differences.tobytes(), 9)
    return base64.b64encode(compressed).decode()


def unpacked(text: str) -> SeenPairs:
    """Return the numbers that `packed` wrote.  Raises BadBundle for any other text."""
    try:
        reader = zlib.decompressobj()
        content = reader.decompress(base64.b64decode(text, validate=True), MAX_PACKED) if text else b""
        if text and not reader.eof:
            raise ValueError("too long or truncated")
        differences = np.frombuffer(content, "<u4").astype(np.int64)
        return np.cumsum(differences)
    except (ValueError, zlib.error) as error:
        raise BadBundle(f"limits.neighbours cannot be read: {error}", code="bad_limits", field="neighbours") from None


def letters(text: str) -> int:
    """Count the letters of any script."""
    return sum(map(str.isalpha, text))


def pieces_per_character(pieces: Pieces, text: str) -> float:
    """Return pieces per character, white space left out.

    A word from training is few pieces; an unknown word falls into many.
    """
    characters = sum(not character.isspace() for character in text)
    return len(pieces) / max(1, characters)


def repetition(pieces: Pieces) -> float:
    """Return the share of runs of REPEATED_RUN pieces that occurred before in the response."""
    count = len(pieces) - REPEATED_RUN + 1
    if count <= 0:
        return 0.0
    different = len(set(runs(pieces, REPEATED_RUN)))
    return 1 - different / count


def copied(pieces: Pieces, hashes: AbstractSet[int]) -> float:
    """Return the share of pieces inside runs of COPIED_RUN pieces whose hashes `prompt_runs` returned."""
    inside = end = 0
    for start, run in enumerate(runs(pieces, COPIED_RUN)):
        if hash(run) in hashes:
            inside += start + COPIED_RUN - max(start, end)
            end = start + COPIED_RUN
    return inside / len(pieces) if inside else 0.0


def runs(pieces: Pieces, length: int) -> Iterator[PieceRun]:
    """Return an iterator over every run of `length` consecutive pieces, in order."""
    shifted = [pieces[start:] for start in range(length)]
    return zip(*shifted, strict=False)
