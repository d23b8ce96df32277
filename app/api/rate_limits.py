"""Limit how often callers call: a rate of responses per key, and a growing delay after failed logins.

Libraries for rate limits refuse a batch larger than the bucket; ours lets a batch overdraw it and pay the debt off.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

MINUTE = 60.0  # seconds
FREE_TRIES = 5  # failed logins of an address per minute that are answered without delay
FIRST_DELAY, LONGEST_DELAY = 0.1, 3.0  # seconds
MAX_ADDRESSES = 10_000


class RateLimiter:
    """Token buckets, one per key: each holds the responses of a minute and refills evenly.

    A batch may overdraw its bucket, and its key waits until the debt is paid off.  So the rate holds on average, and no
    batch is too large.  Each process counts for itself.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # key → tokens left, and the time of that count

    def take(self, key_id: str, per_minute: int, responses: int) -> float:
        """Take one token per response and return 0.0, or return the seconds until the key may call again."""
        now, capacity = self._clock(), float(per_minute)
        tokens, counted_at = self._buckets.get(key_id, (capacity, now))
        refill = (now - counted_at) * capacity / MINUTE
        tokens = min(capacity, tokens + refill)
        if tokens < 1:
            return (1 - tokens) * MINUTE / capacity
        self._buckets[key_id] = (tokens - responses, now)
        return 0.0


class FailedLogins:
    """Failed logins per address, with a delay that grows.

    A key cannot be guessed, delay or not: the delay spares the database.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()  # address → count, and time of the last

    def count(self, address: str) -> float:
        """Count a failed login and return the seconds to wait before it is answered."""
        now = self._clock()
        failures, last = self._failed.pop(address, (0, now))
        failures = failures + 1 if now - last < MINUTE else 1
        self._failed[address] = (failures, now)
        if len(self._failed) > MAX_ADDRESSES:
            self._failed.popitem(last=False)
        if failures <= FREE_TRIES:
            return 0.0
        doublings = min(failures - FREE_TRIES - 1, 10)  # more would only overflow
        return min(LONGEST_DELAY, FIRST_DELAY * 2.0**doublings)
