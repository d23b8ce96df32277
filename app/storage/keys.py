"""API keys: 256 random bits, shown once, stored as SHA-256."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.storage.ids import uuid7
from app.storage.tables import ApiKey


class Scope(StrEnum):
    SCORE = "score"
    REVIEW = "review"
    METRICS = "metrics"


def create(session: Session, name: str, scopes: Iterable[Scope], expires_at: datetime | None) -> tuple[ApiKey, str]:
    """The stored key and the secret that is shown once."""
    secret = secrets.token_urlsafe(32)
    key = ApiKey(
        id=uuid7(),
        name=name,
        sha256=hashed(secret),
        scopes=" ".join(sorted(set(scopes))),
        created_at=datetime.now(UTC),
        expires_at=expires_at,
        revoked_at=None,
    )
    session.add(key)
    return key, secret


def find(session: Session, hashed: str) -> ApiKey | None:
    """By the hash of 256 random bits: an index look-up, so there is nothing to time."""
    return session.scalar(select(ApiKey).where(ApiKey.sha256 == hashed))


def any_made(session: Session) -> bool:
    """Whether a key was ever made, revoked ones included: from then on the service is closed."""
    return session.scalar(select(ApiKey.id).limit(1)) is not None


def every(session: Session) -> Sequence[ApiKey]:
    return session.scalars(select(ApiKey).order_by(ApiKey.id)).all()


def revoke(session: Session, key_id: str) -> bool:
    """Whether there was such a key; revoking twice keeps the first time."""
    key = session.get(ApiKey, key_id)
    if key is None:
        return False
    key.revoked_at = key.revoked_at or datetime.now(UTC)
    return True


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
