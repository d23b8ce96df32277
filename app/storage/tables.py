"""Define the tables.  `migrations/` creates the same; a test compares both on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)  # fmt: skip
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

NAMED = text("attempt_id IS NOT NULL")
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC on every database; SQLite stores no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012  # SQLAlchemy's own way


class ApiKey(Base):
    """A key's hash and rights.  The key itself is shown once and never stored."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[str] = mapped_column(String(100))  # separated by spaces
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    responses_a_minute: Mapped[int | None]  # None: unlimited
    replaces: Mapped[str | None] = mapped_column(String(36))  # id of the key that this key was rotated from


class LoggedPrediction(Base):
    """A scored response.  Its row is never changed, except to erase a learner."""

    __tablename__ = "predictions"

    prediction_id: Mapped[str] = mapped_column(String(36), primary_key=True)  # UUIDv7: sorts by time
    created_at: Mapped[datetime]
    key_id: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"), index=True)  # None: the service was open
    item_id: Mapped[str] = mapped_column(String(128))
    bundle_version: Mapped[str] = mapped_column(String(128))
    scored_by: Mapped[str] = mapped_column(String(20))
    score: Mapped[float | None] = mapped_column(Float)
    label: Mapped[str | None] = mapped_column(String(200))
    expected_score: Mapped[float | None] = mapped_column(Float)
    max_score: Mapped[float | None] = mapped_column(Float)
    scale: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # None: logged before revision 0002
    gradebook_max: Mapped[float | None] = mapped_column(Float)
    gradebook_score: Mapped[float | None] = mapped_column(Float)
    probabilities: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))
    interval: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))
    prediction_set: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    confidence: Mapped[float | None] = mapped_column(Float)
    decision: Mapped[str] = mapped_column(String(20))
    condition: Mapped[str | None] = mapped_column(String(40))
    flags: Mapped[list[str]] = mapped_column(JSON)
    teacher: Mapped[str | None] = mapped_column(String(260))  # the teacher that gave the score, if one did
    first_score: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # then the student's score
    feedback: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    feedback_withheld: Mapped[str | None] = mapped_column(String(40))
    response: Mapped[str | None] = mapped_column(Text)  # as sent; None: not kept
    response_format: Mapped[str] = mapped_column(String(10), server_default="text")  # html: scored without mark-up
    learner_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    attempt_id: Mapped[str | None] = mapped_column(String(200))

    __table_args__ = (
        Index(None, "item_id", "prediction_id"),
        Index(None, "attempt_id", "item_id", "key_id", sqlite_where=NAMED, postgresql_where=NAMED),
    )


class GeneratedFeedback(Base):
    """Feedback that was `pending` when its prediction was logged, or the reason for its absence."""

    __tablename__ = "generated_feedback"

    prediction_id: Mapped[str] = mapped_column(ForeignKey("predictions.prediction_id"), primary_key=True)
    created_at: Mapped[datetime]
    feedback: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    feedback_withheld: Mapped[str | None] = mapped_column(String(40))
    model: Mapped[str] = mapped_column(String(260))  # name/version, also if the model's text was replaced
    tokens: Mapped[int]
    seconds: Mapped[float] = mapped_column(Float)


class ShadowScore(Base):
    """The score of a teacher in the shadow.  Only reviewers see it."""

    __tablename__ = "shadow_scores"

    prediction_id: Mapped[str] = mapped_column(ForeignKey("predictions.prediction_id"), primary_key=True)
    created_at: Mapped[datetime]
    teacher: Mapped[str] = mapped_column(String(260))
    score: Mapped[float | None] = mapped_column(Float)
    label: Mapped[str | None] = mapped_column(String(200))
    expected_score: Mapped[float | None] = mapped_column(Float)
    confidence: Mapped[float] = mapped_column(Float)


class ShadowVersion(Base):
    """The score of a bundle version in the shadow.  Only `scorelet bundle compare` reads it."""

    __tablename__ = "shadow_versions"

    prediction_id: Mapped[str] = mapped_column(ForeignKey("predictions.prediction_id"), primary_key=True)
    version: Mapped[str] = mapped_column(String(128), primary_key=True)
    created_at: Mapped[datetime]
    score: Mapped[float | None] = mapped_column(Float)
    label: Mapped[str | None] = mapped_column(String(200))
    expected_score: Mapped[float | None] = mapped_column(Float)
    confidence: Mapped[float | None] = mapped_column(Float)
    decision: Mapped[str] = mapped_column(String(20))  # as if this version were live in mode auto


class HumanMark(Base):
    """A person's mark.  Marks are added, never changed; the newest stands."""

    __tablename__ = "human_marks"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)  # UUIDv7: sorts by time
    prediction_id: Mapped[str] = mapped_column(ForeignKey("predictions.prediction_id"))
    marked_at: Mapped[datetime]
    key_id: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"))  # None: the service was open
    reviewer: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str | None] = mapped_column(Text)
    score: Mapped[float | None] = mapped_column(Float)
    label: Mapped[str | None] = mapped_column(String(200))
    gradebook_score: Mapped[float | None] = mapped_column(Float)

    __table_args__ = (Index(None, "prediction_id", "id"),)


class IdempotencyClaim(Base):
    """A used Idempotency-Key with its results.  The primary key admits the first of two requests."""

    __tablename__ = "idempotency_claims"

    caller: Mapped[str] = mapped_column(String(36), primary_key=True)  # the key's id, or `open`
    idempotency_key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_sha256: Mapped[str] = mapped_column(String(64))  # keyed, or without the learner's id
    results: Mapped[list[Any]] = mapped_column(JSON)
    created_at: Mapped[datetime]


class SeenActivation(Base):
    """An ACTIVE file that the service has seen: the version, its shadow, and the names behind each decision."""

    __tablename__ = "seen_activations"

    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[str] = mapped_column(String(140))  # or `_feedback/NAME` of a feedback model
    version: Mapped[str] = mapped_column(String(128))
    mode: Mapped[str] = mapped_column(String(20))
    by: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]
    seen_at: Mapped[datetime]
    shadow: Mapped[str | None] = mapped_column(String(128))
    shadow_by: Mapped[str | None] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))  # of the whole file: `at` stays when the shadow changes

    __table_args__ = (UniqueConstraint("item_id", "at", "sha256"),)
