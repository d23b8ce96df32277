"""The use case: score responses, record every score, answer only when the record is kept."""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, computed_field
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.scoring.bundle import Bundle
from app.scoring.errors import ScoringError
from app.scoring.item import Item, Number
from app.scoring.judgement import Condition, Decision, Judgement
from app.scoring.registry import Registry
from app.settings import Settings
from app.storage import predictions
from app.storage.ids import uuid7
from app.storage.log import AlreadyClaimed, Claim, PredictionLog
from app.storage.tables import LoggedPrediction

OPEN = "open"  # the caller of idempotency claims while no key is made


class IdempotencyConflict(ScoringError):
    """The Idempotency-Key was used before with another body."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One response to be scored, already checked."""

    item_id: str
    response: str
    learner_id: str | None = None
    attempt_id: str | None = None
    gradebook_max: float | None = None
    feedback: bool = False


@dataclass(frozen=True, slots=True)
class Once:
    """What a caller sends to have a request done once: its key, and a hash of the body."""

    idempotency_key: str
    body_sha256: str


class Feedback(BaseModel):
    """What a learner may be told about a response."""

    model_config = ConfigDict(frozen=True)

    text: str
    source: Literal["bank"] = Field(description="`bank`: written by a teacher for this score.")
    version: str = Field(description="Of the bundle that the bank came with.")


