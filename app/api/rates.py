"""How often a caller may call: so many responses a minute by a key, and failed tries that grow slower."""

import time
from collections import OrderedDict
from collections.abc import Callable

MINUTE = 60.0  # seconds
FREE_TRIES = 5  # failed ones of an address in a minute that are answered at once
FIRST_DELAY, LONGEST_DELAY = 0.1, 3.0  # seconds
MOST_ADDRESSES = 10_000


class Rates:
    """A bucket a key: it holds the responses of a minute and fills evenly.

    A batch may overdraw it, and is paid off before the next call: on average the rate holds, and no batch is too large.
    Each process counts for itself.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # key → what was in it, and when

    def take(self, key_id: str, a_minute: int, responses: int) -> float:
        """0.0, and so many responses are taken; or the seconds until the key may call again."""
        now = self._clock()
        held, then = self._buckets.get(key_id, (float(a_minute), now))
        held = min(float(a_minute), held + (now - then) * a_minute / MINUTE)
        if held < 1:
            return (1 - held) * MINUTE / a_minute
        self._buckets[key_id] = (held - responses, now)
        return 0.0


class FailedTries:
    """Of addresses that call with keys that are none.  A key cannot be guessed; this spares the database."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()  # address → how often, and when last

    def failed(self, address: str) -> float:
        """One more: seconds after which it is to be answered."""
        now = self._clock()
        count, last = self._failed.pop(address, (0, now))
        count = count + 1 if now - last < MINUTE else 1
        self._failed[address] = (count, now)
        if len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)
        beyond = count - FREE_TRIES
        return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(beyond - 1, 10)) if beyond > 0 else 0.0
