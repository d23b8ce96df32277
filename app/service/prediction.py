"""What goes into scoring and what comes out: submissions, predictions, refusals, feedback."""

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
    response: str  # as it was sent, mark-up included: this is what the log keeps
    learner_id: str | None = None
    attempt_id: str | None = None
    gradebook_max: float | None = None
    feedback: bool = False
    format: Format | None = None  # None: as the item says


@dataclass(frozen=True, slots=True)
class Once:
    """What a caller sends to have a request done once: its key, and a hash of the body."""

    idempotency_key: str
    body_sha256: str


GradingProgress = Literal["FullyGraded", "PendingManual"]
Withheld = Failure | Literal["not_scored", "no_text", "pending", "erased"]


class Feedback(BaseModel):
    """What a learner may be told about a response."""

    model_config = ConfigDict(frozen=True)

    text: str
    source: Literal["bank", "model"] = Field(
        description="`bank`: written by a teacher for this score; `model`: by a language model for this response."
    )
    version: str = Field(description="Of the bundle that the bank came with, or of the feedback model.")
    instead_because: Failure | None = Field(
        default=None, description="Why the bank speaks where a language model should have."
    )


class FirstScore(BaseModel):
    """What the student was not sure enough of."""

    model_config = ConfigDict(frozen=True)

    score: Number | None
    label: str | None
    expected_score: float | None
    confidence: float


class Prediction(BaseModel):
    """A scored, logged response: what POST /score replies."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    prediction_id: str
    item_id: str
    bundle_version: str
    scored_by: ScoredBy
    teacher: str | None = Field(
        default=None, description="Which teacher scored, where the student was not sure enough."
    )
    first_score: FirstScore | None = Field(default=None, description="The student's own score, where a teacher scored.")
    score: Number | None
    label: str | None
    expected_score: float | None
    max_score: Number | None
    gradebook_score: float | None
    probabilities: list[float] | None
    interval: tuple[float, float] | None = Field(description="Of grades: where a human one is likely to lie.")
    prediction_set: list[Number] | list[str] | None = Field(
        default=None, description="Scores, or labels, among which a human one is likely to be; null for grades."
    )
    confidence: float | None
    decision: Decision
    condition: Condition | None = Field(description="Why no model was asked.")
    flags: list[Flag | Literal["marked_before"]] = Field(
        description="Why a person should look at the score. `marked_before`: a person has marked this attempt, and the "
        "mark stands: see `final` on GET /predictions/{id}."
    )
    feedback: Feedback | None = Field(description="Null unless it was asked for and there is any.")
    feedback_withheld: Withheld | None = Field(
        description="Why there is none although it was asked for. `pending`: it is on GET /predictions/{id} when it is "
        "written."
    )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def grading_progress(self) -> GradingProgress:
        """The words of LTI Assignment and Grade Services."""
        return "FullyGraded" if self.decision == "auto" else "PendingManual"


class Invalid(BaseModel):
    """One thing wrong with a request.  The value itself is never repeated."""

    where: str
    code: str = Field(description="A stable name for the reason.")
    reason: str


NOT_AS_DOCUMENTED = "the request is not as documented"


class Refusal(BaseModel):
    """A response that was not scored: the error's class, its code and its sentence."""

    model_config = ConfigDict(frozen=True)

    error: str
    code: str
    detail: str
    errors: list[Invalid] | None = Field(default=None, description="For InvalidRequest: each thing that is wrong.")


def refusal_of(error: ScoringError) -> Refusal:
    return Refusal(error=type(error).__name__, code=error.code, detail=str(error))


def invalid_request(errors: list[Invalid]) -> Refusal:
    """Return the refusal of a request that is not as documented."""
    return Refusal(error="InvalidRequest", code="invalid_request", detail=NOT_AS_DOCUMENTED, errors=errors)


Result = Prediction | Refusal
PredictionT = TypeVar("PredictionT", bound=Prediction)


def banked(
    item: Item, value: float, bundle_version: str, instead_because: Failure | None = None
) -> Feedback | Withheld:
    """The bank's text for a score; where it has none, why nothing is said."""
    text = item.banked_feedback(value)
    if text is None:
        return instead_because or "no_text"
    return Feedback(text=text, source="bank", version=bundle_version, instead_because=instead_because)


def told(task: Task, outcome: Outcome) -> Feedback | Withheld:
    """What comes of generated feedback: the text, or the bank's in its place, or why there is none."""
    if outcome.text is not None:
        return Feedback(text=outcome.text, source="model", version=outcome.model)
    return banked(task.item, task.value, task.bundle_version, outcome.failure)


_FEEDBACK: TypeAdapter[Feedback | Withheld] = TypeAdapter(Feedback | Withheld)


def with_feedback(prediction: PredictionT, since: Feedback | dict[str, Any] | str) -> PredictionT:
    """The same prediction with what came of its feedback since, as it was told or as it is kept."""
    feedback = _FEEDBACK.validate_python(since)
    is_text = isinstance(feedback, Feedback)
    update = {"feedback": feedback if is_text else None, "feedback_withheld": None if is_text else feedback}
    return prediction.model_copy(update=update)


class Final(BaseModel):
    """The score that stands: the newest human mark on the attempt, else a score that may stand alone."""

    model_config = ConfigDict(frozen=True)

    by: Literal["human", "machine"]
    score: Number | None = Field(description="On the scale of the prediction that `prediction_id` names.")
    label: str | None
    gradebook_score: float | None
    prediction_id: str = Field(
        description="The prediction that the mark was given on: this one, or another of the same attempt."
    )


def final(prediction: Prediction, gradebook_max: float | None, standing: StandingMark | None) -> Final | None:
    """Return the score that stands: a human mark always wins; without one only a score with decision `auto` does.

    A mark on another prediction of the attempt has its place in the gradebook of this one.
    """
    if standing is None:
        if prediction.decision != "auto":
            return None
        machine = {name: getattr(prediction, name) for name in ("score", "label", "gradebook_score", "prediction_id")}
        return Final(by="machine", **machine)
    mark, on = standing
    place = mark.gradebook_score
    if on.prediction_id != prediction.prediction_id:
        place = None if on.scale is None else Scale(**on.scale).place(mark.score, mark.label, gradebook_max)
    return Final(by="human", score=mark.score, label=mark.label, gradebook_score=place, prediction_id=on.prediction_id)
