"""GET /predictions and /predictions/{id}: the log.  POST /predictions/{id}/review: a human mark."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from app.api.auth import ReadingCaller, ReviewCaller
from app.api.fast_route import body_of, read_body
from app.api.problems import UnknownPrediction, documented
from app.api.schemas import LoggedReply, LogPage, Reference, ReviewRequest
from app.api.state import State, StateDep
from app.scoring.decision import Decision
from app.scoring.item import Name
from app.service.feedback.writer import START
from app.service.review import add_mark
from app.storage import queries
from app.storage.api_keys import Scope
from app.storage.tables import LoggedPrediction
from app.storage.timeouts import in_thread

router = APIRouter(tags=["predictions"])


def _overdue(state: State) -> timedelta:
    """After which a text that is still pending was lost with a process that ended."""
    settings = state["settings"]
    return timedelta(seconds=(settings.feedback_timeout + START) * (settings.feedback_queue + 1))


@router.get("/predictions/{prediction_id}", responses=documented(401, 403, 404, 422, 503))
async def prediction(prediction_id: UUID, caller: ReadingCaller, state: StateDep) -> LoggedReply:
    """One prediction: any with the scope review, the key's own with the scope score."""

    def read() -> LoggedReply:
        with Session(state["engine"]) as session:
            row = queries.find(session, str(prediction_id))
            if row is None or not (Scope.REVIEW in caller.scopes or row.key_id == caller.key_id):
                raise _unknown(prediction_id)  # another key's is not told from none
            return _replies(session, [row], state)[0]

    return await in_thread(read, seconds=state["waits"].database)


@router.post(
    "/predictions/{prediction_id}/review",
    status_code=201,
    responses=documented(400, 401, 403, 404, 413, 415, 422, 503),
    openapi_extra=body_of(ReviewRequest),
)
async def review(prediction_id: UUID, request: Request, caller: ReviewCaller, state: StateDep) -> LoggedReply:
    """A human mark.  It always wins; the machine's score and earlier marks are kept beside it."""
    body = await read_body(request, ReviewRequest)  # here: FastAPI would read it of callers without a key too

    def write() -> LoggedReply:
        with Session(state["engine"]) as session:
            row = queries.find(session, str(prediction_id))
            if row is None:
                raise _unknown(prediction_id)
            add_mark(session, row, body.mark(), caller.key_id)
            session.commit()
            return _replies(session, [row], state)[0]

    return await in_thread(write, seconds=state["waits"].database)


class LogQuery(BaseModel):
    """What of the log is wanted.  A name that is none of these is refused: else all rows would come for it."""

    model_config = ConfigDict(extra="forbid")

    item_id: Name | None = None
    decision: list[Decision] | None = Field(default=None, description="May be repeated: one of these.")
    marked: bool | None = Field(default=None, description="By a person, or not yet.")
    learner_hash: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="As predictions show it.")
    attempt_id: Reference | None = Field(default=None, description="The caller's own reference.")
    cursor: UUID | None = Field(default=None, description="`next` of the page before.")
    limit: int = Field(default=50, ge=1, le=500)


@router.get("/predictions", responses=documented(401, 403, 422, 503))
async def log(_: ReviewCaller, state: StateDep, wanted: Annotated[LogQuery, Query()]) -> LogPage:
    """The log, newest first."""

    def read() -> LogPage:
        with Session(state["engine"]) as session:
            rows = queries.page(
                session,
                before=str(wanted.cursor) if wanted.cursor else None,
                limit=wanted.limit + 1,
                item_id=wanted.item_id,
                decisions=wanted.decision,
                marked=wanted.marked,
                learner_hash=wanted.learner_hash,
                attempt_id=wanted.attempt_id,
            )
            shown = rows[: wanted.limit]
            more = shown[-1].prediction_id if len(rows) > wanted.limit else None
            return LogPage(predictions=_replies(session, shown, state), next=more)

    return await in_thread(read, seconds=state["waits"].database)


def _unknown(prediction_id: UUID) -> UnknownPrediction:
    return UnknownPrediction(f"no prediction {prediction_id}", prediction_id=str(prediction_id))


def _replies(session: Session, rows: Sequence[LoggedPrediction], state: State) -> list[LoggedReply]:
    overdue = _overdue(state)
    return [
        LoggedReply.of(row, follow_up, overdue)
        for row, follow_up in zip(rows, queries.follow_ups(session, rows), strict=True)
    ]
