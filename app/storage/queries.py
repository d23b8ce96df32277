"""Reading the log."""

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
    """At most `limit` predictions, newest first, older than the prediction `before`.  `marked`: by a person, or not."""
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
        query = query.where(has_mark if marked else ~has_mark)
    return session.scalars(query).all()


def newest_time(session: Session) -> datetime | None:
    """When the last prediction of the log was made."""
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
    """All that came after a prediction was logged."""

    feedback: dict[str, Any] | str | None  # the text and where it is from, or why there is none
    marks: tuple[HumanMark, ...]  # on this prediction, newest first
    standing: StandingMark | None  # the newest mark on the attempt
    shadow: ShadowScore | None = None


def follow_ups(session: Session, rows: Sequence[LoggedPrediction]) -> list[FollowUp]:
    """Return one a row, in order."""
    ids = [row.prediction_id for row in rows]
    feedback = generated_feedback(session, [row.prediction_id for row in rows if row.feedback_withheld == "pending"])
    marks: dict[str, list[HumanMark]] = defaultdict(list)
    newest_first = select(HumanMark).where(HumanMark.prediction_id.in_(ids)).order_by(HumanMark.id.desc())
    for mark in session.scalars(newest_first):
        marks[mark.prediction_id].append(mark)
    query = select(ShadowScore).where(ShadowScore.prediction_id.in_(ids))
    shadows = {row.prediction_id: row for row in session.scalars(query)}
    attempts = standing(session, rows)
    found = []
    for row in rows:
        own, attempt = row.prediction_id, attempt_of(row)
        alone = StandingMark(marks[own][0], row) if marks[own] else None
        stands = alone if attempt is None else attempts.get(attempt)
        found.append(FollowUp(feedback.get(own), tuple(marks[own]), stands, shadows.get(own)))
    return found


def generated_feedback(session: Session, prediction_ids: Sequence[str]) -> dict[str, Any]:
    """What came of pending feedback, where it is known: the text and where it is from, or why there is none."""
    if not prediction_ids:
        return {}
    query = select(GeneratedFeedback).where(GeneratedFeedback.prediction_id.in_(prediction_ids))
    return {row.prediction_id: row.feedback or row.feedback_withheld for row in session.scalars(query)}


def find_claim(session: Session, caller: str, idempotency_key: str) -> IdempotencyClaim | None:
    return session.get(IdempotencyClaim, (caller, idempotency_key))


def note_activations(engine: Engine, seen: Sequence[SeenActivation]) -> None:
    """Write down what each ACTIVE says, once a change: the same one seen again, here or by another, adds nothing."""
    names = ("item_id", "version", "mode", "by", "reason", "at", "shadow", "shadow_by", "sha256")
    rows = [{name: getattr(row, name) for name in names} | {"seen_at": datetime.now(UTC)} for row in seen]
    if rows:
        with Session(engine) as session, session.begin():
            session.execute(insert_if_new(engine, SeenActivation), rows)


ScoreOrLabel = tuple[float | None, str | None]  # score and label


@dataclass(frozen=True, slots=True)
class ShadowedResponse:
    """One response as the student of the live version, that in its shadow, and the newest human mark have it."""

    live: ScoreOrLabel
    shadow: ScoreOrLabel
    human: ScoreOrLabel
    live_confidence: float | None  # None: a condition holds, and no model scored
    live_flags: list[str]
    shadow_decision: str


def shadowed_responses(session: Session, item_id: str, live: str, shadow: str) -> list[ShadowedResponse]:
    """Of every response that the version `live` has scored, and `shadow` beside it, oldest first."""
    query = (
        select(LoggedPrediction, ShadowVersion)
        .join(ShadowVersion, ShadowVersion.prediction_id == LoggedPrediction.prediction_id)
        .where(LoggedPrediction.item_id == item_id, LoggedPrediction.bundle_version == live)
        .where(ShadowVersion.version == shadow)
        .order_by(LoggedPrediction.prediction_id)
    )
    marks = select(HumanMark).join(LoggedPrediction).where(LoggedPrediction.item_id == item_id).order_by(HumanMark.id)
    newest = {mark.prediction_id: (mark.score, mark.label) for mark in session.scalars(marks)}
    found = []
    for row, other in session.execute(query):
        by_student = row.first_score or {"score": row.score, "label": row.label, "confidence": row.confidence}
        if row.scored_by == "rule":
            by_student = {"score": None, "label": None, "confidence": None}
        found.append(
            ShadowedResponse(
                live=(by_student["score"], by_student["label"]),
                shadow=(other.score, other.label),
                human=newest.get(row.prediction_id, (None, None)),
                live_confidence=by_student["confidence"],
                live_flags=[flag for flag in row.flags if flag != MARKED_BEFORE],  # says nothing of the student
                shadow_decision=other.decision,
            )
        )
    return found
