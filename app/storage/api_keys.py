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
    """Make a key; return its row and the secret, which is shown once."""
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
    """Find a key by the hash of its 256 random bits: an index look-up, so that its time tells nothing."""
    return session.scalar(select(ApiKey).where(ApiKey.sha256 == hashed))


def any_exist(session: Session) -> bool:
    """Return whether a key was ever made, revoked keys included: from then on the service is closed."""
    return session.scalar(select(ApiKey.id).limit(1)) is not None


def all_keys(session: Session) -> Sequence[ApiKey]:
    return session.scalars(select(ApiKey).order_by(ApiKey.id)).all()


def revoke(session: Session, key_id: str) -> bool:
    """Revoke a key; return whether there was one.  Revoking twice keeps the first time."""
    key = session.get(ApiKey, key_id)
    if key is None:
        return False
    key.revoked_at = key.revoked_at or datetime.now(UTC)
    return True


def rotate(session: Session, key_id: str, overlap: timedelta) -> tuple[ApiKey, str] | None:
    """Make a key with the rights of another, which works for `overlap` longer, or to its own end if that is sooner.

    Return None where there is no key to replace, or it does not work any more.
    """
    old, now = session.get(ApiKey, key_id), datetime.now(UTC)
    if old is None or old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
        return None
    life = _life(session, old)  # the new one lives as long as the old was to
    old.expires_at = min(now + overlap, old.expires_at or now + overlap)
    scopes = map(Scope, old.scopes.split())
    return create(session, old.name, scopes, now + life if life else None, old.responses_a_minute, old.id)


def first_of(session: Session, key: ApiKey) -> str:
    """Return the id of the first key of a line in which each key replaces another: a line is one caller."""
    while key.replaces is not None and (before := session.get(ApiKey, key.replaces)) is not None:
        key = before
    return key.id


def _life(session: Session, key: ApiKey) -> timedelta | None:
    """Return how long a key was meant to live: rotation brings forward the end of all but the last of a line."""
    followers = select(ApiKey).order_by(ApiKey.id.desc()).limit(1)
    while (after := session.scalar(followers.where(ApiKey.replaces == key.id))) is not None:
        key = after
    return None if key.expires_at is None else key.expires_at - key.created_at


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
