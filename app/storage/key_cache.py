"""Cache API keys for a moment: a query for every call would cost more than the call.

A key that another process revokes works here for at most 2 * MAX_AGE seconds.
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

MAX_AGE = 0.5  # seconds
MAX_KEYS = 1024
READERS = 4  # threads: a flood of unknown keys must leave threads for other work


@dataclass(frozen=True, slots=True)
class KnownKey:
    """Rights of an API key, as last read."""

    caller: str  # id of the first key in its chain of rotations: a rotated key is the same caller
    scopes: frozenset[api_keys.Scope]
    expires_at: datetime | None
    revoked_at: datetime | None
    responses_a_minute: int | None


@dataclass(slots=True)
class _Entry:
    key: KnownKey
    read_at: float
    refreshing: bool = False


class KeyCache:
    """Keys by the hash of their secret."""

    def __init__(
        self,
        engine: Engine,
        *,
        timeout: float = DEFAULT_LIMITS.database,
        max_keys: int = MAX_KEYS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep at most `max_keys` keys and wait `timeout` seconds for the database; `now` is the clock for ages."""
        self._engine, self._timeout, self._max_keys, self._now = engine, timeout, max_keys, now
        self._entries: dict[str, _Entry] = {}
        self._readers = CapacityLimiter(READERS)
        self._any_exist = False

    async def find(self, secret: str) -> KnownKey | None:
        """Return the key of a secret, or None.  Unknown secrets are queried each time and not cached."""
        hashed, now = api_keys.hashed(secret), self._now()
        entry = self._entries.get(hashed)
        if entry is not None:
            age = now - entry.read_at
            # One caller refreshes the entry; meanwhile the others use it.
            if age < MAX_AGE or (entry.refreshing and age < 2 * MAX_AGE):
                return entry.key
            entry.refreshing = True
        # Known keys have all threads, so that unknown keys cannot delay them.
        limiter = self._readers if entry is None else None
        try:
            key = await in_thread(self._query, hashed, seconds=self._timeout, limiter=limiter)
        finally:
            if entry is not None:
                entry.refreshing = False
        if key is None:
            self._entries.pop(hashed, None)
            return None
        if len(self._entries) >= self._max_keys:
            self._entries.clear()
        self._entries[hashed] = _Entry(key, now)
        return key

    async def any_exist(self) -> bool:
        """Return whether a key was ever created.  True is final, so it is not queried again."""
        if not self._any_exist:
            self._any_exist = await in_thread(self._query_any_exist, seconds=self._timeout, limiter=self._readers)
        return self._any_exist

    def _query(self, hashed: str) -> KnownKey | None:
        with Session(self._engine) as session:
            key = api_keys.find(session, hashed)
            if key is None:
                return None
            return KnownKey(
                caller=api_keys.first_of(session, key),
                scopes=frozenset(map(api_keys.Scope, key.scopes.split())),
                expires_at=key.expires_at,
                revoked_at=key.revoked_at,
                responses_a_minute=key.responses_a_minute,
            )

    def _query_any_exist(self) -> bool:
        with Session(self._engine) as session:
            return api_keys.any_exist(session)
