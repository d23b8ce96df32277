"""Teachers in the shadow: they score the responses that students scored, and their scores are only logged."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine

from app.concurrency.shutdown import finish_in_thread
from app.concurrency.time_limits import DEFAULT_LIMITS
from app.service.scored_response import ScoredResponse
from app.service.shadows import MAX_WAITING, ShadowBacklog
from app.service.teacher_pool import TeacherPool
from app.storage import queries
from app.storage.tables import ShadowScore


class ShadowTeachers:
    """All teachers whose policy is `shadow`.  Together they take one place of the pool, after unsure responses."""

    def __init__(
        self, pool: TeacherPool, engine: Engine, *, end: float = DEFAULT_LIMITS.end, max_waiting: int = MAX_WAITING
    ) -> None:
        self._pool, self._engine, self._end = pool, engine, end
        self._turn = asyncio.Semaphore(1)
        self._backlog = ShadowBacklog(self._score, error_code="second_score_not_kept", max_waiting=max_waiting)

    def watch(self, responses: Sequence[ScoredResponse]) -> None:
        """Score the responses that a model scored and whose item has a teacher in its shadow."""
        for response in responses:
            second = response.judged.live.second
            has_score = response.judged.judgement.score is not None
            if second is not None and second.policy == "shadow" and has_score:
                self._backlog.add(response)

    async def aclose(self) -> None:
        """Drop the responses that wait.  Rows that are being written are written."""
        await self._backlog.cancel()

    async def _score(self, response: ScoredResponse) -> None:
        live = response.judged.live
        if live.second is None:
            return
        async with self._turn:
            score = await self._pool.ask(live.second, response.judged.judgement.text)
        if score is None:
            return
        item = live.bundle.item
        row = ShadowScore(
            prediction_id=response.prediction.prediction_id,
            created_at=datetime.now(UTC),
            teacher=live.second.title,
            score=item.score(score.value),
            label=item.label(score.value),
            expected_score=score.expected,
            confidence=score.confidence,
        )
        await finish_in_thread(queries.add_shadow, self._engine, row, end=self._end)
