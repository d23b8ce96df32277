"""Write the prediction log.

One thread writes.  It commits all calls that arrived during the previous commit in one transaction: a commit costs as
much for many calls as for one.  A call returns when its own rows are committed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, exc, insert

from app.concurrency.batcher import Batcher
from app.concurrency.time_limits import DEFAULT_LIMITS, TimeLimits
from app.storage.attempts import LogRow, as_marked
from app.storage.database import insert_if_new
from app.storage.tables import IdempotencyClaim, LoggedPrediction
from app.storage.timeouts import in_time

MAX_CALLS = 256  # in one transaction, which bounds how long it holds locks
# Errors caused by the values of one call, which is then tried alone.
CALL_ERRORS = (exc.DataError, exc.IntegrityError)
# Any other error of the database fails every call alike, so none is tried alone: the database is out of reach, full or
# damaged, or a table or a right is missing.  TimeoutError is the connection pool's.
DATABASE_ERRORS = (exc.DBAPIError, exc.TimeoutError)
INSERT = insert(LoggedPrediction.__table__)  # type: ignore[arg-type]  # a Table: rows are no ORM objects


class AlreadyClaimed(Exception):
    """Another request of the caller used this Idempotency-Key first; nothing was written."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An Idempotency-Key, the hash of its request body, and the results to repeat, made from the rows as written."""

    caller: str
    idempotency_key: str
    body_sha256: str
    results: Callable[[Sequence[LogRow]], list[Any]]


@dataclass(frozen=True, slots=True)
class _Call:
    rows: Sequence[LogRow]
    claim: Claim | None


class PredictionLog:
    """The log of predictions, which commits concurrent calls together."""

    def __init__(
        self,
        engine: Engine,
        on_transaction: Callable[[int, bool], None] = lambda *_: None,
        limits: TimeLimits = DEFAULT_LIMITS,
    ) -> None:
        """Report each transaction to `on_transaction`: its number of calls, and whether it was committed."""
        self._engine = engine
        self._on_transaction = on_transaction
        self._timeout = limits.database
        self.failing = False  # the last transaction failed
        self._writer: Batcher[_Call, Sequence[LogRow]] = Batcher(self._commit, MAX_CALLS, "prediction log", limits.end)

    async def record(self, rows: Sequence[LogRow], claim: Claim | None = None) -> Sequence[LogRow]:
        """Commit rows and claim in one transaction; return the rows as written.

        A row of an attempt that a person has marked is written for review: see app/storage/attempts.py.
        Raise AlreadyClaimed if the claim's key was used before, and SQLAlchemyError if the database fails.  Then
        nothing is written, unless the database failed or fell silent during the commit itself.
        """
        if not rows and claim is None:
            return ()
        return await in_time(self._writer.ask(_Call(rows, claim)), self._timeout)

    @property
    def waiting(self) -> int:
        """Return the number of calls that are in no transaction yet."""
        return self._writer.waiting

    async def aclose(self) -> None:
        """Commit the calls that wait, then stop the writing thread."""
        await self._writer.aclose()

    def _commit(self, calls: Sequence[_Call]) -> Sequence[Exception | Sequence[LogRow]]:
        """Write calls in one transaction; return the rows or the error of each.  Raise CALL_ERRORS."""
        try:
            with self._engine.begin() as connection:
                written = as_marked(connection, [call.rows for call in calls])
                refused = self._claim(connection, calls, written)
                results = [
                    AlreadyClaimed() if id(call) in refused else rows for call, rows in zip(calls, written, strict=True)
                ]
                accepted: list[LogRow] = []
                for rows in results:
                    if not isinstance(rows, AlreadyClaimed):
                        accepted += rows
                if accepted:
                    connection.execute(INSERT, accepted)
        except CALL_ERRORS:
            raise
        except DATABASE_ERRORS as error:
            self.failing = True
            self._on_transaction(len(calls), False)
            return [error] * len(calls)
        self.failing = False
        self._on_transaction(len(calls), True)
        return results

    def _claim(self, connection: Connection, calls: Sequence[_Call], written: Sequence[Sequence[LogRow]]) -> set[int]:
        """Insert the claims; return the ids of the calls whose key was used before.

        Claims are inserted in one order everywhere, so that two writers on one database cannot deadlock.
        """
        refused = set()
        claims = [(call.claim, call, rows) for call, rows in zip(calls, written, strict=True) if call.claim is not None]
        claims.sort(key=lambda claiming: (claiming[0].caller, claiming[0].idempotency_key))
        for claim, call, rows in claims:
            values = {
                "caller": claim.caller,
                "idempotency_key": claim.idempotency_key,
                "body_sha256": claim.body_sha256,
                "results": claim.results(rows),
                "created_at": datetime.now(UTC),
            }
            statement = insert_if_new(self._engine, IdempotencyClaim).values(values).returning(IdempotencyClaim.caller)
            if connection.execute(statement).scalar() is None:
                refused.add(id(call))
        return refused
