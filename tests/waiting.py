"""Waiting for what another thread or process does in its own time."""

import time
from collections.abc import Callable

LONGEST = 30.0  # seconds: a machine with other work to do is slow


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONGEST
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
