from datetime import UTC, datetime

import anyio
import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from app.storage import api_keys
from app.storage.api_keys import Scope
from app.storage.key_cache import MAX_AGE, MAX_KEYS, KeyCache


@pytest.fixture
def queries(engine: Engine) -> list[str]:
    seen: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    return seen


def create_key(engine: Engine, *scopes: Scope) -> tuple[str, str]:
    with Session(engine) as session, session.begin():
        key, secret = api_keys.create(session, "a school", scopes or [Scope.SCORE], None)
        return key.id, secret


class Clock:
    """Clock that only the test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_known_key_is_queried_once_in_a_moment(engine: Engine, queries: list[str]) -> None:
    key_id, secret = create_key(engine, Scope.SCORE, Scope.REVIEW)
    cache = KeyCache(engine, now=Clock())
    queries.clear()

    async def ask() -> list[object]:
        return [await cache.find(secret) for _ in range(5)]

    first, *rest = anyio.run(ask)

    assert len(queries) == 1
    assert all(key is first for key in rest)
    assert (first.caller, first.scopes) == (key_id, {Scope.SCORE, Scope.REVIEW})  # type: ignore[attr-defined]


def test_revocation_is_noticed_after_a_moment(engine: Engine) -> None:
    key_id, secret = create_key(engine)
    clock = Clock()
    cache = KeyCache(engine, now=clock)
    anyio.run(cache.find, secret)
    with Session(engine) as session, session.begin():
        api_keys.revoke(session, key_id)

    clock.seconds += 0.9 * MAX_AGE
    cached = anyio.run(cache.find, secret)
    clock.seconds += 0.2 * MAX_AGE
    refreshed = anyio.run(cache.find, secret)

    assert cached is not None
    assert cached.revoked_at is None
    assert refreshed is not None
    assert refreshed.revoked_at is not None
    assert refreshed.revoked_at <= datetime.now(UTC)


def test_unknown_key_is_queried_each_time_and_not_cached(engine: Engine, queries: list[str]) -> None:
    cache = KeyCache(engine)
    queries.clear()

    async def ask() -> list[object]:
        return [await cache.find(f"guess {number}") for number in range(5)]

    assert anyio.run(ask) == [None] * 5
    assert len(queries) == 5
    assert cache._entries == {}


def test_number_of_cached_keys_is_bounded(engine: Engine) -> None:
    cache = KeyCache(engine, max_keys=2)
    for _ in range(5):
        anyio.run(cache.find, create_key(engine)[1])

    assert len(cache._entries) <= 2 < MAX_KEYS


def test_existence_of_keys_is_not_queried_again_once_true(engine: Engine, queries: list[str]) -> None:
    cache = KeyCache(engine)
    assert not anyio.run(cache.any_exist)
    create_key(engine)
    assert anyio.run(cache.any_exist)
    queries.clear()

    assert anyio.run(cache.any_exist)
    assert queries == []


def test_concurrent_callers_after_a_pause_get_no_stale_key(engine: Engine) -> None:
    key_id, secret = create_key(engine)
    clock = Clock()
    cache = KeyCache(engine, now=clock)
    anyio.run(cache.find, secret)
    with Session(engine) as session, session.begin():
        api_keys.revoke(session, key_id)
    clock.seconds += 2 * MAX_AGE

    async def at_once() -> list[bool]:
        revoked: list[bool] = []

        async def ask() -> None:
            key = await cache.find(secret)
            revoked.append(key is not None and key.revoked_at is not None)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask)
        return revoked

    assert anyio.run(at_once) == [True] * 20


def test_one_caller_refreshes_while_the_others_use_the_cache(engine: Engine, queries: list[str]) -> None:
    _, secret = create_key(engine)
    clock = Clock()
    cache = KeyCache(engine, now=clock)
    anyio.run(cache.find, secret)
    clock.seconds += MAX_AGE
    queries.clear()

    async def at_once() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(cache.find, secret)

    anyio.run(at_once)

    assert len(queries) == 1
