"""Work in a thread when the service shuts down."""

import asyncio
from collections.abc import Awaitable, Callable
from threading import Event

import pytest

from app.concurrency.shutdown import finish_in_thread
from tests.waiting import HANGS


async def cancelled_once(begun: Event, working: Awaitable[object], then: Callable[[], object] = bool) -> None:
    """Cancel it when it has begun; `then` follows while it ends."""
    task = asyncio.ensure_future(working)
    assert await asyncio.to_thread(begun.wait, HANGS)
    task.cancel()
    asyncio.get_running_loop().call_later(0.05, then)
    with pytest.raises(asyncio.CancelledError):
        await task


def test_result_is_returned_and_error_is_raised() -> None:
    assert asyncio.run(finish_in_thread(divmod, 7, 2)) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(finish_in_thread(divmod, 7, 0))


@pytest.mark.parametrize("fails", [False, True])
def test_cancelled_task_ends_after_its_thread(fails: bool, caplog: pytest.LogCaptureFixture) -> None:
    begun, go_on, done = Event(), Event(), Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(HANGS)
        done.set()
        if fails:
            raise ValueError

    async def service() -> None:
        await cancelled_once(begun, finish_in_thread(work, end=HANGS), go_on.set)
        assert done.is_set()

    asyncio.run(service())
    assert caplog.text == ""


def test_hanging_thread_does_not_delay_the_shutdown() -> None:
    begun, go_on = Event(), Event()

    def work() -> None:
        begun.set()
        go_on.wait(HANGS)

    async def service() -> None:
        await cancelled_once(begun, finish_in_thread(work, end=0.01))
        assert not go_on.is_set()
        go_on.set()

    asyncio.run(service())
