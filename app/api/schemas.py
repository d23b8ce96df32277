"""Bodies of requests and replies, but for items: app/api/item_schemas.py."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, computed_field

from app.api.problems import Problem
from app.scoring.scale import Number, Scale
from app.scoring.text import MAX_CHARACTERS, MAX_SENT, Format, checked_sent, checked_text
from app.service.prediction import Final, GradingProgress, Prediction, Submission, final, with_feedback
from app.service.review import Mark
from app.storage.queries import FollowUp
from app.storage.tables import LoggedPrediction

MAX_BATCH = 1000
NO_NUL = r"^[^\x00]*$"
NOT_BLANK = r"^[^\x00]*[^\s\x00][^\x00]*$"
Checked = Annotated[str, AfterValidator(checked_text), Field(json_schema_extra={"pattern": NO_NUL})]
# A blank reference is refused: platforms that leave the field empty would make one attempt, or one learner, of many.
Reference = Annotated[
    Checked, Field(max_length=200, pattern=r"\S", json_schema_extra={"pattern": NOT_BLANK, "minLength": 1})
]


class ScoreRequest(BaseModel):
    """One response to one item."""

    model_config = ConfigDict(extra="forbid")

    item_id: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="The item that the response answers. `GET /items` lists the items."
    )
    response: Annotated[str, AfterValidator(checked_sent), Field(json_schema_extra={"pattern": NO_NUL})] = Field(
        description="The learner's text, plain or as HTML from an editor. It is logged as sent and scored without "
        f"markup. At most {MAX_SENT:,} characters as sent and {MAX_CHARACTERS:,} without markup."
    )
    learner_id: Reference | None = Field(
        default=None, description="Your reference to the learner. Only a keyed hash of it is stored."
    )
    attempt_id: Reference | None = Field(
        default=None,
        description="Your reference to one attempt of one learner, stored as sent. A human mark on any prediction of "
        "the attempt stands for all of them.",
    )
    gradebook_max: float | None = Field(
        default=None,
        strict=True,
        gt=0,
        le=1_000_000,
        allow_inf_nan=False,
        description="Top of the gradebook's scale, which starts at 0. The reply's `gradebook_score` is on this scale.",
    )
    feedback: bool = Field(default=False, strict=True, description="Request feedback for the learner with the score.")
    format: Format | None = Field(
        default=None,
        description="How to read the response: `html` removes markup, and `text` keeps every character, for items "
        "about HTML. Default: the item's own format.",
    )

    def submission(self) -> Submission:
        return Submission(
            self.item_id,
            self.response,
            self.learner_id,
            self.attempt_id,
            self.gradebook_max,
            self.feedback,
            self.format,
        )


class ScoreReply(Prediction):
    """A scored and logged response.

    A `not_scorable` response has no score.  A score by rule (`scored_by`) has no confidence.  Nominal items have a
    label and no score.  Continuous items have an `interval` around the grade and no probabilities.
    """


# Rows are validated one by one, so that an invalid row does not sink the batch.  The document shows the row's schema.
LooseRequest = Annotated[Any, WithJsonSchema({"$ref": "#/components/schemas/ScoreRequest"})]


class BatchRequest(BaseModel):
    """Responses to any items, each as in `POST /score`."""

    model_config = ConfigDict(extra="forbid")

    responses: list[LooseRequest] = Field(
        min_length=1,
        max_length=MAX_BATCH,
        description=f"1 to {MAX_BATCH:,} responses. An invalid row gets a problem, and the other rows are scored.",
    )


class BatchReply(BaseModel):
    """The results of a batch."""

    results: list[ScoreReply | Problem] = Field(
        description="One entry per response, in the order sent: its prediction, or the problem of this response alone."
    )


class ReviewRequest(BaseModel):
    """A human mark: a score, or a label for ordinal and nominal items."""

    model_config = ConfigDict(extra="forbid")

    score: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = Field(
        default=None, description="A score on the prediction's `scale`."
    )
    label: Annotated[Checked, Field(max_length=200)] | None = Field(
        default=None, description="A label of the prediction's `scale`."
    )
    reviewer: Annotated[
        Checked,
        Field(min_length=1, max_length=200, pattern=r"\S", json_schema_extra={"pattern": NOT_BLANK}),
    ] = Field(description="The person who gives the mark, by a name of your choice.")
    reason: Annotated[Checked, Field(max_length=5000)] | None = Field(
        default=None, description="Why the person gives this mark."
    )

    def mark(self) -> Mark:
        return Mark(self.score, self.label, self.reviewer, self.reason)


class HumanMarkReply(BaseModel):
    """A human mark on a prediction."""

    model_config = ConfigDict(from_attributes=True)

    score: Number | None = Field(description="The mark as a score; null for nominal items.")
    label: str | None = Field(description="The mark as a label; null for items without labels.")
    gradebook_score: float | None = Field(description="The mark on the gradebook's scale.")
    reviewer: str = Field(description="The person who gave the mark.")
    reason: str | None = Field(description="Why the person gave this mark.")
    marked_at: datetime = Field(description="Time at which the mark was recorded.")


class ShadowReply(BaseModel):
    """A teacher's score that is logged for comparison and affects nothing."""

    model_config = ConfigDict(from_attributes=True)

    teacher: str = Field(description="Name and version of the teacher.")
    score: Number | None = Field(description="The teacher's score; null for nominal items.")
    label: str | None = Field(description="The teacher's label; null for items without labels.")
    expected_score: float | None = Field(description="Mean of the scores, weighted by the teacher's probabilities.")
    confidence: float = Field(description="Calibrated probability that a rater would give this score.")


