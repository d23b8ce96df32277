"""The use case: score responses, record every score, reply only when the record is committed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.concurrency.time_limits import DEFAULT_LIMITS
from app.scoring.errors import ScoringError
from app.service.feedback.model_pool import ModelPool
from app.service.feedback.writer import Outcome, Task
from app.service.metrics import Metrics
from app.service.prediction import (
    Once,
    Prediction,
    Refusal,
    Result,
    Submission,
    feedback_from_bank,
    with_feedback,
)
from app.service.scored_response import FeedbackJob, JudgedResponse, ScoredResponse, predict, row_of
from app.service.shadows import Shadow
from app.service.student_runner import StudentRunner
from app.service.teacher_fallback import fall_back
from app.service.teacher_pool import TeacherPool
from app.settings import Settings
from app.storage import queries
from app.storage.attempts import LogRow
from app.storage.learners import pseudonym
from app.storage.prediction_log import AlreadyClaimed, Claim, PredictionLog
from app.storage.timeouts import in_thread

OPEN = "open"  # the caller of idempotency claims while no key is made


class IdempotencyConflict(ScoringError):
    """The Idempotency-Key was used before with another body."""


_RESULTS: TypeAdapter[list[Result]] = TypeAdapter(list[Result])


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringService:
    """Scores submissions and records them.  Its parts are started and closed by its maker."""

    student_runner: StudentRunner
    teacher_pool: TeacherPool
    model_pool: ModelPool
    shadows: Sequence[Shadow]
    prediction_log: PredictionLog
    engine: Engine
    settings: Settings
    metrics: Metrics
    timeout: float = DEFAULT_LIMITS.database

    async def score(
        self,
        submissions: Sequence[Submission | Refusal],
        key_id: str | None,
        once: Once | None = None,
        wait: float = 0.0,
    ) -> list[Result]:
        """Return one result for each submission, in order, when all are committed.  A refusal is returned as it is.

        With `once`, a repeated call gets the stored results and writes nothing.  After the commit, wait for at most
        `wait` seconds for generated feedback.  Raises IdempotencyConflict if the key was used for another body, and
        SQLAlchemyError if the results cannot be logged.
        """
        if once and (stored := await self._stored(key_id, once)):
            return stored
        accepted, refusals = _split(submissions)
        judged = await self.student_runner.judge(accepted, alone=len(submissions) == 1)
        refusals |= judged.refusals
        responses = await fall_back(self.teacher_pool, judged.responses)
        try:
            scored = await self._record(responses, refusals, key_id, once)
        except AlreadyClaimed:
            if once and (stored := await self._stored(key_id, once)):
                return stored
            raise
        self.metrics.scored([response.prediction for response in scored])
        self.metrics.refused(refusals.values())
        for shadow in self.shadows:
            shadow.watch(scored)
        return _results(await _with_generated_feedback(scored, wait), refusals)

    async def _record(
        self,
        judged: Sequence[JudgedResponse],
        refusals: dict[int, Refusal],
        key_id: str | None,
        once: Once | None,
    ) -> list[ScoredResponse]:
        """Return the responses with their predictions, as the log has committed them."""
        scored: list[ScoredResponse] = []
        try:
            for judged_response in judged:
                scored.append(self._scored(judged_response))  # noqa: PERF401  # an error leaves places to release
            rows = [self._row_of(response, key_id) for response in scored]
            claim = _claim(scored, refusals, key_id, once) if once and rows else None
            return _as_written(scored, await self.prediction_log.record(rows, claim))
        except BaseException:  # a cancelled call too
            for response in scored:
                if response.feedback_job is not None:
                    response.feedback_job.writer.places.release()
            raise

    def _scored(self, judged: JudgedResponse) -> ScoredResponse:
        """Return the response with its prediction, and with a feedback job if a model is to write a text."""
        prediction = predict(judged)
        if not judged.submission.feedback:
            return ScoredResponse(judged, prediction)
        bundle, judgement = judged.live.bundle, judged.judgement
        item, value = bundle.item, judgement.value
        if value is None:
            return ScoredResponse(judged, with_feedback(prediction, "not_scored"))
        # No model writes about a response without an answer; the bank has a text for the rule's score.
        writer = self.model_pool.writer_for(bundle) if judgement.score is not None else None
        if writer is None:
            banked = feedback_from_bank(item, value, bundle.version)
            return ScoredResponse(judged, with_feedback(prediction, banked))
        pending = with_feedback(prediction, "pending")
        task = Task(prediction.prediction_id, item, bundle.version, judgement.text, value)
        if not writer.places.reserve():
            banked = feedback_from_bank(item, value, bundle.version, "queue_full")
            return ScoredResponse(judged, with_feedback(prediction, banked))
        return ScoredResponse(judged, pending, FeedbackJob(writer, task))

    def _row_of(self, response: ScoredResponse, key_id: str | None) -> LogRow:
        """Return the response's row.  Without a key for learners in the settings, no learner is kept."""
        learner_id, learner_key = response.judged.submission.learner_id, self.settings.learner_key
        learner_hash = None
        if learner_id is not None and learner_key is not None:
            learner_hash = pseudonym(learner_key.get_secret_value(), learner_id)
        keeps_text = self.settings.store_responses
        return row_of(response, key_id=key_id, learner_hash=learner_hash, keeps_text=keeps_text)

    async def _stored(self, key_id: str | None, once: Once) -> list[Result] | None:
        return await in_thread(self._read_stored, key_id or OPEN, once, seconds=self.timeout)

    def _read_stored(self, caller: str, once: Once) -> list[Result] | None:
        """Return the stored results of an earlier call, with feedback written since.  Raises IdempotencyConflict."""
        with Session(self.engine) as session:
            claim = queries.find_claim(session, caller, once.idempotency_key)
            if claim is None:
                return None
            if claim.body_sha256 != once.body_sha256:
                raise IdempotencyConflict("this Idempotency-Key was used before with another body")
            results = _RESULTS.validate_python(claim.results)
            ids = [result.prediction_id for result in results if isinstance(result, Prediction)]
            generated = queries.generated_feedback(session, ids)
        for index, result in enumerate(results):
            if isinstance(result, Prediction) and result.prediction_id in generated:
                results[index] = with_feedback(result, generated[result.prediction_id])
        return results


