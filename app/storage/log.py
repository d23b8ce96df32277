"""The prediction log: one object, one method.  How it commits is its own business."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from anyio import to_thread
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.storage.database import insert_if_new
from app.storage.tables import IdempotencyClaim, LoggedPrediction


class AlreadyClaimed(Exception):
    """Another request of the caller took this Idempotency-Key first; nothing was written."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An Idempotency-Key with the hash of the body it stands for, and the results to repeat."""

    caller: str
    idempotency_key: str
    body_sha256: str
    results: list[Any]


class PredictionLog:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def record(self, rows: Sequence[LoggedPrediction], claim: Claim | None = None) -> None:
        """Returns when rows and claim are committed, together.

        Raises AlreadyClaimed when the claim's key is taken, and SQLAlchemyError when the database fails; then nothing
        is written.
        """
        await to_thread.run_sync(self._commit, rows, claim)

    def _commit(self, rows: Sequence[LoggedPrediction], claim: Claim | None) -> None:
        with Session(self._engine) as session, session.begin():
            if claim is not None:
                self._take(session, claim)
            session.add_all(rows)

    def _take(self, session: Session, claim: Claim) -> None:
        values = {
            "caller": claim.caller,
            "idempotency_key": claim.idempotency_key,
            "body_sha256": claim.body_sha256,
            "results": claim.results,
            "created_at": datetime.now(UTC),
        }
        statement = insert_if_new(self._engine, IdempotencyClaim).values(values)
        taken = session.execute(statement.returning(IdempotencyClaim.caller)).scalar()
        if taken is None:
            raise AlreadyClaimed
