"""Why no model may score a response (a condition), and why a person should look at its score (flags).

Each is a small pure function of the response; its limit stands in the bundle, learnt from the item's own responses
(training/conditions.py).  They read pieces of words, as the student does, so no language is assumed.
"""

import base64
import re
import unicodedata
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from app.scoring.errors import BadBundle
from app.scoring.featurizer import Featurizer, Ids
from app.scoring.item import Item
from app.scoring.text import is_blank

Condition = Literal["blank", "refusal", "too_short", "unreadable", "repetition"]
Flag = Literal["copied", "off_topic", "disordered", "over_long"]
Pieces = NDArray[np.int64]
Runs = NDArray[np.uint64]  # pieces in a row, as numbers
COPIED_RUN = 10  # pieces in a row that count as copied: some seven words
WINDOW = 40  # words of what was given that are read at a time
MAX_PACKED = 8 * 2**20  # bytes
FACTORS = np.random.default_rng(0).integers(2**64, size=COPIED_RUN, dtype=np.uint64) | np.uint64(1)  # odd: none is lost
REPEATED_RUN = 4  # pieces in a row whose return counts as repetition


class Limits(BaseModel):
    """As they are by default nothing but a blank response is held back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    refusals: tuple[str, ...] = Field(default=(), description="Normalised responses that say no more than `idk`.")
    min_pieces: int = Field(default=1, ge=1, description="Shorter ones were never given more than the lowest score.")
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
class Finding:
    condition: Condition | None = None
    flags: tuple[Flag, ...] = ()


class Examiner:
    """Looks at responses to one item before its student does."""

    def __init__(self, limits: Limits, item: Item, featurizer: Featurizer) -> None:
        self._limits = limits
        self._featurizer = featurizer
        self._log_frequency = np.array(limits.log_frequency)
        if len(limits.log_frequency) not in (0, featurizer.vocabulary):
            raise BadBundle("limits.log_frequency has not one number for each piece of the tokenizer")
        self._refusals = frozenset(limits.refusals)
        self._longest_refusal = max(map(len, limits.refusals), default=-1)
        self._neighbours = unpacked(limits.neighbours)
        self._given = given(item, featurizer)

    def examine(self, response: str, read: Ids) -> Finding:
        """The first condition that holds; without one all flags that do.  `read`: the response as the featurizer has
        read it.
        """
        if is_blank(response):
            return Finding("blank")
        limits, own = self._limits, np.array(read[1:], np.int64)
        if self._may_refuse(own) and normalised(response) in self._refusals:
            return Finding("refusal")
        if len(own) < limits.min_pieces:
            return Finding("too_short")
        surprising = surprise(own, self._log_frequency, limits.usual) > limits.surprise
        if surprising and density(own, response) > limits.pieces_per_character:
            return Finding("unreadable")
        if repetition(own) > limits.repetition:
            return Finding("repetition")
        found: dict[Flag, bool] = {
            "copied": copied(own, self._given) > limits.copied,
            "off_topic": surprising,
            "disordered": disorder(neighbours(self._featurizer, own), self._neighbours, limits.usual_new)
            > limits.disorder,
            "over_long": len(own) + 1 >= self._featurizer.max_tokens,  # the rest is cut; START is one
        }
        return Finding(flags=tuple(name for name, holds in found.items() if holds))

    def _may_refuse(self, own: Pieces) -> bool:
        """Whether it is short enough to be looked at: each piece that is no sign has a letter or digit of its own."""
        return len(own) - int(np.count_nonzero(self._featurizer.signs[own])) <= self._longest_refusal


def given(item: Item, featurizer: Featurizer) -> Runs:
    """Every run of COPIED_RUN pieces of prompt and passage, read in windows: a featurizer cuts long texts."""
    windows = [
        " ".join(words[start : start + WINDOW])
        for words in (item.prompt.split(), (item.passage or "").split())
        for start in range(0, len(words), WINDOW - COPIED_RUN)
    ]
    read = [_in_order(np.array(ids[1:], np.int64), COPIED_RUN) for ids in featurizer.read(windows)]
    return np.unique(np.concatenate(read)) if read else np.zeros(0, np.uint64)


def pieces(featurizer: Featurizer, text: str) -> Pieces:
    """(pieces,), without START; unknown signs are pieces too."""
    return np.array(featurizer.read([text])[0][1:], np.int64)


def normalised(text: str) -> str:
    """Letters and digits in lower case, the words one space apart; signs alone stay as they are."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = re.findall(r"[^\W_]+", folded.replace("'", "").replace("’", ""))
    return " ".join(words) or folded.strip()


