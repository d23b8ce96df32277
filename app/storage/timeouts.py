"""How long a caller waits for a database that says nothing.

One that is gone, full or locked says so.  A host that swaps, or a network that swallows, does not: without a bound no
caller would ever have a reply, and every thread of the service would wait.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import SQLAlchemyError

from app.concurrency.time_limits import DEFAULT_LIMITS

Found = TypeVar("Found")


class DatabaseSilent(SQLAlchemyError):
    """No answer in time.  What the database was asked for it may yet do."""


async def in_time(answer: Awaitable[Found], seconds: float = DEFAULT_LIMITS.database) -> Found:
    """Raises DatabaseSilent; the answer is then given up."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise DatabaseSilent("no answer in time") from None


async def in_thread(
    work: Callable[..., Found],
    *args: object,
    seconds: float = DEFAULT_LIMITS.database,
    limiter: CapacityLimiter | None = None,
) -> Found:
    """What `work` finds.  A thread that is given up ends when the database speaks; nobody waits for it."""
    found = to_thread.run_sync(partial(work, *args), abandon_on_cancel=True, limiter=limiter)
    return await in_time(found, seconds)