def _split(submissions: Sequence[Submission | Refusal]) -> tuple[dict[int, Submission], dict[int, Refusal]]:
    """Return the submissions and the refusals of a request, by position."""
    accepted: dict[int, Submission] = {}
    refusals: dict[int, Refusal] = {}
    for position, submission in enumerate(submissions):
        if isinstance(submission, Refusal):
            refusals[position] = submission
        else:
            accepted[position] = submission
    return accepted, refusals


def _results(scored: Sequence[ScoredResponse], refusals: dict[int, Refusal]) -> list[Result]:
    """Return predictions and refusals in the order of the request."""
    results: dict[int, Result] = {**refusals}
    for response in scored:
        results[response.judged.position] = response.prediction
    return [results[position] for position in range(len(results))]


def _claim(scored: Sequence[ScoredResponse], refusals: dict[int, Refusal], key_id: str | None, once: Once) -> Claim:
    """Return the claim that is committed with the rows.  A request that was refused whole makes none."""

    def results_as_written(rows: Sequence[LogRow]) -> list[Any]:
        results = _results(_as_written(scored, rows), refusals)
        return list(_RESULTS.dump_python(results, mode="json"))

    return Claim(key_id or OPEN, once.idempotency_key, once.body_sha256, results_as_written)


def _as_written(scored: Sequence[ScoredResponse], rows: Sequence[LogRow]) -> list[ScoredResponse]:
    return [response.as_written(row) for response, row in zip(scored, rows, strict=True)]


async def _with_generated_feedback(scored: list[ScoredResponse], wait: float) -> list[ScoredResponse]:
    """Submit the feedback jobs, and return the responses with the texts written within `wait` seconds."""
    writing: dict[int, asyncio.Future[Outcome]] = {}
    for index, response in enumerate(scored):
        if response.feedback_job is not None:
            writing[index] = response.feedback_job.writer.submit(response.feedback_job.task)
    if not writing or wait <= 0:
        return scored
    written, _ = await asyncio.wait(writing.values(), timeout=wait)
    for index, future in writing.items():
        if future in written:
            scored[index] = scored[index].with_outcome(future.result())
    return scored