def surprise(own: Pieces, log_frequency: NDArray[np.float64], usual: float) -> float:
    """How much rarer the pieces are than usual, by the square root of their number: of a long response a small
    difference in the mean says as much as a large one of a short response (as standard errors of means do).
    """
    if not len(own) or not len(log_frequency):
        return 0.0
    return float((-log_frequency[own].mean() - usual) * np.sqrt(len(own)))


def neighbours(featurizer: Featurizer, own: Pieces) -> Pieces:
    """The last piece of each word with the first of the next, as one number; signs are passed over."""
    words = own[~featurizer.signs[own]]
    begins = featurizer.begins[words[1:]]
    return np.asarray(words[:-1][begins] * featurizer.vocabulary + words[1:][begins], np.int64)


def disorder(own: Pieces, seen: Pieces, usual: float) -> float:
    """How much larger the share of neighbours never seen is than usual, by the square root of their number."""
    if not len(own) or not len(seen):
        return 0.0
    return float((1 - np.mean(_has(seen, own)) - usual) * np.sqrt(len(own)))


def packed(seen: Pieces) -> str:
    """Ascending numbers as text: base64 of zlib of the differences, 4 bytes each."""
    return base64.b64encode(zlib.compress(np.diff(seen, prepend=0).astype("<u4").tobytes(), 9)).decode()


def unpacked(text: str) -> Pieces:
    """Raises BadBundle for what `packed` never wrote."""
    try:
        reader = zlib.decompressobj()
        content = reader.decompress(base64.b64decode(text, validate=True), MAX_PACKED) if text else b""
        if text and not reader.eof:
            raise ValueError("too long, or cut")
        return np.cumsum(np.frombuffer(content, "<u4").astype(np.int64))
    except (ValueError, zlib.error) as error:
        raise BadBundle(f"limits.neighbours cannot be read: {error}") from None


def density(own: Pieces, text: str) -> float:
    """Pieces per character that is not white space: words that were seen are few pieces, others fall into letters."""
    return len(own) / max(1, sum(not character.isspace() for character in text))


def repetition(own: Pieces) -> float:
    """Share of runs of REPEATED_RUN pieces that stood before."""
    count = len(own) - REPEATED_RUN + 1
    return 1 - len(runs(own, REPEATED_RUN)) / count if count > 0 else 0.0


def copied(own: Pieces, given: Runs) -> float:
    """Share of the pieces that stand in runs of COPIED_RUN which what was given has too."""
    found = _in_order(own, COPIED_RUN)
    if not len(found) or not len(given):
        return 0.0
    inside = np.zeros(len(own), bool)
    for start in np.flatnonzero(_has(given, found)).tolist():
        inside[start : start + COPIED_RUN] = True
    return float(inside.mean())


def runs(own: Pieces, length: int) -> Runs:
    """Every run of that length, once, ascending."""
    return np.unique(_in_order(own, length))


def _in_order(own: Pieces, length: int) -> Runs:
    """(runs,): each as one number, Σ piece·factor modulo 2^64, which two that differ as good as never share."""
    if len(own) < length:
        return np.zeros(0, np.uint64)
    return np.asarray(sliding_window_view(own.astype(np.uint64), length) @ FACTORS[:length])


def _has(ascending: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of those wanted are among the others, of which there is one at least."""
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.asarray(ascending[places] == wanted)
