"""Marked responses with a rater's feedback to the learner."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.scoring.errors import BadRows, BadText, RowError
from app.scoring.files.options import DEFAULT_OPTIONS, ReadOptions, is_missing
from app.scoring.item import Item
from app.scoring.row_files import read_rows
from app.scoring.text import is_blank
from training.common.cache import key_of
from training.data import find_file, read_data
from training.data.responses import MarkedResponse, row_id
from training.errors import TooFewRows, UnknownItems
from training.feedback.words import count_words

MIN_WORDS = 6  # shorter feedback is a bare verdict


@dataclass(frozen=True, slots=True)
class MarkedFeedback:
    """A response with its score and its feedback."""

    item: Item
    marked: MarkedResponse
    feedback: str


@dataclass(frozen=True, slots=True)
class FeedbackData:
    """All rows with feedback."""

    train: tuple[MarkedFeedback, ...]
    dev: tuple[MarkedFeedback, ...]
    notes: tuple[str, ...] = ()  # on detected formats and the like, for a person

    @property
    def items(self) -> tuple[Item, ...]:
        """The items with feedback, in the order of their first row."""
        items = {row.item.item_id: row.item for row in self.train}
        return tuple(items.values())

    @property
    def train_sha256(self) -> str:
        """A hash of the training rows."""
        return _sha256(self.train)

    @property
    def sha256(self) -> str:
        """A hash of all rows."""
        return key_of(self.train_sha256, _sha256(self.dev))


def _sha256(rows: Sequence[MarkedFeedback]) -> str:
    return key_of([(row.item.model_dump_json(), repr(row.marked), row.feedback) for row in rows])


def read_feedback(folder: Path, item_ids: Sequence[str], reading: ReadOptions = DEFAULT_OPTIONS) -> FeedbackData:
    """Return the rows with a score and feedback, of the named items or of all items.

    Rows with a blank response are left out: a model gives blank responses no feedback.  Raises BadRows, UnknownItems,
    and TooFewRows if no training row has feedback.
    """
    read = read_data(folder, reading)
    train = _with_feedback(folder, "train", read.train, read.items, reading)
    dev = _with_feedback(folder, "dev", read.dev, read.items, reading)
    if unknown := sorted(set(item_ids) - set(read.items)):
        raise UnknownItems(f"{folder} has no item {', '.join(unknown)}", folder=folder, items=unknown)
    chosen = set(item_ids or read.items)
    known = tuple(row for row in train if row.item.item_id in chosen)
    if not known:
        raise TooFewRows(
            f"train in {folder} has no feedback on these items: fill its column `feedback`",
            code="no_feedback",
            folder=folder,
        )
    return FeedbackData(known, tuple(row for row in dev if row.item.item_id in chosen), read.notes)


def _with_feedback(
    folder: Path, part: str, marked: Sequence[MarkedResponse], items: dict[str, Item], reading: ReadOptions
) -> list[MarkedFeedback]:
    file = find_file(folder, part)
    texts: dict[str, str] = {}
    errors: list[RowError] = []
    for row in read_rows(file, reading) if file else ():
        if is_missing(row.fields.get("feedback")):
            continue
        try:
            texts[row_id(row)] = row.text("feedback").strip()
        except BadText as error:
            errors.append(row.error_of(error))
    if errors:
        raise BadRows(errors)
    rows = [row for row in marked if texts.get(row.id) and not is_blank(row.text)]
    return [MarkedFeedback(items[row.item_id], row, texts[row.id]) for row in rows]


def says_more(rows: Sequence[MarkedFeedback], known: Sequence[MarkedFeedback]) -> list[bool]:
    """Return for each row whether its feedback is more than a bare verdict.

    Feedback that raters gave word for word on several responses to an item is about none of them.
    """
    distinct = {id(row): row for row in (*known, *rows)}
    counts = Counter((row.item.item_id, row.feedback) for row in distinct.values())
    unique = [counts[row.item.item_id, row.feedback] == 1 for row in rows]
    return [is_unique and count_words(row.feedback) >= MIN_WORDS for row, is_unique in zip(rows, unique, strict=True)]
