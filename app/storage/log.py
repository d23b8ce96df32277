"""The prediction log: one object, one method.  How it commits is its own business.

One thread writes, and commits all calls that arrived while it was committing those before: a commit costs as much for
many as for one.  A call returns when its own rows are committed.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from anyio import to_thread
from sqlalchemy import Connection, Engine, insert
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from app.storage.database import insert_if_new
from app.storage.tables import IdempotencyClaim, LoggedPrediction

MOST = 256  # calls in one transaction: a lock is held no longer than that takes
COLUMNS = [column.key for column in LoggedPrediction.__table__.columns]


class AlreadyClaimed(Exception):
    """Another request of the caller took this Idempotency-Key first; nothing was written."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An Idempotency-Key with the hash of the body it stands for, and the results to repeat."""

    caller: str
    idempotency_key: str
    body_sha256: str
    results: list[Any]


@dataclass(frozen=True, slots=True)
class _Call:
    rows: Sequence[LoggedPrediction]
    claim: Claim | None
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class PredictionLog:
    def __init__(self, engine: Engine, committed: Callable[[int], None] = lambda _: None) -> None:
        """`committed` is told how many calls each transaction had."""
        self._engine = engine
        self._committed = committed
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._writer: Thread | None = None
        self._starting = Lock()

    async def record(self, rows: Sequence[LoggedPrediction], claim: Claim | None = None) -> None:
        """Returns when rows and claim are committed, together.

        Raises AlreadyClaimed when the claim's key is taken, and SQLAlchemyError when the database fails; then nothing
        is written.
        """
        if not rows and claim is None:
            return
        loop = asyncio.get_running_loop()
        call = _Call(rows, claim, loop, loop.create_future())
        self._start()
        self._calls.put(call)
        await call.done

    async def aclose(self) -> None:
        """What was put in is committed first."""
        with self._starting:
            writer, self._writer = self._writer, None
        if writer is not None:
            self._calls.put(None)
            await to_thread.run_sync(writer.join)

    def _start(self) -> None:
        if self._writer is None:
            with self._starting:
                if self._writer is None:
                    self._writer = Thread(target=self._work, name="prediction log", daemon=True)
                    self._writer.start()

    def _work(self) -> None:
        while (first := self._calls.get()) is not None:
            calls, ended = [first], False
            while len(calls) < MOST and not self._calls.empty():
                following = self._calls.get()
                if following is None:
                    ended = True
                    break
                calls.append(following)
            for call, outcome in zip(calls, self._commit(calls), strict=True):
                with suppress(RuntimeError):  # its loop is closed: nobody waits
                    call.loop.call_soon_threadsafe(_settle, call.done, outcome)
            if ended:
                return

    def _commit(self, calls: Sequence[_Call]) -> list[Exception | None]:
        """What becomes of each call.  All are one transaction; if it fails for one call's sake, each is tried alone."""
        try:
            with self._engine.begin() as connection:
                taken = self._take(connection, calls)
                rows = [_values(row) for call in calls if id(call) not in taken for row in call.rows]
                if rows:
                    connection.execute(insert(LoggedPrediction), rows)
            self._committed(len(calls))
            return [AlreadyClaimed() if id(call) in taken else None for call in calls]
        except SQLAlchemyError as error:
            if len(calls) == 1 or isinstance(error, OperationalError | InterfaceError):
                return [error] * len(calls)
            return [outcome for call in calls for outcome in self._commit([call])]
        except Exception as error:  # a call must never wait for ever
            return [error] * len(calls)

    def _take(self, connection: Connection, calls: Sequence[_Call]) -> set[int]:
        """Make the claims; the ids of calls whose key was taken before.  In one order everywhere, so that two writers
        on one database never wait for each other.
        """
        taken = set()
        claiming = [(call.claim, call) for call in calls if call.claim is not None]
        for claim, call in sorted(claiming, key=lambda own: (own[0].caller, own[0].idempotency_key)):
            values = {
                "caller": claim.caller,
                "idempotency_key": claim.idempotency_key,
                "body_sha256": claim.body_sha256,
                "results": claim.results,
                "created_at": datetime.now(UTC),
            }
            statement = insert_if_new(self._engine, IdempotencyClaim).values(values)
            if connection.execute(statement.returning(IdempotencyClaim.caller)).scalar() is None:
                taken.add(id(call))
        return taken


def _values(row: LoggedPrediction) -> dict[str, Any]:
    return {name: getattr(row, name) for name in COLUMNS}


def _settle(done: asyncio.Future[None], outcome: Exception | None) -> None:
    if done.done():  # the call was cancelled meanwhile
        return
    if outcome is None:
        done.set_result(None)
    else:
        done.set_exception(outcome)
