"""The values that enter and leave scoring: submissions, predictions, refusals, feedback."""

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, computed_field

from app.scoring.conditions import Condition, Flag
from app.scoring.decision import Decision, ScoredBy
from app.scoring.errors import ScoringError
from app.scoring.item import Item
from app.scoring.scale import Number, Scale
from app.scoring.text import Format
from app.service.feedback.writer import Failure, Outcome, Task
from app.storage.attempts import StandingMark


@dataclass(frozen=True, slots=True)
class Submission:
    """One response to be scored, already checked."""

    item_id: str
    response: str  # as it was sent, mark-up included; the log keeps this text
    learner_id: str | None = None
    attempt_id: str | None = None
    gradebook_max: float | None = None
    feedback: bool = False
    format: Format | None = None  # None: the item's


@dataclass(frozen=True, slots=True)
class Once:
    """A caller's wish to have a request done once: its key, and a hash of the body."""

    idempotency_key: str
    body_sha256: str


GradingProgress = Literal["FullyGraded", "PendingManual"]
Withheld = Failure | Literal["not_scored", "no_text", "pending", "erased"]


class Feedback(BaseModel):
    """Feedback for the learner."""

    model_config = ConfigDict(frozen=True)

    text: str = Field(description="The text for the learner.")
    source: Literal["bank", "model"] = Field(
        description="`bank`: a teacher's text for this score; `model`: a language model's text for this response."
    )
    version: str = Field(description="Version of the bundle that holds the bank, or of the feedback model.")
    instead_because: Failure | None = Field(
        default=None, description="Reason for a text from the bank where a language model should have written."
    )


class FirstScore(BaseModel):
    """The score of a student that was unsure."""

    model_config = ConfigDict(frozen=True)

    score: Number | None = Field(description="The student's score; null for nominal items.")
    label: str | None = Field(description="The student's label; null for items without labels.")
    expected_score: float | None = Field(description="Mean of the scores, weighted by the student's probabilities.")
    confidence: float = Field(description="Calibrated probability that a rater would give the student's score.")


class Prediction(BaseModel):
    """A scored, logged response: the reply of POST /score."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    prediction_id: str = Field(description="UUIDv7 of the logged prediction.")
    item_id: str = Field(description="The item that the response answers.")
    bundle_version: str = Field(description="Version of the bundle that scored.")
    scored_by: ScoredBy = Field(
        description="`student`, `teacher` if the student was unsure, or `rule` if no model scored."
    )
    teacher: str | None = Field(default=None, description="The teacher that scored, where the student was unsure.")
    first_score: FirstScore | None = Field(default=None, description="The student's score, where a teacher scored.")
    score: Number | None = Field(
        description="Points, the rank of an ordinal label from 0, or a grade. Null for nominal items and if unscored."
    )
    label: str | None = Field(description="Label of ordinal and nominal items.")
    expected_score: float | None = Field(description="Mean of the scores, weighted by their probabilities.")
    max_score: Number | None = Field(description="Largest score of the scale; null for nominal items.")
    gradebook_score: float | None = Field(
        description="The score on 0..`gradebook_max`, unrounded: 0 is the worst score."
    )
    probabilities: list[float] | None = Field(
        description="Probability of each score from the smallest, or of each label; null for grades."
    )
    interval: tuple[float, float] | None = Field(
        description="For grades: the interval that likely holds a human grade."
    )
    prediction_set: list[Number] | list[str] | None = Field(
        default=None, description="The scores or labels that likely include a human one; null for grades."
    )
    confidence: float | None = Field(
        description="Calibrated probability that a rater would give this score, or a grade within a tenth of the scale."
    )
    decision: Decision = Field(
        description="`auto`: the score may stand. `review`: a person should check. `not_scorable`: see `condition`."
    )
    condition: Condition | None = Field(description="Why no model scored the response.")
    flags: list[Flag | Literal["marked_before"]] = Field(
        description="Why a person should check the score. `marked_before`: a person has marked this attempt, and that "
        "mark stands: see `final` on GET /predictions/{id}."
    )
    feedback: Feedback | None = Field(description="Feedback for the learner, if requested and available.")
    feedback_withheld: Withheld | None = Field(
        description="Why requested feedback is missing. `pending`: a model is writing it, and GET /predictions/{id} "
        "will have it."
    )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def grading_progress(self) -> GradingProgress:
        """Status in the words of LTI Assignment and Grade Services."""
        return "FullyGraded" if self.decision == "auto" else "PendingManual"


class Invalid(BaseModel):
    """One fault of a request.  The value itself is never repeated."""

    where: str = Field(description="Place of the fault, such as `body.response`.")
    code: str = Field(description="A stable name for the reason.")
    reason: str = Field(description="The fault in a sentence for people.")


NOT_AS_DOCUMENTED = "the request is not as documented"


class Refusal(BaseModel):
    """A response that was not scored: the error's class, its code and its sentence."""

    model_config = ConfigDict(frozen=True)

    error: str
    code: str
    detail: str
    errors: list[Invalid] | None = Field(default=None, description="For InvalidRequest: each fault.")


