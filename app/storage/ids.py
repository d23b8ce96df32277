"""Identifiers that sort by time."""

import random
import time
import uuid


def uuid7() -> str:
    """A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then random bits.  Python has its own from 3.14.

    Not to be taken for a secret: whoever has some may foresee others, and must be allowed to ask about any.
    """
    value = (time.time_ns() // 1_000_000) << 80 | random.getrandbits(80)
    value = value & ~(0xF << 76) | 7 << 76  # version
    value = value & ~(0b11 << 62) | 0b10 << 62  # variant
    return str(uuid.UUID(int=value))
