"""The use case: a person marks a response.  The machine's score is kept beside the mark."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from app.scoring.errors import BadMark
from app.scoring.scale import Scale
from app.storage.attempts import newest_mark
from app.storage.ids import uuid7
from app.storage.tables import HumanMark, LoggedPrediction


@dataclass(frozen=True, slots=True)
class Mark:
    """A score or a label that a person gives."""

    score: float | None
    label: str | None
    reviewer: str
    reason: str | None


def add_mark(session: Session, row: LoggedPrediction, mark: Mark, key_id: str | None) -> HumanMark:
    """Add a mark on the scale that the response was scored on, even if the item has changed since.  Raises BadMark."""
    if row.scale is None:
        raise BadMark(
            f"prediction {row.prediction_id} was logged without its scale: score the response again, and mark that",
            code="no_scale_kept",
            prediction_id=row.prediction_id,
        )
    scale = Scale(**row.scale)
    value = scale.value(mark.score, mark.label)
    human_mark = HumanMark(
        id=uuid7(
            after=newest_mark(session, row)
        ),  # the newest mark stands, so a clock set back must not make an older id
        prediction_id=row.prediction_id,
        marked_at=datetime.now(UTC),
        key_id=key_id,
        reviewer=mark.reviewer,
        reason=mark.reason,
        score=scale.score(value),
        label=scale.label(value),
        gradebook_score=scale.gradebook_score(value, row.gradebook_max),
    )
    session.add(human_mark)
    return human_mark