def refusal_of(error: ScoringError) -> Refusal:
    """Return the refusal that an error causes."""
    return Refusal(error=type(error).__name__, code=error.code, detail=str(error))


def invalid_request(errors: list[Invalid]) -> Refusal:
    """Return the refusal of a request that is not as documented."""
    return Refusal(error="InvalidRequest", code="invalid_request", detail=NOT_AS_DOCUMENTED, errors=errors)


Result = Prediction | Refusal
PredictionT = TypeVar("PredictionT", bound=Prediction)


def feedback_from_bank(
    item: Item, value: float, bundle_version: str, instead_because: Failure | None = None
) -> Feedback | Withheld:
    """Return the bank's text for a value, or the reason that there is none."""
    text = item.banked_feedback(value)
    if text is None:
        return instead_because or "no_text"
    return Feedback(text=text, source="bank", version=bundle_version, instead_because=instead_because)


def feedback_of(task: Task, outcome: Outcome) -> Feedback | Withheld:
    """Return a model's text or, where it failed, the bank's; without either, the reason."""
    if outcome.text is not None:
        return Feedback(text=outcome.text, source="model", version=outcome.model)
    return feedback_from_bank(task.item, task.value, task.bundle_version, outcome.failure)


_FEEDBACK: TypeAdapter[Feedback | Withheld] = TypeAdapter(Feedback | Withheld)


def with_feedback(prediction: PredictionT, outcome: Feedback | dict[str, Any] | str) -> PredictionT:
    """Return the prediction with feedback, or with the reason for its absence.  Both may come as the log keeps them."""
    feedback = _FEEDBACK.validate_python(outcome)
    is_text = isinstance(feedback, Feedback)
    update = {"feedback": feedback if is_text else None, "feedback_withheld": None if is_text else feedback}
    return prediction.model_copy(update=update)


class Final(BaseModel):
    """The score that stands: the newest human mark on the attempt, else a score with decision `auto`."""

    model_config = ConfigDict(frozen=True)

    by: Literal["human", "machine"] = Field(description="`human` for a mark, `machine` for a score that stands alone.")
    score: Number | None = Field(description="On the scale of the prediction that `prediction_id` names.")
    label: str | None = Field(description="Label of ordinal and nominal items.")
    gradebook_score: float | None = Field(description="The score on this prediction's gradebook.")
    prediction_id: str = Field(
        description="The prediction that the mark was given on: this one, or another of the same attempt."
    )


def final(prediction: Prediction, gradebook_max: float | None, standing: StandingMark | None) -> Final | None:
    """Return the score that stands: a human mark always wins; without one only a score with decision `auto` does.

    A mark on another prediction of the attempt is converted to the gradebook scale of this one.
    """
    if standing is None:
        if prediction.decision != "auto":
            return None
        machine = {name: getattr(prediction, name) for name in ("score", "label", "gradebook_score", "prediction_id")}
        return Final(by="machine", **machine)
    mark, marked = standing
    place = mark.gradebook_score
    if marked.prediction_id != prediction.prediction_id:
        place = None if marked.scale is None else Scale(**marked.scale).place(mark.score, mark.label, gradebook_max)
    return Final(
        by="human",
        score=mark.score,
        label=mark.label,
        gradebook_score=place,
        prediction_id=marked.prediction_id,
    )
