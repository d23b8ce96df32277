"""Request bodies and the replies that are not predictions."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, computed_field

from app.api.problems import Problem
from app.scoring.agreement import Agreement
from app.scoring.decision import LiveItem
from app.scoring.gate import Gate
from app.scoring.item import Name
from app.scoring.release import BlankIsWorst, Fallback
from app.scoring.scale import Number, Scale, ScaleKind
from app.scoring.text import MAX_CHARACTERS, MAX_SENT, Format, checked_sent, checked_text
from app.service.prediction import Final, GradingProgress, Prediction, Submission, final, with_feedback
from app.service.review import Mark
from app.storage.queries import FollowUp
from app.storage.tables import LoggedPrediction

MAX_BATCH = 1000
NO_NUL = r"^[^\x00]*$"
Checked = Annotated[str, AfterValidator(checked_text), Field(json_schema_extra={"pattern": NO_NUL})]
# A blank reference would make one attempt, or one learner, of all whose platform leaves the field empty.
NOT_BLANK = r"^[^\x00]*[^\s\x00][^\x00]*$"
Reference = Annotated[
    Checked, Field(max_length=200, pattern=r"\S", json_schema_extra={"pattern": NOT_BLANK, "minLength": 1})
]


class ScoreRequest(BaseModel):
    """One response to one item."""

    model_config = ConfigDict(extra="forbid")

    item_id: Annotated[str, Field(min_length=1, max_length=128)]
    response: Annotated[str, AfterValidator(checked_sent), Field(json_schema_extra={"pattern": NO_NUL})] = Field(
        description="The learner's text, plain or as an editor's HTML. Stored as it is sent, scored without its "
        f"mark-up. At most {MAX_SENT:,} characters as it is sent, {MAX_CHARACTERS:,} without mark-up."
    )
    learner_id: Reference | None = Field(default=None, description="Stored only as a keyed hash.")
    attempt_id: Reference | None = Field(
        default=None,
        description="The caller's own reference to one attempt of one learner; stored as it is. A person's mark on any "
        "prediction of the attempt stands for all of them.",
    )
    gradebook_max: float | None = Field(
        default=None, strict=True, gt=0, le=1_000_000, allow_inf_nan=False, description="Top of the gradebook's scale."
    )
    feedback: bool = Field(default=False, strict=True, description="Whether feedback is wanted beside the score.")
    format: Format | None = Field(
        default=None,
        description="How the response is read: `html` takes mark-up off; `text` leaves all as it is, for items about "
        "HTML. Default: as the item says.",
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
    """A scored, logged response.

    `not_scorable` has no score, a score by a rule (`scored_by`) no confidence; nominal items have a label and no score;
    continuous ones an `interval` about the grade and no probabilities.
    """


# Checked one by one, so that a bad one does not sink the others; documented as what each must be.
LooseRequest = Annotated[Any, WithJsonSchema({"$ref": "#/components/schemas/ScoreRequest"})]


class BatchRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    responses: list[LooseRequest] = Field(min_length=1, max_length=MAX_BATCH)


class BatchReply(BaseModel):
    """One entry a response, in order: the prediction, or the problem that this response alone had."""

    results: list[ScoreReply | Problem]


class ReviewRequest(BaseModel):
    """A human mark: a score, or a label of ordinal and nominal items."""

    model_config = ConfigDict(extra="forbid")

    score: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = None
    label: Annotated[Checked, Field(max_length=200)] | None = None
    reviewer: Annotated[
        Checked,
        Field(
            min_length=1, max_length=200, pattern=r"\S", json_schema_extra={"pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}
        ),
    ] = Field(description="Who gives it, in words of yours.")
    reason: Annotated[Checked, Field(max_length=5000)] | None = None

    def mark(self) -> Mark:
        return Mark(self.score, self.label, self.reviewer, self.reason)


class HumanMarkReply(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    score: Number | None
    label: str | None
    gradebook_score: float | None
    reviewer: str
    reason: str | None
    marked_at: datetime


class ShadowReply(BaseModel):
    """Nobody was told, and nothing depends on it."""

    model_config = ConfigDict(from_attributes=True)

    teacher: str
    score: Number | None
    label: str | None
    expected_score: float | None
    confidence: float


class LoggedReply(ScoreReply):
    """A prediction as it stands in the log."""

    created_at: datetime
    response: str | None = Field(description="As it was sent; null where the installation keeps no text.")
    response_format: Format = Field(description="How it was read: `html` without its mark-up, `text` as it was sent.")
    attempt_id: str | None
    learner_hash: str | None
    gradebook_max: float | None
    scale: Scale | None = Field(description="The item's when the response was scored: marks are checked against it.")
    human_marks: list[HumanMarkReply] = Field(default=[], description="On this prediction, newest first.")
    shadow: ShadowReply | None = Field(default=None, description="What a teacher in the shadow would have given.")
    final: Final | None = Field(
        default=None,
        description="What stands: the newest human mark on the attempt, else a score with decision `auto`; else null.",
    )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def grading_progress(self) -> GradingProgress:
        """The words of LTI Assignment and Grade Services."""
        return "FullyGraded" if self.final is not None else "PendingManual"

    @classmethod
    def of(cls, row: LoggedPrediction, follow_up: FollowUp, overdue: timedelta) -> "LoggedReply":
        """Feedback that has been pending for longer than `overdue` will not come."""
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
    predictions: list[LoggedReply]
    next: str | None = Field(description="Cursor of the next, older page; None on the last.")


class ItemReply(BaseModel):
    """An item as it is served."""

    item_id: Name
    title: str | None
    prompt: str
    scale: ScaleKind
    min_score: Number | None
    max_score: Number | None
    labels: tuple[str, ...] | None
    better: Literal["higher", "lower"] = Field(description="`lower`: the smallest score is the best.")
    format: Format = Field(description="How responses are read where a call does not say: see POST /score.")
    bundle_version: str
    mode: Literal["auto", "suggest"]
    released_by: str
    released_at: datetime
    release_reason: str
    gate: Gate = Field(description="What its bundle must show before its scores may stand, and what it does show.")
    fallback: Fallback | None = Field(description="The teacher that is asked where the student is unsure; null: none.")
    blank_is_worst: BlankIsWorst | None = Field(
        description="Who decided that blank responses and refusals are given the worst score, and why; null: nobody."
    )
    overridden: bool = Field(description="Mode auto though the gate refused: by whom and why is said above.")
    threshold: float | None = Field(description="Confidence from which a score may stand in mode auto.")
    agreement: Agreement | None
    feedback: Literal["bank", "model"] | None = Field(description="Where feedback comes from when it is asked for.")
    coverage: float | None = Field(
        description="Share of human scores that prediction sets or intervals shall hold.  Null where fewer than nine "
        "marked responses were there to promise it by: sets then hold every score, intervals the whole scale."
    )
    chosen_on: int | None = Field(
        description="Marked responses, not learnt from, that calibration, coverage, cuts and threshold rest on; null "
        "where the bundle does not say."
    )
    parameters: int

    @classmethod
    def of(cls, live: LiveItem, has_model: bool) -> "ItemReply":
        """`has_model`: whether a language model writes feedback on it."""
        bundle, item, active = live.bundle, live.bundle.item, live.active
        return cls(
            item_id=item.item_id,
            title=item.title,
            prompt=item.prompt,
            scale=item.scale,
            min_score=item.min_score,
            max_score=item.max_score,
            labels=item.labels,
            better=item.better,
            format=item.format,
            bundle_version=bundle.version,
            mode=active.mode,
            released_by=active.by,
            released_at=active.at,
            release_reason=active.reason,
            gate=active.gate,
            fallback=active.fallback if live.second else None,
            blank_is_worst=active.blank_is_worst,
            overridden=active.override,
            threshold=bundle.threshold,
            agreement=bundle.agreement,
            feedback="model" if has_model else "bank" if item.feedback else None,
            coverage=bundle.head.coverage,
            chosen_on=bundle.head.chosen_on,
            parameters=bundle.parameters,
        )


class ItemsReply(BaseModel):
    items: list[ItemReply]


class Liveness(BaseModel):
    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """`not ready` (503) when nothing can be scored; items refused one by one do not stop the others."""

    status: Literal["ready", "not ready"]
    open: bool = Field(description="No key is made yet: whoever is on this machine may do everything.")
    database: str = Field(description="`ok`, or what is wrong with it and what to do.")
    database_code: str | None = Field(description="A stable name for what is wrong with the database; null: nothing.")
    items: list[str]
    refused: dict[str, str] = Field(description="Item → why its bundle was refused.")
    feedback_models: list[str] = Field(description="Those that write feedback, by name and version.")
    not_taken_up: dict[str, str] = Field(
        description="Item → why a change of its ACTIVE was not taken up; what was live before goes on."
    )
    without_teacher: dict[str, str] = Field(description="Item → why the teacher that it falls back on was refused.")
    without_shadow: dict[str, str] = Field(description="Item → why the version put in its shadow is not there.")
    refused_feedback_models: dict[str, str] = Field(description="Name → why it was refused; the bank speaks instead.")
