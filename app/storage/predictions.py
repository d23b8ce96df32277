"""Reading the log."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app.storage.tables import IdempotencyClaim, LoggedPrediction, SeenActivation


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


def find_claim(session: Session, caller: str, idempotency_key: str) -> IdempotencyClaim | None:
    return session.get(IdempotencyClaim, (caller, idempotency_key))


def note_activations(engine: Engine, seen: Sequence[SeenActivation]) -> None:
    """Write down what each ACTIVE says, once a change: the same one seen again adds nothing."""
    with Session(engine) as session, session.begin():
        known = {(row.item_id, row.at) for row in session.scalars(select(SeenActivation))}
        for activation in seen:
            if (activation.item_id, activation.at) not in known:
                activation.seen_at = datetime.now(UTC)
                session.add(activation)
