import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from app.storage import api_keys
from app.storage.api_keys import Scope
from app.storage.database import connect

MINUTE = timedelta(minutes=1)


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    engine = connect(database_url)
    with Session(engine) as session:
        yield session
    engine.dispose()


def test_key_is_256_random_bits_stored_as_a_hash(session: Session) -> None:
    key, secret = api_keys.create(session, "a school", [Scope.SCORE], None)
    _, other = api_keys.create(session, "a school", [Scope.SCORE], None)
    session.commit()

    assert len(base64.urlsafe_b64decode(secret + "=")) == 32
    assert secret != other
    assert key.sha256 == hashlib.sha256(secret.encode()).hexdigest()


def test_key_is_found_only_by_its_secret(session: Session) -> None:
    key, secret = api_keys.create(session, "a school", [Scope.REVIEW, Scope.SCORE], None)
    session.commit()

    assert api_keys.find(session, api_keys.hashed(secret)) is key
    assert key.scopes == "review score"
    for wrong in (secret[:-1], secret.swapcase(), key.sha256, key.id, "", "' OR 1=1 --", "\0"):
        assert api_keys.find(session, api_keys.hashed(wrong)) is None


def test_expiry_is_read_back_as_the_same_time(session: Session) -> None:
    expiry = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)
    key, _ = api_keys.create(session, "a school", [Scope.SCORE], expiry.astimezone(tz=None))
    session.commit()
    session.expire_all()

    assert key.expires_at == expiry
    assert key.expires_at.utcoffset() == timedelta(0)


def test_revoked_key_still_closes_the_service(session: Session) -> None:
    assert not api_keys.any_exist(session)

    key, _ = api_keys.create(session, "a school", [Scope.SCORE], None)
    session.flush()
    api_keys.revoke(session, key.id)
    session.commit()

    assert api_keys.any_exist(session)
    assert [each.id for each in api_keys.all_keys(session)] == [key.id]


def test_revoking_twice_keeps_the_first_time(session: Session) -> None:
    key, _ = api_keys.create(session, "a school", [Scope.SCORE], None)
    session.flush()

    revoked = api_keys.revoke(session, key.id)
    first = key.revoked_at
    again = api_keys.revoke(session, key.id)

    assert (revoked, again) == (True, True)
    assert first is not None
    assert key.revoked_at == first


def test_unknown_key_cannot_be_revoked(session: Session) -> None:
    assert not api_keys.revoke(session, "no such key")


def test_new_key_of_a_rotation_has_the_rights_and_the_old_key_expires(session: Session) -> None:
    old, _ = api_keys.create(session, "a school", [Scope.SCORE, Scope.REVIEW], None, responses_a_minute=60)
    session.flush()

    rotated = api_keys.rotate(session, old.id, timedelta(days=7))

    assert rotated is not None
    new, secret = rotated
    assert api_keys.find(session, api_keys.hashed(secret)) is new
    assert (new.name, new.scopes, new.responses_a_minute) == ("a school", "review score", 60)
    assert (new.replaces, new.expires_at) == (old.id, None)
    assert old.expires_at is not None
    assert timedelta(days=6.9) < old.expires_at - datetime.now(UTC) <= timedelta(days=7)


def test_rotation_keeps_the_lifetime_and_never_extends_the_old_key(session: Session) -> None:
    soon = datetime.now(UTC) + timedelta(days=3)
    old, _ = api_keys.create(session, "a school", [Scope.SCORE], soon)
    session.flush()

    rotated = api_keys.rotate(session, old.id, timedelta(days=7))

    assert rotated is not None
    assert old.expires_at == soon
    assert rotated[0].expires_at is not None
    assert abs(rotated[0].expires_at - datetime.now(UTC) - timedelta(days=3)) < timedelta(minutes=1)


def test_second_rotation_keeps_the_original_lifetime(session: Session) -> None:
    for end in (None, datetime.now(UTC) + timedelta(days=300)):
        old, _ = api_keys.create(session, "a school", [Scope.SCORE], end)
        session.flush()
        api_keys.rotate(session, old.id, timedelta(days=7))
        session.flush()

        rotated = api_keys.rotate(session, old.id, timedelta(days=7))  # after losing the new secret, for example

        assert rotated is not None
        again = rotated[0].expires_at
        assert again is None if end is None else again is not None and abs(again - end) < MINUTE


def test_keys_of_a_chain_of_rotations_are_one_caller(session: Session) -> None:
    first, _ = api_keys.create(session, "a school", [Scope.SCORE], None)
    session.flush()
    line = [first]
    for _ in range(2):
        rotated = api_keys.rotate(session, line[-1].id, timedelta(days=7))
        assert rotated is not None
        session.flush()
        line.append(rotated[0])
    other, _ = api_keys.create(session, "a school", [Scope.SCORE], None)

    assert [api_keys.first_of(session, key) for key in [*line, other]] == [first.id] * 3 + [other.id]


@pytest.mark.parametrize("ended", ["revoked", "expired", "unknown"])
def test_invalid_key_is_not_rotated(session: Session, ended: str) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    old, _ = api_keys.create(session, "a school", [Scope.SCORE], past if ended == "expired" else None)
    session.flush()
    if ended == "revoked":
        api_keys.revoke(session, old.id)

    assert api_keys.rotate(session, "nobody" if ended == "unknown" else old.id, timedelta(days=7)) is None
