"""Route GET /predictions and GET /predictions/{id} (the log), and POST /predictions/{id}/review (a human mark)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from app.api.auth import ReadingCaller, ReviewCaller
from app.api.fast_route import body_of, read_body
from app.api.problems import UnknownPrediction, documented
from app.api.schemas import LoggedReply, LogPage, Reference, ReviewRequest
from app.api.state import State, StateDep
from app.scoring.decision import Decision
from app.scoring.item import Name
from app.service.feedback.writer import START_TIMEOUT
from app.service.review import add_mark
from app.storage import queries
from app.storage.api_keys import Scope
from app.storage.tables import LoggedPrediction
from app.storage.timeouts import in_thread

router = APIRouter(tags=["predictions"])
PredictionId = Annotated[UUID, Path(description="The `prediction_id` of a scored response.")]


def _longest_wait(state: State) -> timedelta:
    """Return the age at which pending feedback counts as lost, with a process that ended."""
    settings = state["settings"]
    return timedelta(seconds=(settings.feedback_timeout + START_TIMEOUT) * (settings.feedback_queue + 1))


@router.get(
    "/predictions/{prediction_id}",
    summary="Read a prediction",
    response_description="The prediction with its human marks, feedback and final score.",
    responses=documented(401, 403, 404, 422, 503),
)
async def prediction(prediction_id: PredictionId, caller: ReadingCaller, state: StateDep) -> LoggedReply:
    """Read one prediction with its human marks, feedback and final score.

    The scope `review` reads every prediction, and the scope `score` the key's own.
    """

    def read() -> LoggedReply:
        with Session(state["engine"]) as session:
            row = queries.find(session, str(prediction_id))
            # A key must not learn whether a prediction of another key exists.
            if row is None or not (Scope.REVIEW in caller.scopes or row.key_id == caller.key_id):
                raise _unknown(prediction_id)
            return _replies(session, [row], state)[0]

    return await in_thread(read, seconds=state["time_limits"].database)


@router.post(
    "/predictions/{prediction_id}/review",
    status_code=201,
    summary="Record a human mark",
    response_description="The prediction with the new mark.",
    responses=documented(400, 401, 403, 404, 413, 415, 422, 503),
    openapi_extra=body_of(ReviewRequest),
)
async def review(prediction_id: PredictionId, request: Request, caller: ReviewCaller, state: StateDep) -> LoggedReply:
    """Record a human mark on a prediction.

    The newest human mark on an attempt stands, over every score of the machine.  The machine's score and earlier marks
    are kept.
    """
    # FastAPI would read the body before it checks the key.
    body = await read_body(request, ReviewRequest)

    def write() -> LoggedReply:
        with Session(state["engine"]) as session:
            row = queries.find(session, str(prediction_id))
            if row is None:
                raise _unknown(prediction_id)
            add_mark(session, row, body.mark(), caller.key_id)
            session.commit()
            return _replies(session, [row], state)[0]

    return await in_thread(write, seconds=state["time_limits"].database)


class LogQuery(BaseModel):
    """Filters of the log.  An unknown filter is refused, because ignoring it would return every row."""

    model_config = ConfigDict(extra="forbid")

    item_id: Name | None = Field(default=None, description="Predictions of this item.")
    decision: list[Decision] | None = Field(
        default=None, description="Predictions with this decision. Repeat the parameter for several decisions."
    )
    marked: bool | None = Field(
        default=None, description="Predictions with a human mark (`true`) or without (`false`)."
    )
    learner_hash: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="Predictions with this `learner_hash`."
    )
    attempt_id: Reference | None = Field(default=None, description="Predictions of this attempt.")
    cursor: UUID | None = Field(default=None, description="The value of `next` on the previous page.")
    limit: int = Field(default=50, ge=1, le=500, description="Most predictions on the page.")


@router.get(
    "/predictions",
    summary="List predictions",
    response_description="A page of the log.",
    responses=documented(401, 403, 422, 503),
)
async def log(_: ReviewCaller, state: StateDep, query: Annotated[LogQuery, Query()]) -> LogPage:
    """List predictions, the newest first, page by page."""

    before = str(query.cursor) if query.cursor else None

    def read() -> LogPage:
        with Session(state["engine"]) as session:
            rows = queries.page(
                session,
                before=before,
                limit=query.limit + 1,
                item_id=query.item_id,
                decisions=query.decision,
                marked=query.marked,
                learner_hash=query.learner_hash,
                attempt_id=query.attempt_id,
            )
            shown = rows[: query.limit]
            following = shown[-1].prediction_id if len(rows) > query.limit else None
            return LogPage(predictions=_replies(session, shown, state), next=following)

    return await in_thread(read, seconds=state["time_limits"].database)


def _unknown(prediction_id: UUID) -> UnknownPrediction:
    return UnknownPrediction(
        f"there is no prediction {prediction_id} that this key may read", prediction_id=str(prediction_id)
    )


def _replies(session: Session, rows: Sequence[LoggedPrediction], state: State) -> list[LoggedReply]:
    overdue = _longest_wait(state)
    follow_ups = queries.follow_ups(session, rows)
    return [LoggedReply.of(row, follow_up, overdue) for row, follow_up in zip(rows, follow_ups, strict=True)]
