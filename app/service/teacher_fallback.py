"""Teachers asked about what students scored: in their place where they are unsure, or in their shadow."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.concurrency.shutdown import finish_in_thread
from app.concurrency.time_limits import DEFAULT_LIMITS
from app.logs import coded
from app.scoring.decision import Judgement, LiveItem, SecondScorer
from app.scoring.item import Item
from app.service.prediction import Prediction, Refusal, Result, Submission
from app.service.teacher_pool import TeacherPool
from app.settings import Settings
from app.storage import queries
from app.storage.tables import ShadowScore

log = logging.getLogger("scorelet")
MOST_SHADOWS = 10_000  # that wait; what is beyond is not scored
Judged = tuple[LiveItem, Judgement] | Refusal


class TeacherFallback:
    """All teachers of an installation."""

    def __init__(
        self, engine: Engine, settings: Settings, *, end: float = DEFAULT_LIMITS.end, most_shadows: int = MOST_SHADOWS
    ) -> None:
        self.pool = TeacherPool(
            workers=settings.fallback_workers, queue=settings.fallback_queue, timeout=settings.fallback_timeout
        )
        self._engine, self._end, self._most_shadows = engine, end, most_shadows
        self._shadows: set[asyncio.Task[None]] = set()
        self._shadow_turn = asyncio.Semaphore(1)  # shadows take one place of the pool, whoever needs it goes before

    async def fall_back(self, submissions: Sequence[Submission | Refusal], judged: list[Judged]) -> None:
        """Where a student is unsure, and its item's policy allows, `judged` becomes what the teacher says."""
        unsure: list[tuple[int, LiveItem, Judgement, SecondScorer, str]] = []
        for number, (submission, own) in enumerate(zip(submissions, judged, strict=True)):
            if isinstance(own, Refusal) or isinstance(submission, Refusal):
                continue
            live, judgement = own
            if live.second is not None and live.falls_back(judgement):
                unsure.append((number, live, judgement, live.second, judgement.text))
        if not unsure:
            return
        scores = await self.pool.ask_all([(second, response) for *_, second, response in unsure])
        for (number, live, judgement, _, _), score in zip(unsure, scores, strict=True):
            judged[number] = (live, live.judge_again(judgement, score))

    def watch(
        self, submissions: Sequence[Submission | Refusal], judged: Sequence[Judged], results: Sequence[Result]
    ) -> None:
        """Teachers in the shadow score what was scored, and are written down; nobody waits for them."""
        for submission, own, result in zip(submissions, judged, results, strict=True):
            if isinstance(own, Refusal) or isinstance(submission, Refusal) or isinstance(result, Refusal):
                continue
            live, judgement = own
            if len(self._shadows) >= self._most_shadows:
                return
            if live.second is not None and live.second.policy == "shadow" and judgement.score is not None:
                task = asyncio.create_task(self._shadow(live.second, live.bundle.item, judgement.text, result))
                self._shadows.add(task)
                task.add_done_callback(self._shadows.discard)

    async def _shadow(self, second: SecondScorer, item: Item, response: str, given: Prediction) -> None:
        async with self._shadow_turn:
            score = await self.pool.ask(second, response)
        if score is None:
            return
        row = ShadowScore(
            prediction_id=given.prediction_id,
            created_at=datetime.now(UTC),
            teacher=second.title,
            score=item.score(score.value),
            label=item.label(score.value),
            expected_score=score.expected,
            confidence=score.confidence,
        )
        try:
            await finish_in_thread(queries.add_shadow, self._engine, row, end=self._end)
        except SQLAlchemyError as error:
            log.error("a shadow score was not kept: %s", type(error).__name__, extra=coded("second_score_not_kept"))

    async def aclose(self) -> None:
        """Shadows that are being scored are given up; those that are being written are written."""
        for task in list(self._shadows):
            task.cancel()
        await asyncio.gather(*self._shadows, return_exceptions=True)
        self.pool.close()
