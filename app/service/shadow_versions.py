"""Another version of a bundle in the shadow of the live one: it scores the same responses, and is only logged."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, insert

from app.concurrency.batcher import Batcher
from app.concurrency.time_limits import DEFAULT_LIMITS
from app.scoring.decision import ShadowItem
from app.service.scored_response import ScoredResponse
from app.service.shadows import MAX_WAITING, ShadowBacklog
from app.storage.prediction_log import CALL_ERRORS, DATABASE_ERRORS
from app.storage.tables import ShadowVersion

MAX_ROWS = 64  # in one transaction


class ShadowVersions:
    """The shadow versions of all items."""

    def __init__(self, engine: Engine, *, end: float = DEFAULT_LIMITS.end, max_waiting: int = MAX_WAITING) -> None:
        self._engine, self._end = engine, end
        self._batcher: Batcher[ScoredResponse, None] = Batcher(self._score_and_write, MAX_ROWS, "shadows", end)
        self._backlog = ShadowBacklog(self._batcher.ask, error_code="shadow_not_kept", max_waiting=max_waiting)

    def watch(self, responses: Sequence[ScoredResponse]) -> None:
        """Score the responses whose item has a version in its shadow."""
        for response in responses:
            if response.judged.live.shadow is not None:
                self._backlog.add(response)

    async def aclose(self) -> None:
        """Score and write the responses that wait, for at most `end` seconds."""
        await self._backlog.finish(self._end)
        await self._batcher.aclose()

    def _score_and_write(self, responses: list[ScoredResponse]) -> list[Exception | None]:
        rows = []
        for response in responses:
            shadow = response.judged.live.shadow
            if shadow is not None:
                rows.append(_row_of(response, shadow))
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(ShadowVersion), rows)
        except CALL_ERRORS:
            raise
        except DATABASE_ERRORS as error:
            return [error] * len(responses)
        return [None] * len(responses)


def _row_of(response: ScoredResponse, shadow: ShadowItem) -> dict[str, Any]:
    submission, item = response.judged.submission, shadow.bundle.item
    [judgement] = shadow.judge([shadow.read(submission.response, submission.format)])
    score = judgement.score
    return {
        "prediction_id": response.prediction.prediction_id,
        "version": shadow.bundle.version,
        "created_at": datetime.now(UTC),
        "score": item.score(score.value) if score else None,
        "label": item.label(score.value) if score else None,
        "expected_score": score.expected if score else None,
        "confidence": score.confidence if score else None,
        "decision": judgement.decision,
    }
