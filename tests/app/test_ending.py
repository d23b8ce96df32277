"""What is at work in a thread when the service ends."""

import asyncio
import time
from collections.abc import Awaitable
from threading import Event

import pytest

from app.ending import to_its_end


async def cancelled_once(begun: Event, working: Awaitable[object]) -> None:
    task = asyncio.ensure_future(working)
    while not begun.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_what_is_found_is_given_and_what_is_raised_is_raised() -> None:
    assert asyncio.run(to_its_end(divmod, 7, 2)) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(to_its_end(divmod, 7, 0))


@pytest.mark.parametrize("fails", [False, True])
def test_a_task_that_is_cancelled_ends_after_its_thread(fails: bool, caplog: pytest.LogCaptureFixture) -> None:
    begun, done = Event(), Event()

    def work() -> None:
        begun.set()
        time.sleep(0.1)
        done.set()
        if fails:
            raise ValueError

    async def service() -> None:
        await cancelled_once(begun, to_its_end(work))
        assert done.is_set()

    asyncio.run(service())
    assert caplog.text == ""


def test_what_hangs_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.ending.LAST", 0.05)
    begun, go_on = Event(), Event()

    def work() -> None:
        begun.set()
        go_on.wait(20)

    async def service() -> None:
        await cancelled_once(begun, to_its_end(work))
        assert not go_on.is_set()
        go_on.set()

    asyncio.run(service())
