"""The use case: score responses, record every score, answer only when the record is kept."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.concurrency.time_limits import DEFAULT_LIMITS, TimeLimits
from app.scoring.bundle import Bundle
from app.scoring.decision import Judgement, LiveItem
from app.scoring.errors import ScoringError
from app.scoring.registry import Registry
from app.service.feedback.model_pool import ModelPool
from app.service.feedback.writer import Task, Writer
from app.service.metrics import Metrics
from app.service.prediction import (
    Feedback,
    Once,
    Prediction,
    Refusal,
    Result,
    Submission,
    Withheld,
    banked,
    told,
    with_feedback,
)
from app.service.shadow_versions import ShadowVersions
from app.service.student_runner import StudentRunner
from app.service.teacher_fallback import Judged, TeacherFallback
from app.settings import Settings
from app.storage import queries
from app.storage.attempts import LogRow
from app.storage.ids import uuid7
from app.storage.learners import pseudonym
from app.storage.prediction_log import AlreadyClaimed, Claim, PredictionLog
from app.storage.timeouts import in_thread

OPEN = "open"  # the caller of idempotency claims while no key is made


class IdempotencyConflict(ScoringError):
    """The Idempotency-Key was used before with another body."""


_RESULTS: TypeAdapter[list[Result]] = TypeAdapter(list[Result])


class ScoringService:
    """Scores submissions and records them."""

    def __init__(
        self,
        registry: Registry,
        log: PredictionLog,
        engine: Engine,
        settings: Settings,
        desk: ModelPool | None = None,
        metrics: Metrics | None = None,
        waits: TimeLimits = DEFAULT_LIMITS,
    ) -> None:
        self.desk = desk or ModelPool([], {}, {})
        self.second_opinions = TeacherFallback(engine, settings, end=waits.end)
        self.shadows = ShadowVersions(engine, end=waits.end)
        self._metrics = metrics or Metrics()
        self._judges = StudentRunner(registry, looks_again=settings.reload_seconds > 0, end=waits.end)
        self._log = log
        self._engine = engine
        self._settings = settings
        self._patience = waits.database

    async def score(
        self,
        submissions: Sequence[Submission | Refusal],
        key_id: str | None,
        once: Once | None = None,
        wait: float = 0.0,
    ) -> list[Result]:
        """One result a submission, in order, when all are committed; what is refused already is passed on.

        With `once`, a repeated call gets the stored results and writes nothing.  `wait`: seconds that the caller would
        wait for generated feedback, after the commit.  Raises IdempotencyConflict when its key stands for another body,
        and SQLAlchemyError when the log cannot be kept.
        """
        caller = key_id or OPEN
        if once and (stored := await in_thread(self._stored, caller, once, seconds=self._patience)):
            return stored
        judged = await self._judges.judge(submissions)
        await self.second_opinions.fall_back(submissions, judged)
        wanted: dict[str, tuple[Writer, Task]] = {}
        try:
            results = await self._record(submissions, judged, key_id, once, wanted)
        except BaseException as error:  # cancelled calls too give their places in queues back
            for writer, _ in wanted.values():
                writer.places.release()
            repeated = isinstance(error, AlreadyClaimed) and once
            if repeated and (stored := await in_thread(self._stored, caller, repeated, seconds=self._patience)):
                return stored
            raise
        self._metrics.scored(results)
        self.second_opinions.watch(submissions, judged, results)
        self.shadows.watch(submissions, judged, results)
        writing = {prediction_id: writer.submit(task) for prediction_id, (writer, task) in wanted.items()}
        if not writing or wait <= 0:
            return results
        written, _ = await asyncio.wait(writing.values(), timeout=wait)
        in_time = {number: future.result() for number, future in writing.items() if future in written}
        return [
            with_feedback(result, told(wanted[result.prediction_id][1], in_time[result.prediction_id]))
            if isinstance(result, Prediction) and result.prediction_id in in_time
            else result
            for result in results
        ]

    async def _record(
        self,
        submissions: Sequence[Submission | Refusal],
        judged: Sequence[Judged],
        key_id: str | None,
        once: Once | None,
        wanted: dict[str, tuple[Writer, Task]],
    ) -> list[Result]:
        """The results, when their rows are committed; what feedback models have taken on is added to `wanted`."""
        rows: list[LogRow] = []
        refusals: list[Refusal | None] = []
        for submission, judgement in zip(submissions, judged, strict=True):
            if isinstance(submission, Refusal):
                refusals.append(submission)
            elif isinstance(judgement, Refusal):
                refusals.append(judgement)
            else:
                rows.append(self._row(submission, *judgement, key_id, wanted))
                refusals.append(None)

        def results(written: Sequence[LogRow]) -> list[Result]:
            predictions = map(Prediction.model_validate, written)
            return [next(predictions) if refusal is None else refusal for refusal in refusals]

        claim = None
        if once and rows:  # a request that was refused whole may be tried again

            def kept(written: Sequence[LogRow]) -> list[Any]:
                return list(_RESULTS.dump_python(results(written), mode="json"))

            claim = Claim(key_id or OPEN, once.idempotency_key, once.body_sha256, kept)
        return results(await self._log.record(rows, claim))

    @property
    def log_is_failing(self) -> bool:
        """Whether the database did not take the last score."""
        return self._log.failing

    @property
    def waiting(self) -> int:
        """Submissions that nobody has begun to judge."""
        return self._judges.waiting

    async def aclose(self) -> None:
        """What is being judged ends first."""
        await self._judges.aclose()
        await self.second_opinions.aclose()
        await self.shadows.aclose()

    def _stored(self, caller: str, once: Once) -> list[Result] | None:
        with Session(self._engine) as session:
            claim = queries.find_claim(session, caller, once.idempotency_key)
            if claim is None:
                return None
            if claim.body_sha256 != once.body_sha256:
                raise IdempotencyConflict("this Idempotency-Key was used before with another body")
            results = _RESULTS.validate_python(claim.results)
            ids = [result.prediction_id for result in results if isinstance(result, Prediction)]
            since = queries.generated_feedback(session, ids)
            return [
                with_feedback(result, since[result.prediction_id])
                if isinstance(result, Prediction) and result.prediction_id in since
                else result
                for result in results
            ]

    def _row(
        self,
        submission: Submission,
        live: LiveItem,
        judgement: Judgement,
        key_id: str | None,
        wanted: dict[str, tuple[Writer, Task]],
    ) -> LogRow:
        """What a feedback model has taken on is added to `wanted`."""
        bundle, score, value, prediction_id = live.bundle, judgement.score, judgement.value, uuid7()
        item, first = bundle.item, judgement.first
        feedback: Feedback | Withheld | None = None
        if submission.feedback:
            feedback = self._feedback(prediction_id, bundle, judgement, wanted)
        return {
            "prediction_id": prediction_id,
            "created_at": datetime.now(UTC),
            "key_id": key_id,
            "item_id": item.item_id,
            "bundle_version": bundle.version,
            "scored_by": judgement.scored_by,
            "score": item.score(value) if value is not None else None,
            "label": item.label(value) if value is not None else None,
            "expected_score": score.expected if score else None,
            "max_score": item.top_score,
            "scale": item.scale_as_json(),
            "gradebook_max": submission.gradebook_max,
            "gradebook_score": None if value is None else item.gradebook_score(value, submission.gradebook_max),
            "probabilities": list(score.probabilities) if score and score.probabilities else None,
            "interval": list(score.interval) if score and score.interval else None,
            "prediction_set": item.named(score.prediction_set) if score and score.prediction_set is not None else None,
            "confidence": score.confidence if score else None,
            "decision": judgement.decision,
            "condition": judgement.condition,
            "flags": list(judgement.flags),
            "teacher": live.second.title if live.second and first else None,
            "first_score": None
            if first is None
            else {
                "score": item.score(first.value),
                "label": item.label(first.value),
                "expected_score": first.expected,
                "confidence": first.confidence,
            },
            "feedback": feedback.model_dump() if isinstance(feedback, Feedback) else None,
            "feedback_withheld": feedback if isinstance(feedback, str) else None,
            "response": submission.response if self._settings.store_responses else None,
            "response_format": submission.format or item.format,
            "learner_hash": self._pseudonym(submission.learner_id),
            "attempt_id": submission.attempt_id,
        }

    def _feedback(
        self,
        prediction_id: str,
        bundle: Bundle,
        judgement: Judgement,
        wanted: dict[str, tuple[Writer, Task]],
    ) -> Feedback | Withheld:
        item, value = bundle.item, judgement.value
        if value is None:
            return "not_scored"
        # No model writes about a response without an answer; the bank has a text for the score.
        writer = self.desk.writer_for(bundle) if judgement.score is not None else None
        if writer is None:
            return banked(item, value, bundle.version)
        if not writer.places.reserve():
            return banked(item, value, bundle.version, "queue_full")
        wanted[prediction_id] = (writer, Task(prediction_id, item, bundle.version, judgement.text, value))
        return "pending"

    def _pseudonym(self, learner_id: str | None) -> str | None:
        """Return the pseudonym of a learner.  Without a key in the settings nothing is kept."""
        if learner_id is None or self._settings.learner_key is None:
            return None
        return pseudonym(self._settings.learner_key.get_secret_value(), learner_id)
