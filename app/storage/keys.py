"""API keys: 256 random bits, shown once, stored as SHA-256."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.storage.ids import uuid7
from app.storage.tables import ApiKey


class Scope(StrEnum):
    SCORE = "score"
    REVIEW = "review"
    METRICS = "metrics"


def create(
    session: Session,
    name: str,
    scopes: Iterable[Scope],
    expires_at: datetime | None,
    responses_a_minute: int | None = None,
    replaces: str | None = None,
) -> tuple[ApiKey, str]:
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
        responses_a_minute=responses_a_minute,
        replaces=replaces,
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


def rotate(session: Session, key_id: str, overlap: timedelta) -> tuple[ApiKey, str] | None:
    """A new key that may do the same; the old one works for as long as `overlap` says, or to its own end if that is
    sooner.  None where there is no such key, or it does not work any more.
    """
    old, now = session.get(ApiKey, key_id), datetime.now(UTC)
    if old is None or old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
        return None
    life = _life(session, old)  # the new one lives as long as the old was to
    old.expires_at = min(now + overlap, old.expires_at or now + overlap)
    scopes = map(Scope, old.scopes.split())
    return create(session, old.name, scopes, now + life if life else None, old.responses_a_minute, old.id)


def first_of(session: Session, key: ApiKey) -> str:
    """The id of the key that began the line of those that each replace another: one caller, whatever its key."""
    while key.replaces is not None and (before := session.get(ApiKey, key.replaces)) is not None:
        key = before
    return key.id


def _life(session: Session, key: ApiKey) -> timedelta | None:
    """How long it was to live: rotation has brought forward the end of all but the last of its line."""
    followers = select(ApiKey).order_by(ApiKey.id.desc()).limit(1)
    while (after := session.scalar(followers.where(ApiKey.replaces == key.id))) is not None:
        key = after
    return None if key.expires_at is None else key.expires_at - key.created_at


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
