"""Ask teachers within bounds: a pool of threads, a queue, a time limit.

Nothing here can fail a score: a response that no teacher scores in time goes to a person.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Literal

from app.logs import coded
from app.scoring.decision import SecondScorer
from app.scoring.decoding import Score

log = logging.getLogger("scorelet")
PoolOutcome = Literal["answered", "full", "late", "failed"]


class TeacherPool:
    """Asks the teachers of all items of a process."""

    def __init__(self, *, workers: int, queue: int, timeout: float) -> None:
        """`queue`: responses that may wait beside those being scored; `timeout`: seconds for one, waiting included."""
        self.outcomes: Counter[PoolOutcome] = Counter()
        self._places = workers + queue
        self._taken = 0
        self._workers, self.timeout = workers, timeout
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="teacher")

    @property
    def taken(self) -> int:
        """Return the number of responses that wait or are being scored."""
        return self._taken

    async def ask(self, second: SecondScorer, response: str) -> Score | None:
        """Return the teacher's score, or None where no place was free, it took too long, or it failed."""
        _, score = await self._counted(second, response)
        return score

    async def ask_all(self, asked: Sequence[tuple[SecondScorer, str]]) -> list[Score | None]:
        """Return one score for each response, in order; a long list waits for itself and fills no queue.

        Once a response of this list is late, the rest of the list is not asked: it never waits longer than its teachers
        are at work.  Late responses of other calls do not matter.
        """
        turns, given_up = asyncio.Semaphore(self._workers), False

        async def in_turn(second: SecondScorer, response: str) -> Score | None:
            nonlocal given_up
            async with turns:
                if given_up:
                    return None
                outcome, score = await self._counted(second, response)
                given_up = given_up or outcome == "late"
                return score

        return list(await asyncio.gather(*(in_turn(second, response) for second, response in asked)))

    async def _counted(self, second: SecondScorer, response: str) -> tuple[PoolOutcome, Score | None]:
        outcome, score = await self._asked(second, response)
        self.outcomes[outcome] += 1
        return outcome, score

    async def _asked(self, second: SecondScorer, response: str) -> tuple[PoolOutcome, Score | None]:
        if self._taken >= self._places:
            return "full", None
        if self.timeout <= 0:
            return "late", None
        try:
            work = self._threads.submit(second.score, response)
        except RuntimeError:  # the pool is closed: the service ends
            return "failed", None
        self._taken += 1
        work.add_done_callback(partial(self._leave, asyncio.get_running_loop()))
        try:
            # A time-out ends the waiting, not the work: the place is free when the work is done.
            return "answered", await asyncio.wait_for(asyncio.wrap_future(work), self.timeout)
        except TimeoutError:
            return "late", None
        except Exception as error:
            kind = type(error).__name__  # its message may hold the text
            extra = coded("teacher_failed", teacher=second.title, error=kind)
            log.error("the teacher %s failed: %s", second.title, kind, extra=extra)
            return "failed", None

    def _leave(self, loop: asyncio.AbstractEventLoop, _: Future[Score]) -> None:
        """Free a place, on the loop's own thread, when its work is done or was never begun."""
        with suppress(RuntimeError):  # the loop is closed: the service ends
            loop.call_soon_threadsafe(self._left)

    def _left(self) -> None:
        self._taken -= 1

    def close(self) -> None:
        """Drop the work that waits; work that is begun ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
