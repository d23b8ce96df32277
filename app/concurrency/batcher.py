"""Batch concurrent calls in one thread, because a commit, or a run of a student, costs as much for many as for one."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Generic, TypeVar

from anyio import to_thread

from app.concurrency.time_limits import DEFAULT_LIMITS

Request = TypeVar("Request")
Result = TypeVar("Result")
_Settled = tuple[asyncio.Future[Result], Result | Exception]  # the future of a call, and its result


@dataclass(frozen=True, slots=True)
class _Call(Generic[Request, Result]):
    request: Request
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Result]


@dataclass(frozen=True, slots=True)
class _Worker(Generic[Request, Result]):
    thread: Thread
    calls: SimpleQueue[_Call[Request, Result] | None]  # None: the thread is to end


class Batcher(Generic[Request, Result]):
    """A thread that runs calls in batches.

    Calls that arrive while a batch runs form the next batch.  A call never waits for others to join it.
    """

    def __init__(
        self,
        work: Callable[[list[Request]], Sequence[Result | Exception]],
        max_batch: int,
        name: str,
        end: float = DEFAULT_LIMITS.end,
    ) -> None:
        """Run `work` on batches of at most `max_batch` requests, in a thread called `name`.

        `work` returns one result or error for each request.  If it raises for a batch, each request is tried alone, so
        that one bad request does not fail the others.  `aclose` waits for at most `end` seconds.
        """
        self._work, self._max_batch = work, max_batch
        self._name = name
        self._end = end
        self._lock = Lock()
        self._worker: _Worker[Request, Result] | None = None

    async def ask(self, request: Request) -> Result:
        """Return the result of a request, or raise its error.  A call that is cancelled before its batch is not run."""
        loop = asyncio.get_running_loop()
        call: _Call[Request, Result] = _Call(request, loop, loop.create_future())
        with self._lock:
            if self._worker is None:
                self._worker = self._start()
            self._worker.calls.put(call)
        return await call.answer

    @property
    def waiting(self) -> int:
        """Number of calls in no batch yet."""
        return self._worker.calls.qsize() if self._worker else 0

    async def aclose(self) -> None:
        """Run the calls made so far, for at most `end` seconds: work that hangs does not delay the shutdown."""
        with self._lock:
            if self._worker is None:
                return
            worker, self._worker = self._worker, None
            worker.calls.put(None)
        await to_thread.run_sync(worker.thread.join, self._end)

    def _start(self) -> _Worker[Request, Result]:
        calls: SimpleQueue[_Call[Request, Result] | None] = SimpleQueue()
        thread = Thread(target=self._run, args=(calls,), name=self._name, daemon=True)
        thread.start()
        return _Worker(thread, calls)

    def _run(self, waiting: SimpleQueue[_Call[Request, Result] | None]) -> None:
        ended = False
        while not ended and (first := waiting.get()) is not None:
            batch = [first]
            while len(batch) < self._max_batch and not waiting.empty():
                following = waiting.get()
                if following is None:
                    ended = True
                    break
                batch.append(following)
            if wanted := [call for call in batch if not call.answer.cancelled()]:
                self._answer(wanted)

    def _answer(self, calls: Sequence[_Call[Request, Result]]) -> None:
        results = self._results([call.request for call in calls])
        settled: dict[asyncio.AbstractEventLoop, list[_Settled[Result]]] = defaultdict(list)
        for call, result in zip(calls, results, strict=True):
            settled[call.loop].append((call.answer, result))
        for loop, answers in settled.items():  # a service has one loop, which wakes up once for the whole batch
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(_settle, answers)

    def _results(self, requests: list[Request]) -> Sequence[Result | Exception]:
        try:
            return self._work(requests)
        except Exception as error:
            if len(requests) == 1:
                return [error]
            results: list[Result | Exception] = []
            for request in requests:
                results += self._results([request])
            return results


def _settle(answers: Sequence[_Settled[Result]]) -> None:
    for future, result in answers:
        if future.done():  # the call was cancelled meanwhile
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
