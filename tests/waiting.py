"""Wait for what another thread or process does in its own time."""

import time
from collections.abc import Callable

HANGS = 300.0  # seconds that only a fault reaches, however slow the machine is
PAUSE = 0.01  # seconds between two looks


def until(holds: Callable[[], object]) -> None:
    """Return when it holds; look at least once after the time is over, since a slow machine may have taken it all."""
    deadline = time.monotonic() + HANGS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(PAUSE)
