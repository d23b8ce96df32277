"""Another version of a bundle beside the live one: it scores what that scores, is written down, and nobody is told."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, insert

from app.concurrency.batcher import Batcher
from app.concurrency.time_limits import DEFAULT_LIMITS
from app.logs import coded
from app.scoring.decision import LiveItem
from app.service.prediction import Prediction, Refusal, Result, Submission
from app.service.teacher_fallback import Judged
from app.storage.prediction_log import CALL_ERRORS, DATABASE_ERRORS
from app.storage.tables import ShadowVersion

log = logging.getLogger("scorelet")
MOST_WAITING = 10_000  # that wait; what is beyond is not scored
MOST = 64  # in one transaction


@dataclass(frozen=True, slots=True)
class _Seen:
    live: LiveItem
    submission: Submission
    prediction_id: str


class ShadowVersions:
    def __init__(self, engine: Engine, *, end: float = DEFAULT_LIMITS.end, most_waiting: int = MOST_WAITING) -> None:
        self._engine, self._end, self._most_waiting = engine, end, most_waiting
        self._writer: Batcher[_Seen, None] = Batcher(self._write, MOST, "shadows", end)
        self._waiting: set[asyncio.Task[None]] = set()

    def watch(
        self, submissions: Sequence[Submission | Refusal], judged: Sequence[Judged], results: Sequence[Result]
    ) -> None:
        """What was given is scored by the shadows too; nobody waits for them."""
        for submission, own, result in zip(submissions, judged, results, strict=True):
            if isinstance(own, Refusal) or not isinstance(submission, Submission) or not isinstance(result, Prediction):
                continue
            live, _ = own
            if live.shadow is None or len(self._waiting) >= self._most_waiting:
                continue
            task = asyncio.create_task(self._note(_Seen(live, submission, result.prediction_id)))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def aclose(self) -> None:
        """Write first what waits, if that takes no longer than `end` seconds."""
        if self._waiting:
            _, late = await asyncio.wait(self._waiting, timeout=self._end)
            for task in late:
                task.cancel()
        await self._writer.aclose()

    async def _note(self, seen: _Seen) -> None:
        try:
            await self._writer.ask(seen)
        except Exception as error:  # of no consequence for the score, which is given
            log.error("a shadow's score was not kept: %s", type(error).__name__, extra=coded("shadow_not_kept"))

    def _write(self, together: list[_Seen]) -> list[Exception | None]:
        rows = []
        for seen in together:
            shadow = seen.live.shadow
            if shadow is None:
                continue
            item = shadow.bundle.item
            [judgement] = shadow.judge([shadow.read(seen.submission.response, seen.submission.format)])
            score = judgement.score
            rows.append(
                {
                    "prediction_id": seen.prediction_id,
                    "version": shadow.bundle.version,
                    "created_at": datetime.now(UTC),
                    "score": item.score(score.value) if score else None,
                    "label": item.label(score.value) if score else None,
                    "expected_score": score.expected if score else None,
                    "confidence": score.confidence if score else None,
                    "decision": judgement.decision,
                }
            )
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(ShadowVersion), rows)
        except CALL_ERRORS:
            raise
        except DATABASE_ERRORS as error:
            return [error] * len(together)
        return [None] * len(together)
