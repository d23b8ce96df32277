"""Reading the log."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app.storage.database import insert_if_new
from app.storage.tables import GeneratedFeedback, IdempotencyClaim, LoggedPrediction, SeenActivation


def find(session: Session, prediction_id: str) -> LoggedPrediction | None:
    return session.get(LoggedPrediction, prediction_id)


def page(
    session: Session, *, before: str | None, limit: int, item_id: str | None, decision: str | None
) -> Sequence[LoggedPrediction]:
    """At most `limit` predictions, newest first, older than the prediction `before`."""
    query = select(LoggedPrediction).order_by(LoggedPrediction.prediction_id.desc()).limit(limit)
    if before is not None:
        query = query.where(LoggedPrediction.prediction_id < before)
    if item_id is not None:
        query = query.where(LoggedPrediction.item_id == item_id)
    if decision is not None:
        query = query.where(LoggedPrediction.decision == decision)
    return session.scalars(query).all()


def add_feedback(engine: Engine, row: GeneratedFeedback) -> None:
    with Session(engine) as session, session.begin():
        session.add(row)


def feedback_on(session: Session, rows: Sequence[LoggedPrediction]) -> dict[str, GeneratedFeedback]:
    """What has been written since for those that were pending, by prediction."""
    pending = [row.prediction_id for row in rows if row.feedback_withheld == "pending"]
    if not pending:
        return {}
    query = select(GeneratedFeedback).where(GeneratedFeedback.prediction_id.in_(pending))
    return {row.prediction_id: row for row in session.scalars(query)}


def find_claim(session: Session, caller: str, idempotency_key: str) -> IdempotencyClaim | None:
    return session.get(IdempotencyClaim, (caller, idempotency_key))


def note_activations(engine: Engine, seen: Sequence[SeenActivation]) -> None:
    """Write down what each ACTIVE says, once a change: the same one seen again, here or by another, adds nothing."""
    names = ("item_id", "version", "mode", "by", "reason", "at")
    rows = [{name: getattr(row, name) for name in names} | {"seen_at": datetime.now(UTC)} for row in seen]
    if rows:
        with Session(engine) as session, session.begin():
            session.execute(insert_if_new(engine, SeenActivation), rows)
