"""Bound how long a caller waits for a database that does not answer.

A database that is gone, full or locked returns an error.  A swapping host or a broken network returns nothing: without
a timeout no caller would get a reply, and every thread of the service would wait.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import SQLAlchemyError

from app.concurrency.time_limits import DEFAULT_LIMITS

ResultT = TypeVar("ResultT")


class DatabaseSilent(SQLAlchemyError):
    """The database did not answer in time.  It may still carry out the statement."""


async def in_time(answer: Awaitable[ResultT], seconds: float = DEFAULT_LIMITS.database) -> ResultT:
    """Wait for an answer, or cancel it and raise DatabaseSilent."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise DatabaseSilent("no answer in time") from None


async def in_thread(
    work: Callable[..., ResultT],
    *args: object,
    seconds: float = DEFAULT_LIMITS.database,
    limiter: CapacityLimiter | None = None,
) -> ResultT:
    """Run `work` in a thread, or raise DatabaseSilent.  An abandoned thread ends when the database answers."""
    result = to_thread.run_sync(partial(work, *args), abandon_on_cancel=True, limiter=limiter)
    return await in_time(result, seconds)
