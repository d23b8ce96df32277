"""GET /predictions and /predictions/{id}: the log."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy.orm import Session

from app.api.access import ReadingCaller, ReviewCaller
from app.api.bodies import LoggedReply, LogPage
from app.api.problems import UnknownPrediction, documented
from app.api.state import State, StateDep
from app.scoring.item import Name
from app.scoring.judgement import Decision
from app.storage import predictions
from app.storage.keys import Scope

router = APIRouter(tags=["predictions"])


def get_session(state: StateDep) -> Iterator[Session]:
    """For reading only."""
    with Session(state["engine"]) as session:
        yield session


def _overdue(state: State) -> timedelta:
    """After which a text that is still pending was lost with a process that ended."""
    settings = state["settings"]
    return timedelta(seconds=settings.feedback_timeout * settings.feedback_queue)


SessionDep = Annotated[Session, Depends(get_session, scope="function")]


@router.get("/predictions/{prediction_id}", responses=documented(401, 403, 404, 422, 503))
def prediction(prediction_id: UUID, caller: ReadingCaller, session: SessionDep, state: StateDep) -> LoggedReply:
    """One prediction: any with the scope review, the key's own with the scope score."""
    row = predictions.find(session, str(prediction_id))
    if row is None or not (Scope.REVIEW in caller.scopes or row.key_id == caller.key_id):
        raise UnknownPrediction(f"no prediction {prediction_id}")  # another key's is not told from none
    return LoggedReply.of(row, predictions.feedback_on(session, [row]).get(row.prediction_id), _overdue(state))


@router.get("/predictions", responses=documented(401, 403, 422, 503))
def log(
    _: ReviewCaller,
    session: SessionDep,
    state: StateDep,
    item_id: Annotated[Name | None, Query()] = None,
    decision: Decision | None = None,
    cursor: Annotated[UUID | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> LogPage:
    """The log, newest first."""
    rows = predictions.page(
        session, before=str(cursor) if cursor else None, limit=limit + 1, item_id=item_id, decision=decision
    )
    shown = rows[:limit]
    later, overdue = predictions.feedback_on(session, shown), _overdue(state)
    return LogPage(
        predictions=[LoggedReply.of(row, later.get(row.prediction_id), overdue) for row in shown],
        next=shown[-1].prediction_id if len(rows) > limit else None,
    )