class Prediction(BaseModel):
    """A scored, logged response: what POST /score replies."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    prediction_id: str
    item_id: str
    bundle_version: str
    scored_by: Literal["student", "rule"]
    score: Number | None
    label: str | None
    expected_score: float | None
    max_score: Number | None
    gradebook_score: float | None
    probabilities: list[float] | None
    interval: tuple[float, float] | None
    confidence: float | None
    decision: Decision
    condition: Condition | None
    feedback: Feedback | None = Field(description="Null unless it was asked for and there is any.")
    feedback_withheld: Literal["not_scored", "no_text"] | None = Field(
        description="Why there is none although it was asked for."
    )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def grading_progress(self) -> Literal["FullyGraded", "PendingManual"]:
        """The words of LTI Assignment and Grade Services."""
        return "FullyGraded" if self.decision == "auto" else "PendingManual"


class Refusal(BaseModel):
    """A response that was not scored, by the name of the error and its words."""

    model_config = ConfigDict(frozen=True)

    error: str
    detail: str


Result = Prediction | Refusal
_RESULTS: TypeAdapter[list[Result]] = TypeAdapter(list[Result])


class Scorer:
    """Scores submissions and records them."""

    def __init__(self, registry: Registry, log: PredictionLog, engine: Engine, settings: Settings) -> None:
        self.registry = registry
        self._log = log
        self._engine = engine
        self._settings = settings

    async def score(
        self, submissions: Sequence[Submission | Refusal], key_id: str | None, once: Once | None = None
    ) -> list[Result]:
        """One result a submission, in order, when all are committed; what is refused already is passed on.

        With `once`, a repeated call gets the stored results and writes nothing.  Raises IdempotencyConflict when its
        key stands for another body, and SQLAlchemyError when the log cannot be kept.
        """
        caller = key_id or OPEN
        if once and (stored := await to_thread.run_sync(self._stored, caller, once)):
            return stored
        if len(submissions) > 1:
            judged = await to_thread.run_sync(self._judge, submissions)
        else:
            judged = self._judge(submissions)  # one student run costs less than the way to a thread and back
        rows = [
            judgement
            if isinstance(judgement, Refusal) or isinstance(submission, Refusal)
            else self._row(submission, *judgement, key_id)
            for submission, judgement in zip(submissions, judged, strict=True)
        ]
        results: list[Result] = [row if isinstance(row, Refusal) else Prediction.model_validate(row) for row in rows]
        claim = None
        if once and any(isinstance(row, LoggedPrediction) for row in rows):  # what was all refused may be tried again
            kept = _RESULTS.dump_python(results, mode="json")
            claim = Claim(caller, once.idempotency_key, once.body_sha256, kept)
        try:
            await self._log.record([row for row in rows if isinstance(row, LoggedPrediction)], claim)
        except AlreadyClaimed:
            if once and (stored := await to_thread.run_sync(self._stored, caller, once)):
                return stored
            raise
        return results

    def _stored(self, caller: str, once: Once) -> list[Result] | None:
        with Session(self._engine) as session:
            claim = predictions.find_claim(session, caller, once.idempotency_key)
            if claim is None:
                return None
            if claim.body_sha256 != once.body_sha256:
                raise IdempotencyConflict("this Idempotency-Key was used before with another body")
            return _RESULTS.validate_python(claim.results)

    def _judge(self, submissions: Sequence[Submission | Refusal]) -> list[tuple[Bundle, Judgement] | Refusal]:
        """Each item's submissions go to its student in one list."""
        numbers: dict[str, list[int]] = defaultdict(list)
        judged: dict[int, tuple[Bundle, Judgement] | Refusal] = {}
        for number, submission in enumerate(submissions):
            if isinstance(submission, Refusal):
                judged[number] = submission
            else:
                numbers[submission.item_id].append(number)
        for item_id, own in numbers.items():
            try:
                live = self.registry.get(item_id)
            except ScoringError as error:
                judged.update(dict.fromkeys(own, Refusal(error=type(error).__name__, detail=str(error))))
                continue
            texts = [s.response for n in own if isinstance(s := submissions[n], Submission)]
            for number, judgement in zip(own, live.judge(texts), strict=True):
                judged[number] = (live.bundle, judgement)
        return [judged[number] for number in range(len(submissions))]

    def _row(
        self, submission: Submission, bundle: Bundle, judgement: Judgement, key_id: str | None
    ) -> LoggedPrediction:
        item, score = bundle.item, judgement.score
        feedback = _feedback(bundle, judgement) if submission.feedback else None
        return LoggedPrediction(
            prediction_id=uuid7(),
            created_at=datetime.now(UTC),
            key_id=key_id,
            item_id=item.item_id,
            bundle_version=bundle.version,
            scored_by=judgement.scored_by,
            score=item.score(score.value) if score else None,
            label=item.label(score.value) if score else None,
            expected_score=score.expected if score else None,
            max_score=item.top_score,
            gradebook_max=submission.gradebook_max,
            gradebook_score=gradebook_score(item, score.value, submission.gradebook_max) if score else None,
            probabilities=list(score.probabilities) if score and score.probabilities else None,
            interval=list(score.interval) if score and score.interval else None,
            confidence=score.confidence if score else None,
            decision=judgement.decision,
            condition=judgement.condition,
            feedback=feedback.model_dump() if isinstance(feedback, Feedback) else None,
            feedback_withheld=feedback if isinstance(feedback, str) else None,
            response=submission.response if self._settings.store_responses else None,
            learner_hash=self._pseudonym(submission.learner_id),
            attempt_id=submission.attempt_id,
        )

    def _pseudonym(self, learner_id: str | None) -> str | None:
        """HMAC-SHA256 under the installation's key.  Without a key nothing is kept: a plain hash can be guessed."""
        if learner_id is None or self._settings.learner_key is None:
            return None
        secret = self._settings.learner_key.get_secret_value().encode()
        return hmac.new(secret, learner_id.encode(), hashlib.sha256).hexdigest()


def _feedback(bundle: Bundle, judgement: Judgement) -> Feedback | Literal["not_scored", "no_text"]:
    if judgement.score is None:
        return "not_scored"
    text = bundle.item.banked_feedback(judgement.score.value)
    return "no_text" if text is None else Feedback(text=text, source="bank", version=bundle.version)


def gradebook_score(item: Item, value: float, gradebook_max: float | None) -> float | None:
    """The score on the gradebook's own scale, 0..gradebook_max, to two decimals; None for nominal items."""
    score, bottom = item.score(value), item.bottom_score
    if gradebook_max is None or score is None or bottom is None:
        return None
    return min(gradebook_max, max(0.0, round(gradebook_max * (score - bottom) / item.span, 2)))
