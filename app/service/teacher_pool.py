"""Ask teachers within bounds: a pool of threads, a queue, a deadline.

No failure here fails a score: a response that no teacher scores in time goes to a person.
"""

import asyncio
import logging
from collections.abc import Sequence

from app.concurrency.pool import Answer, BoundedPool
from app.logs import coded
from app.scoring.decision import SecondScorer
from app.scoring.decoding import Score

log = logging.getLogger("scorelet")


class TeacherPool(BoundedPool):
    """The threads in which all teachers of a process score."""

    def __init__(self, *, workers: int, queue: int, timeout: float) -> None:
        """Score `workers` responses at once while `queue` others wait, each for at most `timeout` seconds."""
        super().__init__(workers=workers, queue=queue, timeout=timeout, name="teacher")

    async def ask(self, second: SecondScorer, response: str) -> Score | None:
        """Return the teacher's score, or None where the queue was full or the teacher was late or failed."""
        return (await self._ask(second, response)).result

    async def ask_all(self, requests: Sequence[tuple[SecondScorer, str]]) -> list[Score | None]:
        """Return one score for each response, in order.  A long list fills no queue: it asks `workers` at once.

        After one late response the rest of the list is not asked, so a caller never waits for many deadlines.  Late
        responses of other calls do not matter.
        """
        turns, given_up = asyncio.Semaphore(self.workers), False

        async def ask_in_turn(second: SecondScorer, response: str) -> Score | None:
            nonlocal given_up
            async with turns:
                if given_up:
                    return None
                answer = await self._ask(second, response)
                given_up = given_up or answer.outcome == "late"
                return answer.result

        calls = [ask_in_turn(second, response) for second, response in requests]
        return list(await asyncio.gather(*calls))

    async def _ask(self, second: SecondScorer, response: str) -> Answer[Score]:
        answer = await self.run(second.score, response)
        if answer.error is not None:
            kind = type(answer.error).__name__  # the message may quote the response
            extra = coded("teacher_failed", teacher=second.title, error=kind)
            log.error("teacher %s failed: %s", second.title, kind, extra=extra)
        return answer
