"""API keys as the database had them a moment ago: a query for every call would cost more than the call.

A key revoked elsewhere is known here for twice FRESH at most.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from anyio import CapacityLimiter
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.concurrency.time_limits import DEFAULT_LIMITS
from app.storage import api_keys
from app.storage.timeouts import in_thread

FRESH = 0.5  # seconds
MOST = 1024  # keys
READERS = 4  # threads: a flood of keys that are none must not take those that others need


@dataclass(frozen=True, slots=True)
class KnownKey:
    caller: str  # the id of the first key of its line: who has a new one in its place is who had the old
    scopes: frozenset[api_keys.Scope]
    expires_at: datetime | None
    revoked_at: datetime | None
    responses_a_minute: int | None


@dataclass(slots=True)
class _Kept:
    key: KnownKey
    at: float  # when it was asked for
    asking: bool = False  # again, by one caller


class KeyCache:
    def __init__(
        self,
        engine: Engine,
        *,
        timeout: float = DEFAULT_LIMITS.database,
        most: int = MOST,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep `most` keys; wait `timeout` seconds for the database; `now` is the clock by which answers grow old."""
        self._engine, self._timeout, self._most, self._now = engine, timeout, most, now
        self._known: dict[str, _Kept] = {}
        self._readers = CapacityLimiter(READERS)
        self._closed = False  # a key was made: that never changes back

    async def find(self, secret: str) -> KnownKey | None:
        """None for a key that never was; those are asked for each time, and not kept."""
        hashed, now = api_keys.hashed(secret), self._now()
        kept = self._known.get(hashed)
        if kept is not None:
            age = now - kept.at
            if age < FRESH or (kept.asking and age < 2 * FRESH):  # one asks again, the others go on with what was known
                return kept.key
            kept.asking = True
        try:
            found = await in_thread(
                self._query, hashed, seconds=self._timeout, limiter=self._readers if kept is None else None
            )
        finally:
            if kept is not None:
                kept.asking = False
        if found is None:
            self._known.pop(hashed, None)
            return None
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[hashed] = _Kept(found, now)
        return found

    async def any_exist(self) -> bool:
        """Whether a key was ever made: from then on the service is closed."""
        if not self._closed:
            self._closed = await in_thread(self._any_made, seconds=self._timeout, limiter=self._readers)
        return self._closed

    def _query(self, hashed: str) -> KnownKey | None:
        with Session(self._engine) as session:
            key = api_keys.find(session, hashed)
            if key is None:
                return None
            scopes = frozenset(map(api_keys.Scope, key.scopes.split()))
            return KnownKey(
                api_keys.first_of(session, key), scopes, key.expires_at, key.revoked_at, key.responses_a_minute
            )

    def _any_made(self) -> bool:
        with Session(self._engine) as session:
            return api_keys.any_exist(session)
