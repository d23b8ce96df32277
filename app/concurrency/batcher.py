"""One thread that does together what many requests ask for: commits, and runs of students, cost less so."""

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

Asked = TypeVar("Asked")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class _Call(Generic[Asked, Found]):
    asked: Asked
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Found]


class Batcher(Generic[Asked, Found]):
    """What was asked while the thread was at work is the next piece of work, whole: nobody waits for company."""

    def __init__(
        self,
        work: Callable[[list[Asked]], Sequence[Found | Exception]],
        most: int,
        name: str,
        end: float = DEFAULT_LIMITS.end,
    ) -> None:
        """Take `work`, which gives one answer, or error, for each that is asked, and is never given more than `most`.

        When it raises for several, each is tried alone: one that cannot be done is not the others' trouble.  `end` is
        the seconds for which closing waits.
        """
        self._work, self._most, self._name, self._end = work, most, name, end
        self._lock = Lock()
        self._open: tuple[Thread, SimpleQueue[_Call[Asked, Found] | None]] | None = None

    async def ask(self, asked: Asked) -> Found:
        """Raises what `work` gave as an error, or raised, for this one.  Given up before its turn, it is not done."""
        loop = asyncio.get_running_loop()
        call: _Call[Asked, Found] = _Call(asked, loop, loop.create_future())
        with self._lock:
            self._open = self._open or self._start()
            self._open[1].put(call)
        return await call.answer

    @property
    def waiting(self) -> int:
        """Calls that no work has begun on."""
        return self._open[1].qsize() if self._open else 0

    async def aclose(self) -> None:
        """Do first what was asked, if that takes no longer than `end`: work that hangs holds up no end."""
        with self._lock:
            if self._open is None:
                return
            thread, calls = self._open
            self._open = None
            calls.put(None)
        await to_thread.run_sync(thread.join, self._end)

    def _start(self) -> tuple[Thread, SimpleQueue[_Call[Asked, Found] | None]]:
        calls: SimpleQueue[_Call[Asked, Found] | None] = SimpleQueue()
        thread = Thread(target=self._run, args=(calls,), name=self._name, daemon=True)
        thread.start()
        return thread, calls

    def _run(self, waiting: SimpleQueue[_Call[Asked, Found] | None]) -> None:
        ended = False
        while not ended and (first := waiting.get()) is not None:
            calls = [first]
            while len(calls) < self._most and not waiting.empty():
                following = waiting.get()
                if following is None:
                    ended = True
                    break
                calls.append(following)
            if wanted := [call for call in calls if not call.answer.cancelled()]:
                self._answer(wanted)

    def _answer(self, calls: Sequence[_Call[Asked, Found]]) -> None:
        answers = self._answers([call.asked for call in calls])
        settled: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Found], Found | Exception]]]
        settled = defaultdict(list)
        for call, answer in zip(calls, answers, strict=True):
            settled[call.loop].append((call.answer, answer))
        for loop, own in settled.items():  # a service has one: it is woken once for all its calls
            with suppress(RuntimeError):  # it is closed: nobody waits
                loop.call_soon_threadsafe(_settle, own)

    def _answers(self, asked: list[Asked]) -> Sequence[Found | Exception]:
        try:
            return self._work(asked)
        except Exception as error:
            if len(asked) == 1:
                return [error]
            return [answer for own in asked for answer in self._answers([own])]


def _settle(settled: Sequence[tuple[asyncio.Future[Found], Found | Exception]]) -> None:
    for future, answer in settled:
        if future.done():  # the call was cancelled meanwhile
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
