"""Identifiers that sort by time."""

import secrets
import time
import uuid


def uuid7() -> str:
    """A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then random bits.  Python has its own from 3.14."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76  # version
    value = value & ~(0b11 << 62) | 0b10 << 62  # variant
    return str(uuid.UUID(int=value))
