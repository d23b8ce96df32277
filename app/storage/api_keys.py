"""Create, find, rotate and revoke API keys: 256 random bits, shown once, stored as SHA-256."""

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
    """Right of an API key: to score, to review, or to read metrics."""

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
    """Create a key; return its row and the secret."""
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
    """Return the key with this hash.

    An index look-up of a hash of 256 random bits: its duration reveals nothing about other keys.
    """
    return session.scalar(select(ApiKey).where(ApiKey.sha256 == hashed))


def any_exist(session: Session) -> bool:
    """Return whether a key was ever created, revoked keys included: then every call needs a key."""
    return session.scalar(select(ApiKey.id).limit(1)) is not None


def all_keys(session: Session) -> Sequence[ApiKey]:
    return session.scalars(select(ApiKey).order_by(ApiKey.id)).all()


def revoke(session: Session, key_id: str) -> bool:
    """Revoke a key; return whether it exists.  A second call keeps the first time."""
    key = session.get(ApiKey, key_id)
    if key is None:
        return False
    key.revoked_at = key.revoked_at or datetime.now(UTC)
    return True


def rotate(session: Session, key_id: str, overlap: timedelta) -> tuple[ApiKey, str] | None:
    """Create a key with the rights and lifetime of another; the old key expires after `overlap` at the latest.

    Return None if there is no such key, or if it is revoked or expired.
    """
    old, now = session.get(ApiKey, key_id), datetime.now(UTC)
    if old is None or old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
        return None
    lifetime = _lifetime(session, old)
    expires_at = None if lifetime is None else now + lifetime
    old.expires_at = min(now + overlap, old.expires_at or now + overlap)
    scopes = map(Scope, old.scopes.split())
    return create(session, old.name, scopes, expires_at, old.responses_a_minute, old.id)


def first_of(session: Session, key: ApiKey) -> str:
    """Return the id of the first key in a chain of rotations: a chain is one caller."""
    while key.replaces is not None and (replaced := session.get(ApiKey, key.replaces)) is not None:
        key = replaced
    return key.id


def _lifetime(session: Session, key: ApiKey) -> timedelta | None:
    """Return a key's intended lifetime, from the last key of its chain: rotation shortens all the others."""
    newest_first = select(ApiKey).order_by(ApiKey.id.desc()).limit(1)
    while True:
        successor = session.scalar(newest_first.where(ApiKey.replaces == key.id))
        if successor is None:
            break
        key = successor
    return None if key.expires_at is None else key.expires_at - key.created_at


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
