"""Attempts: the predictions that one caller had of one item under one attempt_id.  The newest human mark on any of them
stands for all.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, exists, func, select
from sqlalchemy.orm import Session

from app.storage.tables import HumanMark, LoggedPrediction

MARKED_BEFORE = "marked_before"
MOST_NAMED = 500  # attempts in one query: databases take a few thousand parameters
T = TypeVar("T")
LogRow = dict[str, Any]  # every column of LoggedPrediction by name


class Attempt(NamedTuple):
    key_id: str | None  # the first key of the caller's line; None: the service was open
    item_id: str
    attempt_id: str


class StandingMark(NamedTuple):
    """A mark that stands, and the prediction that it was given on."""

    mark: HumanMark
    on: LoggedPrediction


def attempt_of(row: LoggedPrediction | LogRow) -> Attempt | None:
    """Return the attempt of a prediction whose caller named one."""
    of = row.__getitem__ if isinstance(row, dict) else lambda name: getattr(row, name)
    return None if of("attempt_id") is None else Attempt(of("key_id"), of("item_id"), of("attempt_id"))


def as_marked(connection: Connection, calls: Sequence[Sequence[LogRow]]) -> list[list[LogRow]]:
    """Return the rows of calls as they are to be written: those of marked attempts are for a person, and say so.

    A call that names no attempt costs nothing.
    """
    named = {attempt for rows in calls for row in rows if (attempt := attempt_of(row)) is not None}
    marked = _marked(connection, named)
    return [[_for_a_person(row) if attempt_of(row) in marked else row for row in rows] for rows in calls]


def standing(session: Session, rows: Sequence[LoggedPrediction]) -> dict[Attempt, StandingMark]:
    """Return the newest mark on each attempt of the rows that has one."""
    named = {attempt for row in rows if (attempt := attempt_of(row)) is not None}
    newest = [
        mark_id
        for where in _conditions(named)
        for mark_id in session.scalars(
            select(func.max(HumanMark.id))
            .join(LoggedPrediction)
            .where(*where)
            .group_by(LoggedPrediction.item_id, LoggedPrediction.attempt_id)
        )
    ]
    found: dict[Attempt, StandingMark] = {}
    for ids in _parts(newest):
        query = select(HumanMark, LoggedPrediction).join(LoggedPrediction).where(HumanMark.id.in_(ids))
        for mark, on in session.execute(query):
            if (attempt := attempt_of(on)) is not None:
                found[attempt] = StandingMark(mark, on)
    return found


def newest_mark(session: Session, row: LoggedPrediction) -> str | None:
    """Return the id of the newest mark on a prediction, or on another of its attempt."""
    query, attempt = select(func.max(HumanMark.id)), attempt_of(row)
    if attempt is None:
        return session.scalar(query.where(HumanMark.prediction_id == row.prediction_id))
    [where] = _conditions([attempt])
    return session.scalar(query.join(LoggedPrediction).where(*where))


def _marked(connection: Connection, named: Iterable[Attempt]) -> set[Attempt]:
    marked: set[Attempt] = set()
    has_mark = exists().where(HumanMark.prediction_id == LoggedPrediction.prediction_id)
    columns = (LoggedPrediction.key_id, LoggedPrediction.item_id, LoggedPrediction.attempt_id)
    for where in _conditions(named):
        query = select(*columns).where(*where, has_mark).distinct()
        marked.update(
            Attempt(key_id, item_id, attempt_id)
            for key_id, item_id, attempt_id in connection.execute(query)
            if attempt_id is not None
        )
    return marked


def _conditions(named: Iterable[Attempt]) -> Iterator[tuple[ColumnElement[bool], ...]]:
    """Yield conditions on predictions that together hold for those of the attempts.

    Of several attempts they may hold for more: for one's attempt_id with another's item.  A query a caller is made, not
    one an item.
    """
    of_caller: Mapping[str | None, list[Attempt]] = defaultdict(list)
    for attempt in named:
        of_caller[attempt.key_id].append(attempt)
    for key_id, attempts in of_caller.items():
        for some in _parts(attempts):
            yield (
                LoggedPrediction.key_id == key_id,
                LoggedPrediction.item_id.in_({attempt.item_id for attempt in some}),
                LoggedPrediction.attempt_id.in_({attempt.attempt_id for attempt in some}),
            )


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), MOST_NAMED):
        yield values[start : start + MOST_NAMED]


def _for_a_person(row: LogRow) -> LogRow:
    decision = "review" if row["decision"] == "auto" else row["decision"]
    return row | {"decision": decision, "flags": [*row["flags"], MARKED_BEFORE]}
