"""Wait for what another thread or process does in its own time."""

import asyncio
import time
from collections.abc import Callable

HANGS = 300.0  # seconds that only a fault reaches, however slow the machine is
PAUSE = 0.01  # seconds between two looks


def until(holds: Callable[[], object]) -> None:
    """Return as soon as it holds."""
    deadline = time.monotonic() + HANGS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(PAUSE)


class Clock:
    """The time of the running loop, which a test can put forward: what waits by it then ends."""

    def __init__(self) -> None:
        self._loop, self._ahead = asyncio.get_running_loop(), 0.0
        real = self._loop.time
        self._loop.time = lambda: real() + self._ahead  # type: ignore[method-assign]

    async def put_forward(self, seconds: float) -> None:
        self._ahead += seconds
        await asyncio.sleep(0)
