"""Bound the work that runs or waits at once, and the time that a call waits for it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Generic, Literal, NamedTuple, TypeVar

Outcome = Literal["answered", "full", "late", "failed"]
Result = TypeVar("Result")


class Places:
    """A bounded number of places for work that runs or waits.  To be used from one event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    @property
    def taken(self) -> int:
        """Number of places in use."""
        return self._taken

    def reserve(self) -> bool:
        """Take a place; return False when all are taken.  Every place must be released."""
        if self._taken >= self._limit:
            return False
        self._taken += 1
        return True

    def release(self) -> None:
        """Give a place back."""
        self._taken -= 1


class Answer(NamedTuple, Generic[Result]):
    """The outcome of a call, with its result if it was answered, or with the error that it failed with."""

    outcome: Outcome
    result: Result | None = None
    error: Exception | None = None


class BoundedPool:
    """Threads with a bounded queue and a deadline that includes the time in the queue."""

    def __init__(self, *, workers: int, queue: int, timeout: float, name: str) -> None:
        """Run `workers` calls at once while `queue` others wait; a call waits for at most `timeout` seconds."""
        self.outcomes: Counter[Outcome] = Counter()
        self.workers = workers
        self.timeout = timeout
        self._places = Places(workers + queue)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix=name)

    @property
    def taken(self) -> int:
        """Number of calls that run or wait."""
        return self._places.taken

    async def run(self, work: Callable[..., Result], *arguments: object) -> Answer[Result]:
        """Return the answer of `work`, run in a thread.  Never raises, unless the caller is cancelled."""
        answer = await self._run(work, *arguments)
        self.outcomes[answer.outcome] += 1
        return answer

    async def _run(self, work: Callable[..., Result], *arguments: object) -> Answer[Result]:
        if not self._places.reserve():
            return Answer("full")
        if self.timeout <= 0:
            self._places.release()
            return Answer("late")
        try:
            running = self._threads.submit(work, *arguments)
        except RuntimeError:  # the pool is closed: the service shuts down
            self._places.release()
            return Answer("failed")
        running.add_done_callback(partial(self._release, asyncio.get_running_loop()))
        try:
            # A time-out ends the wait and not the work, so the place becomes free when the work is done.
            result = await asyncio.wait_for(asyncio.wrap_future(running), self.timeout)
        except TimeoutError:
            return Answer("late")
        except Exception as error:
            return Answer("failed", error=error)
        return Answer("answered", result)

    def _release(self, loop: asyncio.AbstractEventLoop, _: Future[Result]) -> None:
        """Free a place, on the loop's own thread, when its work is done or was dropped."""
        with suppress(RuntimeError):  # the loop is closed: the service shuts down
            loop.call_soon_threadsafe(self._places.release)

    def close(self) -> None:
        """Drop the work that waits.  Work that has begun ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