class LoggedReply(ScoreReply):
    """A prediction as the log has it."""

    created_at: datetime = Field(description="Time at which the response was scored.")
    response: str | None = Field(description="The response as sent; null if the service is set to keep no text.")
    response_format: Format = Field(description="How the response was read: `html` without its markup, `text` as sent.")
    attempt_id: str | None = Field(description="Your reference to the attempt.")
    learner_hash: str | None = Field(description="Keyed hash of `learner_id`.")
    gradebook_max: float | None = Field(description="Top of the gradebook's scale.")
    scale: Scale | None = Field(
        description="The item's scale when the response was scored. Human marks are checked against it."
    )
    human_marks: list[HumanMarkReply] = Field(
        default=[], description="Human marks on this prediction, the newest first."
    )
    shadow: ShadowReply | None = Field(
        default=None, description="The score of a teacher that runs in shadow; it affects nothing."
    )
    final: Final | None = Field(
        default=None,
        description="The score that stands: the newest human mark on the attempt, or else a score with decision "
        "`auto`. Null while a human mark is awaited.",
    )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def grading_progress(self) -> GradingProgress:
        """Progress in the terms of LTI Assignment and Grade Services."""
        return "FullyGraded" if self.final is not None else "PendingManual"

    @classmethod
    def of(cls, row: LoggedPrediction, follow_up: FollowUp, overdue: timedelta) -> "LoggedReply":
        """Return a row of the log as a reply.

        `follow_up` holds the marks and feedback that came after the row was written.  Feedback that has been pending
        for longer than `overdue` counts as failed.
        """
        reply = cls.model_validate(row)
        if follow_up.feedback is not None:
            reply = with_feedback(reply, follow_up.feedback)
        elif row.feedback_withheld == "pending" and datetime.now(UTC) - row.created_at > overdue:
            reply = with_feedback(reply, "failed")
        marks = [HumanMarkReply.model_validate(mark) for mark in follow_up.marks]
        return reply.model_copy(
            update={
                "shadow": follow_up.shadow and ShadowReply.model_validate(follow_up.shadow),
                "human_marks": marks,
                "final": final(reply, row.gradebook_max, follow_up.standing),
            }
        )


class LogPage(BaseModel):
    """A page of the log."""

    predictions: list[LoggedReply] = Field(description="Predictions, the newest first.")
    next: str | None = Field(description="The `cursor` of the next, older page; null on the last page.")


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["alive"] = Field(default="alive", description="Always `alive`.")


class Readiness(BaseModel):
    """Whether the service can score and log.

    `not ready` (503) means that no response can be scored.  A refused item does not stop the other items.
    """

    status: Literal["ready", "not ready"] = Field(description="`ready` if at least one item can be scored and logged.")
    open: bool = Field(description="No key was made yet, so every program on this machine has all scopes.")
    database: str = Field(description="`ok`, or the fault and its remedy.")
    database_code: str | None = Field(description="Stable name of the database's fault; null if there is none.")
    items: list[str] = Field(description="Items that can be scored.")
    refused: dict[str, str] = Field(description="Refused items, each with the fault of its bundle.")
    feedback_models: list[str] = Field(description="Feedback models that are loaded, by name and version.")
    not_taken_up: dict[str, str] = Field(
        description="Items whose new version was refused, each with the reason. The previous version stays live."
    )
    without_teacher: dict[str, str] = Field(
        description="Items whose fall-back teacher was refused, each with the reason."
    )
    without_shadow: dict[str, str] = Field(
        description="Items whose shadow version could not be loaded, each with the reason."
    )
    refused_feedback_models: dict[str, str] = Field(
        description="Refused feedback models, each with the reason. Items use their feedback bank instead."
    )
