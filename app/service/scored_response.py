"""The record of one response in the service: judged, then scored as a prediction and a row of the log."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from app.scoring.decision import Judgement, LiveItem
from app.scoring.decoding import Score
from app.scoring.item import Item
from app.service.feedback.writer import Outcome, Task, Writer
from app.service.prediction import Prediction, Submission, feedback_of, with_feedback
from app.storage.attempts import MARKED_BEFORE, LogRow
from app.storage.ids import uuid7


@dataclass(frozen=True, slots=True)
class JudgedResponse:
    """A submission with its judgement: the student's, or the teacher's where the student was unsure."""

    position: int  # in the request
    submission: Submission
    live: LiveItem
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class FeedbackJob:
    """A text for a feedback model to write, with a reserved place in the model's queue."""

    writer: Writer
    task: Task


@dataclass(frozen=True, slots=True)
class ScoredResponse:
    """A judged response with its prediction and, where a feedback model is to write about it, the job."""

    judged: JudgedResponse
    prediction: Prediction
    feedback_job: FeedbackJob | None = None

    def as_written(self, row: LogRow) -> "ScoredResponse":
        """Return the response as the log wrote its row: an attempt that a person has marked is for review."""
        if MARKED_BEFORE not in row["flags"]:
            return self
        update = {"decision": row["decision"], "flags": row["flags"]}
        return replace(self, prediction=self.prediction.model_copy(update=update))

    def with_outcome(self, outcome: Outcome) -> "ScoredResponse":
        """Return the response with the outcome of its feedback job."""
        if self.feedback_job is None:
            return self
        feedback = feedback_of(self.feedback_job.task, outcome)
        return replace(self, prediction=with_feedback(self.prediction, feedback))


def predict(judged: JudgedResponse) -> Prediction:
    """Return the prediction of a judged response, without feedback."""
    live, judgement = judged.live, judged.judgement
    bundle, item = live.bundle, live.bundle.item
    by_teacher = live.second is not None and judgement.first is not None
    fields = {
        "prediction_id": uuid7(),
        "item_id": item.item_id,
        "bundle_version": bundle.version,
        "scored_by": judgement.scored_by,
        "teacher": live.second.title if live.second and by_teacher else None,
        "first_score": _first_score(item, judgement.first),
        "max_score": item.top_score,
        "decision": judgement.decision,
        "condition": judgement.condition,
        "flags": judgement.flags,
        "feedback": None,
        "feedback_withheld": None,
    }
    fields |= _value_fields(item, judgement.value, judged.submission.gradebook_max)
    fields |= _model_fields(item, judgement.score)
    return Prediction.model_validate(fields)


def _value_fields(item: Item, value: float | None, gradebook_max: float | None) -> dict[str, Any]:
    """Return the fields that any value has, whether a model or a rule gave it."""
    if value is None:
        return {"score": None, "label": None, "gradebook_score": None}
    return {
        "score": item.score(value),
        "label": item.label(value),
        "gradebook_score": item.gradebook_score(value, gradebook_max),
    }


def _model_fields(item: Item, score: Score | None) -> dict[str, Any]:
    """Return the fields that only a model's score has."""
    if score is None:
        return dict.fromkeys(("expected_score", "probabilities", "interval", "confidence"))
    prediction_set = None if score.prediction_set is None else item.named(score.prediction_set)
    return {
        "expected_score": score.expected,
        "probabilities": score.probabilities or None,
        "interval": score.interval or None,
        "prediction_set": prediction_set,
        "confidence": score.confidence,
    }


def _first_score(item: Item, first: Score | None) -> dict[str, Any] | None:
    if first is None:
        return None
    return {
        "score": item.score(first.value),
        "label": item.label(first.value),
        "expected_score": first.expected,
        "confidence": first.confidence,
    }


def row_of(scored: ScoredResponse, *, key_id: str | None, learner_hash: str | None, keeps_text: bool) -> LogRow:
    """Return the row of the log: every column of LoggedPrediction by name."""
    prediction, submission = scored.prediction, scored.judged.submission
    item = scored.judged.live.bundle.item
    return {
        "prediction_id": prediction.prediction_id,
        "created_at": datetime.now(UTC),
        "key_id": key_id,
        "item_id": prediction.item_id,
        "bundle_version": prediction.bundle_version,
        "scored_by": prediction.scored_by,
        "score": prediction.score,
        "label": prediction.label,
        "expected_score": prediction.expected_score,
        "max_score": prediction.max_score,
        "scale": scored.judged.live.scale,
        "gradebook_max": submission.gradebook_max,
        "gradebook_score": prediction.gradebook_score,
        "probabilities": prediction.probabilities,
        "interval": prediction.interval,
        "prediction_set": prediction.prediction_set,
        "confidence": prediction.confidence,
        "decision": prediction.decision,
        "condition": prediction.condition,
        "flags": prediction.flags,
        "teacher": prediction.teacher,
        "first_score": prediction.first_score and prediction.first_score.model_dump(),
        "feedback": prediction.feedback and prediction.feedback.model_dump(),
        "feedback_withheld": prediction.feedback_withheld,
        "response": submission.response if keeps_text else None,
        "response_format": submission.format or item.format,
        "learner_hash": learner_hash,
        "attempt_id": submission.attempt_id,
    }
