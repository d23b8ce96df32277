import threading
import time
from typing import cast

import anyio
import pytest
from anyio import to_thread

from app.feedback.desk import Desk
from app.feedback.writer import Writer


class AtDelivery:
    """A writer that the end finds delivering to a database that says nothing."""

    def __init__(self) -> None:
        self.speak = threading.Event()

    async def run(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            await to_thread.run_sync(self.speak.wait, 10)


def test_a_delivery_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.feedback.desk.LAST", 0.05)
    writer = AtDelivery()

    async def end() -> float:
        async with Desk([cast("Writer", writer)], {}, {}).at_work():
            await anyio.sleep(0.01)
            began = time.monotonic()
        ended = time.monotonic() - began
        writer.speak.set()
        return ended

    assert anyio.run(end) < 5  # the database says nothing for ten


def test_without_feedback_models_there_is_nothing_to_end() -> None:
    async def end() -> None:
        async with Desk([], {}, {}).at_work():
            pass

    anyio.run(end)
