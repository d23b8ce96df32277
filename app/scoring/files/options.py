"""Options for reading files, known names of columns, and words for missing values."""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Delimiter = Literal[",", ";", "tab", "|"]
Decimal = Literal[".", ","]
SCORES = ("score", "score_1", "score_2")
KNOWN_COLUMNS = frozenset({"id", "item_id", "response", "label", "learner_id", "feedback", "verdict", *SCORES})
GROUP = "group_"
# Words that pandas, R and spreadsheets write for missing values.  Other spellings count as values: `none` and `na` may
# name a group or a learner.
MISSING = frozenset(
    {"", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "NAN", "null", "NULL", "Null", "None"}
)
_WHOLE_NUMBER = re.compile(r"(-?\d+)\.0+", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options for reading a file.  Without a delimiter or a decimal sign, the reader detects it."""

    delimiter: Delimiter | None = None
    decimal: Decimal | None = None
    keep_na: bool = False  # In `group_*`, a word of MISSING is the name of a group: NA is Namibia.
    score_column: str = ""  # column with the human score or label, instead of `score` and `label`

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Return the names of the columns with numbers."""
        return (*SCORES, self.score_column) if self.score_column else SCORES

    def human(self, fields: Mapping[str, Any], *, labelled: bool) -> str:
        """Return the column with the human score or label of a row.  The labels of `input_score` are `input_label`."""
        if not self.score_column:
            return "label" if labelled else "score"
        of_labels = re.sub("score$", "label", self.score_column)
        return of_labels if labelled and of_labels in fields else self.score_column


class JsonNumber(float):
    """A number of a JSON file that keeps its spelling, so that the label 0.50 stays the text 0.50."""

    def __new__(cls, text: str) -> "JsonNumber":
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str

    def __str__(self) -> str:
        return self.text


DEFAULT_OPTIONS = ReadOptions()


def is_known_column(name: str) -> bool:
    """Return whether scorelet interprets columns of this name."""
    return name in KNOWN_COLUMNS or name.startswith(GROUP)


def is_missing(value: object, *, words: bool = True) -> bool:
    """Return whether a field is empty, NaN, or (with `words`) a word of MISSING.  Not for texts of responses."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str) and (value.strip() in MISSING if words else not value.strip())


def as_shown(value: object) -> str:
    """Return a value as the text that a file shows: the number 12.0 of a spreadsheet is 12."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not isinstance(value, JsonNumber) and math.isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
    return str(value)


def plain_name(value: object) -> str:
    """Return a label or a learner's id without differences of spelling: case, spaces, 12 and 12.0."""
    folded = unicodedata.normalize("NFKC", as_shown(value)).casefold()
    text = " ".join(folded.split())
    whole = _WHOLE_NUMBER.fullmatch(text)
    return whole[1] if whole else text
