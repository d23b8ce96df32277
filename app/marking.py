"""The use case: a person gives a response its score.  What the machine gave is kept beside it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.scoring.errors import BadMark
from app.scoring.registry import Registry
from app.storage.ids import uuid7
from app.storage.tables import HumanMark, LoggedPrediction


@dataclass(frozen=True, slots=True)
class Mark:
    """A score, or a label, as a person gives it."""

    score: float | None
    label: str | None
    reviewer: str
    reason: str | None


def add_mark(session: Session, registry: Registry, row: LoggedPrediction, mark: Mark, key_id: str | None) -> HumanMark:
    """Raises BadMark for what the item's scale does not have, or where that is not the scale that the response was
    scored on; UnknownItem or ItemNotReady without the item.
    """
    item = registry.get(row.item_id).bundle.item
    if row.max_score != item.top_score or not (row.label is None or row.label in (item.labels or ())):
        raise BadMark(f"item {row.item_id!r} has another scale now than when this response was scored")
    value = item.value(mark.score, mark.label)
    newest = session.scalar(select(func.max(HumanMark.id)).where(HumanMark.prediction_id == row.prediction_id))
    made = HumanMark(
        id=uuid7(after=newest),  # the newest counts, whatever the clock of this machine says
        prediction_id=row.prediction_id,
        marked_at=datetime.now(UTC),
        key_id=key_id,
        reviewer=mark.reviewer,
        reason=mark.reason,
        score=item.score(value),
        label=item.label(value),
        gradebook_score=item.gradebook_score(value, row.gradebook_max),
    )
    session.add(made)
    return made
