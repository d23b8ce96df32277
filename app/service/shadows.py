"""Score responses in the background by models that only the log knows of.

Nobody waits for a shadow, and no failure of a shadow touches a score.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from app.logs import coded
from app.service.scored_response import ScoredResponse

log = logging.getLogger("scorelet")
MAX_WAITING = 10_000  # responses; a shadow does not score those beyond


class Shadow(Protocol):
    """A model that scores beside those whose scores are given."""

    def watch(self, responses: Sequence[ScoredResponse]) -> None:
        """Score the responses in the background."""


class ShadowBacklog:
    """The responses that wait for a shadow's score."""

    def __init__(
        self, score: Callable[[ScoredResponse], Awaitable[None]], *, error_code: str, max_waiting: int = MAX_WAITING
    ) -> None:
        """Run `score`, which also writes the score down, for each response; log its errors by `error_code`."""
        self._score, self._error_code, self._max_waiting = score, error_code, max_waiting
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, response: ScoredResponse) -> None:
        """Add a response, unless too many wait."""
        if len(self._tasks) >= self._max_waiting:
            return
        task = asyncio.create_task(self._run(response))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, seconds: float) -> None:
        """Wait until the responses are scored, and cancel those that are not in time."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()

    async def cancel(self) -> None:
        """Cancel the waiting responses.  A row that is being written is written."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, response: ScoredResponse) -> None:
        try:
            await self._score(response)
        except Exception as error:  # the score of the response is given already
            kind = type(error).__name__
            log.error("a shadow's score was not logged: %s", kind, extra=coded(self._error_code))
