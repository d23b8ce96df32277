import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from app.storage import keys
from app.storage.database import connect
from app.storage.keys import Scope


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    engine = connect(database_url)
    with Session(engine) as session:
        yield session
    engine.dispose()


def test_a_key_is_256_random_bits_and_stored_as_their_hash(session: Session) -> None:
    key, secret = keys.create(session, "a school", [Scope.SCORE], None)
    _, other = keys.create(session, "a school", [Scope.SCORE], None)
    session.commit()

    assert len(base64.urlsafe_b64decode(secret + "=")) == 32
    assert secret != other
    assert key.sha256 == hashlib.sha256(secret.encode()).hexdigest()


def test_a_key_is_found_by_its_secret_only(session: Session) -> None:
    key, secret = keys.create(session, "a school", [Scope.REVIEW, Scope.SCORE], None)
    session.commit()

    assert keys.find(session, keys.hashed(secret)) is key
    assert key.scopes == "review score"
    for wrong in (secret[:-1], secret.swapcase(), key.sha256, key.id, "", "' OR 1=1 --", "\0"):
        assert keys.find(session, keys.hashed(wrong)) is None


def test_an_expiry_is_read_back_as_the_same_time(session: Session) -> None:
    expiry = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)
    key, _ = keys.create(session, "a school", [Scope.SCORE], expiry.astimezone(tz=None))
    session.commit()
    session.expire_all()

    assert key.expires_at == expiry
    assert key.expires_at.utcoffset() == timedelta(0)


def test_a_key_counts_as_made_after_it_is_revoked(session: Session) -> None:
    assert not keys.any_made(session)

    key, _ = keys.create(session, "a school", [Scope.SCORE], None)
    session.flush()
    keys.revoke(session, key.id)
    session.commit()

    assert keys.any_made(session)
    assert [each.id for each in keys.every(session)] == [key.id]


def test_revoking_twice_keeps_the_first_time(session: Session) -> None:
    key, _ = keys.create(session, "a school", [Scope.SCORE], None)
    session.flush()

    revoked = keys.revoke(session, key.id)
    first = key.revoked_at
    again = keys.revoke(session, key.id)

    assert (revoked, again) == (True, True)
    assert first is not None
    assert key.revoked_at == first


def test_a_key_that_is_none_cannot_be_revoked(session: Session) -> None:
    assert not keys.revoke(session, "no such key")
