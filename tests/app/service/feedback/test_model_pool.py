import threading
from typing import cast

import anyio
from anyio import to_thread

from app.service.feedback.model_pool import ModelPool
from app.service.feedback.writer import Writer
from tests.waiting import HANGS


class AtDelivery:
    """A writer that the end finds delivering to a database that says nothing."""

    def __init__(self) -> None:
        self.begun, self.speak = anyio.Event(), threading.Event()

    async def run(self) -> None:
        self.begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            await to_thread.run_sync(self.speak.wait, HANGS)


def test_hanging_delivery_does_not_delay_the_shutdown() -> None:
    writer = AtDelivery()

    async def end() -> bool:
        async with ModelPool([cast("Writer", writer)], {}, {}).writing(end=0.01):
            await writer.begun.wait()
        spoke = writer.speak.is_set()
        writer.speak.set()
        return spoke

    assert not anyio.run(end)  # it ended before the database spoke


def test_pool_without_models_closes() -> None:
    async def end() -> None:
        async with ModelPool([], {}, {}).writing():
            pass

    anyio.run(end)
