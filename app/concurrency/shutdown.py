"""How what is at work ends when the service does."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from anyio import to_thread

from app.concurrency.time_limits import DEFAULT_LIMITS

Found = TypeVar("Found")


async def to_its_end(work: Callable[..., Found], *args: object, end: float = DEFAULT_LIMITS.end) -> Found:
    """Return what `work` finds, in a thread.

    A task that is cancelled meanwhile ends when the thread has, if that takes no longer than `end`: what it writes is
    written, and the database is not left while a connection is in use.
    """
    working = asyncio.ensure_future(to_thread.run_sync(work, *args))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working], timeout=end)
        if working.done() and not working.cancelled():
            working.exception()  # nobody is there any more to be told
        raise
