"""Marked responses with what a rater wrote to the learner."""

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

FEW_WORDS = 6  # fewer say no more than a verdict


@dataclass(frozen=True, slots=True)
class MarkedFeedback:
    """What one learner wrote, got, and was told."""

    item: Item
    marked: MarkedResponse
    feedback: str


@dataclass(frozen=True, slots=True)
class FeedbackData:
    train: tuple[MarkedFeedback, ...]
    dev: tuple[MarkedFeedback, ...]
    notes: tuple[str, ...] = ()  # what the reading found out, for a person

    @property
    def items(self) -> tuple[Item, ...]:
        """Those there is feedback on, in the order of their first row."""
        return tuple({row.item.item_id: row.item for row in self.train}.values())

    @property
    def train_sha256(self) -> str:
        return _sha256(self.train)

    @property
    def sha256(self) -> str:
        return key_of(self.train_sha256, _sha256(self.dev))


def _sha256(rows: Sequence[MarkedFeedback]) -> str:
    return key_of([(row.item.model_dump_json(), repr(row.marked), row.feedback) for row in rows])


def read_feedback(folder: Path, item_ids: Sequence[str], reading: ReadOptions = DEFAULT_OPTIONS) -> FeedbackData:
    """Rows with a score and feedback, of the items named or of all.  Blank responses get no feedback from a model.

    Raises BadRows, UnknownItems, and TooFewRows where there is none to learn from.
    """
    read = read_data(folder, reading)
    train, dev = (
        _told(folder, part, rows, read.items, reading) for part, rows in (("train", read.train), ("dev", read.dev))
    )
    if unknown := sorted(set(item_ids) - set(read.items)):
        raise UnknownItems(f"no such item in {folder}: {', '.join(unknown)}", folder=folder, items=unknown)
    wanted = set(item_ids or read.items)
    known = tuple(row for row in train if row.item.item_id in wanted)
    if not known:
        raise TooFewRows(
            f"no rows with feedback to learn from in {folder}: fill the column `feedback` of train",
            code="no_feedback",
            folder=folder,
        )
    return FeedbackData(known, tuple(row for row in dev if row.item.item_id in wanted), read.notes)


def _told(
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
    return [
        MarkedFeedback(items[m.item_id], m, texts[m.id]) for m in marked if texts.get(m.id) and not is_blank(m.text)
    ]


def says_more(rows: Sequence[MarkedFeedback], known: Sequence[MarkedFeedback]) -> list[bool]:
    """For each row whether its feedback is more than a bare verdict.

    What raters wrote under several responses to an item, word for word, says nothing of any one of them.
    """
    written = Counter((row.item.item_id, row.feedback) for row in {id(row): row for row in (*known, *rows)}.values())
    return [written[row.item.item_id, row.feedback] == 1 and count_words(row.feedback) >= FEW_WORDS for row in rows]
