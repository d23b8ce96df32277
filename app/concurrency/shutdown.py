"""Let work in a thread finish when the service shuts down."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from anyio import to_thread

from app.concurrency.time_limits import DEFAULT_LIMITS

Result = TypeVar("Result")


async def finish_in_thread(work: Callable[..., Result], *arguments: object, end: float = DEFAULT_LIMITS.end) -> Result:
    """Return the result of `work`, run in a thread.

    A caller that is cancelled waits until the thread has finished, for at most `end` seconds.  So a row under way is
    written, and the database is not closed while a connection is in use.
    """
    working = asyncio.ensure_future(to_thread.run_sync(work, *arguments))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working], timeout=end)
        if working.done() and not working.cancelled():
            working.exception()  # nobody is left to take it, and asyncio would log it
        raise
