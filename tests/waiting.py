"""Wait for other threads and processes."""

import asyncio
import time
from collections.abc import Callable

HANGS = 300.0  # seconds that only a fault can take, even on a slow machine
PAUSE = 0.01  # seconds between two checks


def until(holds: Callable[[], object]) -> None:
    """Return as soon as the condition holds."""
    deadline = time.monotonic() + HANGS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(PAUSE)


class Clock:
    """The clock of the running loop, which a test can put forward to end waits."""

    def __init__(self) -> None:
        self._loop, self._ahead = asyncio.get_running_loop(), 0.0
        real = self._loop.time
        self._loop.time = lambda: real() + self._ahead  # type: ignore[method-assign]

    async def put_forward(self, seconds: float) -> None:
        """Put the clock forward and let waiting tasks run."""
        self._ahead += seconds
        await asyncio.sleep(0)
