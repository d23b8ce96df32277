"""Find the human mark that stands for an attempt.

An attempt is all predictions for one caller, item and attempt_id.  The newest mark on any of them stands for all.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, exists, func, select
from sqlalchemy.orm import Session

from app.storage.tables import HumanMark, LoggedPrediction

MARKED_BEFORE = "marked_before"
MAX_ATTEMPTS = 500  # in one query: databases take a few thousand parameters
ValueT = TypeVar("ValueT")
LogRow = dict[str, Any]  # every column of LoggedPrediction by name


class Attempt(NamedTuple):
    """A caller's attempt_id for an item."""

    key_id: str | None  # the first key of the caller's chain of rotations; None: the service was open
    item_id: str
    attempt_id: str


class StandingMark(NamedTuple):
    """A mark that stands, and the prediction it was given on."""

    mark: HumanMark
    on: LoggedPrediction


def attempt_of(row: LoggedPrediction | LogRow) -> Attempt | None:
    """Return the attempt of a prediction, or None if the caller sent no attempt_id."""
    if isinstance(row, dict):
        key_id, item_id, attempt_id = row["key_id"], row["item_id"], row["attempt_id"]
    else:
        key_id, item_id, attempt_id = row.key_id, row.item_id, row.attempt_id
    return None if attempt_id is None else Attempt(key_id, item_id, attempt_id)


def as_marked(connection: Connection, calls: Sequence[Sequence[LogRow]]) -> list[list[LogRow]]:
    """Return the rows of each call, those of marked attempts changed to need a review.

    Calls without attempts run no query.
    """
    attempts = _attempts_of(chain.from_iterable(calls))
    if not attempts:
        return [list(rows) for rows in calls]
    marked = _marked(connection, attempts)

    def reviewed_if_marked(row: LogRow) -> LogRow:
        return _for_review(row) if attempt_of(row) in marked else row

    return [list(map(reviewed_if_marked, rows)) for rows in calls]


def standing(session: Session, rows: Sequence[LoggedPrediction]) -> dict[Attempt, StandingMark]:
    """Return the newest mark on each attempt of the rows that has a mark."""
    newest: list[str] = []
    for conditions in _conditions(_attempts_of(rows)):
        query = select(func.max(HumanMark.id)).join(LoggedPrediction).where(*conditions)
        newest += session.scalars(query.group_by(LoggedPrediction.item_id, LoggedPrediction.attempt_id))
    marks: dict[Attempt, StandingMark] = {}
    for ids in _chunks(newest):
        marked = select(HumanMark, LoggedPrediction).join(LoggedPrediction).where(HumanMark.id.in_(ids))
        for mark, prediction in session.execute(marked):
            if (attempt := attempt_of(prediction)) is not None:
                marks[attempt] = StandingMark(mark, prediction)
    return marks


def newest_mark(session: Session, row: LoggedPrediction) -> str | None:
    """Return the id of the newest mark on a prediction or on another of its attempt."""
    query, attempt = select(func.max(HumanMark.id)), attempt_of(row)
    if attempt is None:
        return session.scalar(query.where(HumanMark.prediction_id == row.prediction_id))
    [conditions] = _conditions([attempt])
    return session.scalar(query.join(LoggedPrediction).where(*conditions))


def _attempts_of(rows: Iterable[LoggedPrediction | LogRow]) -> set[Attempt]:
    attempts = map(attempt_of, rows)
    return {attempt for attempt in attempts if attempt is not None}


def _marked(connection: Connection, attempts: Iterable[Attempt]) -> set[Attempt]:
    marked: set[Attempt] = set()
    has_mark = exists().where(HumanMark.prediction_id == LoggedPrediction.prediction_id)
    columns = (LoggedPrediction.key_id, LoggedPrediction.item_id, LoggedPrediction.attempt_id)
    for conditions in _conditions(attempts):
        query = select(*columns).where(*conditions, has_mark).distinct()
        for key_id, item_id, attempt_id in connection.execute(query):
            if attempt_id is not None:
                marked.add(Attempt(key_id, item_id, attempt_id))
    return marked


def _conditions(attempts: Iterable[Attempt]) -> Iterator[tuple[ColumnElement[bool], ...]]:
    """Yield conditions that together select the predictions of the attempts, at one query a caller.

    The conditions may select more, such as the attempt_id of one attempt with the item of another.
    """
    by_caller: Mapping[str | None, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_caller[attempt.key_id].append(attempt)
    for key_id, attempts_of_caller in by_caller.items():
        for chunk in _chunks(attempts_of_caller):
            yield (
                LoggedPrediction.key_id == key_id,
                LoggedPrediction.item_id.in_({attempt.item_id for attempt in chunk}),
                LoggedPrediction.attempt_id.in_({attempt.attempt_id for attempt in chunk}),
            )


def _chunks(values: Sequence[ValueT]) -> Iterator[Sequence[ValueT]]:
    for start in range(0, len(values), MAX_ATTEMPTS):
        yield values[start : start + MAX_ATTEMPTS]


def _for_review(row: LogRow) -> LogRow:
    flags = [*row["flags"], MARKED_BEFORE]
    decision = "review" if row["decision"] == "auto" else row["decision"]
    return row | {"decision": decision, "flags": flags}
