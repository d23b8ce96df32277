"""Make identifiers that sort by time."""

import random
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0  # milliseconds


def uuid7(after: str | None = None) -> str:
    """Return a UUIDv7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, then random bits.  Python 3.14 has `uuid.uuid7`.

    Each sorts after `after` and never before an earlier one of this process, even if the clock is set back.  The bits
    are predictable: an id is no secret.
    """
    global _last
    with _lock:
        now = time.time_ns() // 1_000_000
        _last = milliseconds = now if now >= _last else _last + 1
    if after is not None:
        milliseconds = max(milliseconds, (uuid.UUID(after).int >> 80) + 1)
    value = milliseconds << 80 | random.getrandbits(80)
    value = value & ~(0xF << 76) | 7 << 76  # version
    value = value & ~(0b11 << 62) | 0b10 << 62  # variant
    return str(uuid.UUID(int=value))
