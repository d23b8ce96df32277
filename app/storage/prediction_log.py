"""The prediction log: one object, one method.  How it commits is its own business.

One thread writes, and commits all calls that arrived while it was committing those before: a commit costs as much for
many as for one.  A call returns when its own rows are committed.
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

MOST = 256  # calls in one transaction: a lock is held no longer than that takes
# Errors about the values of one call, which is tried again alone.
CALL_ERRORS = (exc.DataError, exc.IntegrityError)
# All other errors of the database are the same for each call, so none is tried again alone: it is out of reach, full or
# damaged, a table is gone, a right is withdrawn.  TimeoutError is the pool's.
DATABASE_ERRORS = (exc.DBAPIError, exc.TimeoutError)
INSERT = insert(LoggedPrediction.__table__)  # type: ignore[arg-type]  # a Table; the rows are no objects of the ORM


class AlreadyClaimed(Exception):
    """Another request of the caller took this Idempotency-Key first; nothing was written."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An Idempotency-Key with the hash of the body it stands for, and the results to repeat, of rows as written."""

    caller: str
    idempotency_key: str
    body_sha256: str
    results: Callable[[Sequence[LogRow]], list[Any]]


@dataclass(frozen=True, slots=True)
class _Call:
    rows: Sequence[LogRow]
    claim: Claim | None


class PredictionLog:
    def __init__(
        self, engine: Engine, told: Callable[[int, bool], None] = lambda *_: None, waits: TimeLimits = DEFAULT_LIMITS
    ) -> None:
        """`told` is how many calls each transaction had, and whether it was committed."""
        self._engine = engine
        self._told = told
        self._patience = waits.database
        self.failing = False  # the database did not take the last transaction
        self._writer: Batcher[_Call, Sequence[LogRow]] = Batcher(self._commit, MOST, "prediction log", waits.end)

    async def record(self, rows: Sequence[LogRow], claim: Claim | None = None) -> Sequence[LogRow]:
        """Return the rows as written, when they and the claim are committed, together.

        A row of an attempt that a person has marked is written for a person: see app/storage/attempts.py.
        Raise AlreadyClaimed when the claim's key is taken, and SQLAlchemyError when the database fails; then nothing
        is written, unless it failed, or fell silent, in the very commit.
        """
        if not rows and claim is None:
            return ()
        return await in_time(self._writer.ask(_Call(rows, claim)), self._patience)

    @property
    def waiting(self) -> int:
        """Calls that are in no transaction yet."""
        return self._writer.waiting

    async def aclose(self) -> None:
        """What was put in is committed first."""
        await self._writer.aclose()

    def _commit(self, calls: Sequence[_Call]) -> Sequence[Exception | Sequence[LogRow]]:
        """Return what becomes of each call; all are one transaction.  Raise where it failed for one of them alone."""
        try:
            with self._engine.begin() as connection:
                written = as_marked(connection, [call.rows for call in calls])
                taken = self._take(connection, calls, written)
                kept = zip(calls, written, strict=True)
                if rows := [row for call, own in kept if id(call) not in taken for row in own]:
                    connection.execute(INSERT, rows)
            self.failing = False
            self._told(len(calls), True)
            return [AlreadyClaimed() if id(call) in taken else own for call, own in zip(calls, written, strict=True)]
        except CALL_ERRORS:
            raise
        except DATABASE_ERRORS as error:
            self.failing = True
            self._told(len(calls), False)
            return [error] * len(calls)

    def _take(self, connection: Connection, calls: Sequence[_Call], written: Sequence[Sequence[LogRow]]) -> set[int]:
        """Make the claims; return the ids of calls whose key was taken before.

        In one order everywhere, so that two writers on one database never wait for each other.
        """
        taken = set()
        both = zip(calls, written, strict=True)
        claiming = [(call.claim, call, rows) for call, rows in both if call.claim is not None]
        for claim, call, rows in sorted(claiming, key=lambda own: (own[0].caller, own[0].idempotency_key)):
            values = {
                "caller": claim.caller,
                "idempotency_key": claim.idempotency_key,
                "body_sha256": claim.body_sha256,
                "results": claim.results(rows),
                "created_at": datetime.now(UTC),
            }
            statement = insert_if_new(self._engine, IdempotencyClaim).values(values)
            if connection.execute(statement.returning(IdempotencyClaim.caller)).scalar() is None:
                taken.add(id(call))
        return taken
