"""Read the log, and add rows to it that come after a prediction."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, exists, select
from sqlalchemy.orm import Session

from app.storage.attempts import MARKED_BEFORE, StandingMark, attempt_of, standing
from app.storage.database import insert_if_new
from app.storage.tables import (
    GeneratedFeedback,
    HumanMark,
    IdempotencyClaim,
    LoggedPrediction,
    SeenActivation,
    ShadowScore,
    ShadowVersion,
)


def find(session: Session, prediction_id: str) -> LoggedPrediction | None:
    return session.get(LoggedPrediction, prediction_id)


def page(
    session: Session,
    *,
    before: str | None,
    limit: int,
    item_id: str | None,
    decisions: Sequence[str] | None,
    marked: bool | None = None,
    learner_hash: str | None = None,
    attempt_id: str | None = None,
) -> Sequence[LoggedPrediction]:
    """Return at most `limit` predictions, newest first, older than the prediction `before`.

    `marked` selects predictions with a human mark (True) or without (False).
    """
    query = select(LoggedPrediction).order_by(LoggedPrediction.prediction_id.desc()).limit(limit)
    if before is not None:
        query = query.where(LoggedPrediction.prediction_id < before)
    if item_id is not None:
        query = query.where(LoggedPrediction.item_id == item_id)
    if learner_hash is not None:
        query = query.where(LoggedPrediction.learner_hash == learner_hash)
    if attempt_id is not None:
        query = query.where(LoggedPrediction.attempt_id == attempt_id)
    if decisions is not None:
        query = query.where(LoggedPrediction.decision.in_(decisions))
    if marked is not None:
        has_mark = exists().where(HumanMark.prediction_id == LoggedPrediction.prediction_id)
        condition = has_mark if marked else ~has_mark
        query = query.where(condition)
    return session.scalars(query).all()


def newest_time(session: Session) -> datetime | None:
    """Return the time of the newest prediction."""
    query = select(LoggedPrediction.created_at).order_by(LoggedPrediction.prediction_id.desc()).limit(1)
    return session.scalar(query)


def add_feedback(engine: Engine, row: GeneratedFeedback) -> None:
    with Session(engine) as session, session.begin():
        session.add(row)


def add_shadow(engine: Engine, row: ShadowScore) -> None:
    with Session(engine) as session, session.begin():
        session.add(row)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Rows that followed a prediction."""

    feedback: dict[str, Any] | str | None  # the text and its source, or the reason for its absence
    marks: tuple[HumanMark, ...]  # on this prediction, newest first
    standing: StandingMark | None  # the newest mark on the attempt
    shadow: ShadowScore | None = None


def follow_ups(session: Session, rows: Sequence[LoggedPrediction]) -> list[FollowUp]:
    """Return one FollowUp for each row, in order."""
    ids = [row.prediction_id for row in rows]
    pending = [row.prediction_id for row in rows if row.feedback_withheld == "pending"]
    feedback = generated_feedback(session, pending)
    marks: dict[str, list[HumanMark]] = defaultdict(list)
    newest_first = select(HumanMark).where(HumanMark.prediction_id.in_(ids)).order_by(HumanMark.id.desc())
    for mark in session.scalars(newest_first):
        marks[mark.prediction_id].append(mark)
    query = select(ShadowScore).where(ShadowScore.prediction_id.in_(ids))
    shadows = {row.prediction_id: row for row in session.scalars(query)}
    attempt_marks = standing(session, rows)

    result = []
    for row in rows:
        row_marks = tuple(marks[row.prediction_id])
        if (attempt := attempt_of(row)) is not None:
            standing_mark = attempt_marks.get(attempt)
        else:
            standing_mark = StandingMark(row_marks[0], row) if row_marks else None
        result.append(
            FollowUp(
                feedback=feedback.get(row.prediction_id),
                marks=row_marks,
                standing=standing_mark,
                shadow=shadows.get(row.prediction_id),
            )
        )
    return result


def generated_feedback(session: Session, prediction_ids: Sequence[str]) -> dict[str, Any]:
    """Return finished feedback by prediction: the text and its source, or the reason for its absence."""
    if not prediction_ids:
        return {}
    query = select(GeneratedFeedback).where(GeneratedFeedback.prediction_id.in_(prediction_ids))
    return {row.prediction_id: row.feedback or row.feedback_withheld for row in session.scalars(query)}


def find_claim(session: Session, caller: str, idempotency_key: str) -> IdempotencyClaim | None:
    return session.get(IdempotencyClaim, (caller, idempotency_key))


def note_activations(engine: Engine, seen: Sequence[SeenActivation]) -> None:
    """Log ACTIVE files.  A file that is already logged, here or by another replica, adds no row."""
    names = ("item_id", "version", "mode", "by", "reason", "at", "shadow", "shadow_by", "sha256")
    rows: list[dict[str, object]] = []
    for activation in seen:
        values = {name: getattr(activation, name) for name in names}
        rows.append(values | {"seen_at": datetime.now(UTC)})
    if rows:
        with Session(engine) as session, session.begin():
            session.execute(insert_if_new(engine, SeenActivation), rows)


ScoreOrLabel = tuple[float | None, str | None]  # score and label


@dataclass(frozen=True, slots=True)
class ShadowedResponse:
    """A response as scored by the live version's student, the shadow version's student, and a person."""

    live: ScoreOrLabel
    shadow: ScoreOrLabel
    human: ScoreOrLabel  # the newest mark
    live_confidence: float | None  # None: a condition applied, and no model scored
    live_flags: list[str]
    shadow_decision: str


def shadowed_responses(session: Session, item_id: str, live: str, shadow: str) -> list[ShadowedResponse]:
    """Return every response that both versions scored, `shadow` beside `live`, oldest first."""
    query = (
        select(LoggedPrediction, ShadowVersion)
        .join(ShadowVersion, ShadowVersion.prediction_id == LoggedPrediction.prediction_id)
        .where(LoggedPrediction.item_id == item_id, LoggedPrediction.bundle_version == live)
        .where(ShadowVersion.version == shadow)
        .order_by(LoggedPrediction.prediction_id)
    )
    marks = select(HumanMark).join(LoggedPrediction).where(LoggedPrediction.item_id == item_id).order_by(HumanMark.id)
    newest: dict[str, ScoreOrLabel] = {}
    for mark in session.scalars(marks):  # the last of a prediction stays
        newest[mark.prediction_id] = (mark.score, mark.label)
    responses = []
    for prediction, shadow_row in session.execute(query):
        human = newest.get(prediction.prediction_id, (None, None))
        responses.append(_shadowed_response(prediction, shadow_row, human))
    return responses


def _shadowed_response(
    prediction: LoggedPrediction, shadow_row: ShadowVersion, human: ScoreOrLabel
) -> ShadowedResponse:
    live: ScoreOrLabel = (prediction.score, prediction.label)
    confidence = prediction.confidence
    if prediction.scored_by == "rule":
        live, confidence = (None, None), None
    elif prediction.first_score:  # the student's, before the teacher's
        live = (prediction.first_score["score"], prediction.first_score["label"])
        confidence = prediction.first_score["confidence"]
    return ShadowedResponse(
        live=live,
        shadow=(shadow_row.score, shadow_row.label),
        human=human,
        live_confidence=confidence,
        # A mark on an earlier response of the attempt says nothing about the student.
        live_flags=[flag for flag in prediction.flags if flag != MARKED_BEFORE],
        shadow_decision=shadow_row.decision,
    )
