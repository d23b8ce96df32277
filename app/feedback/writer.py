"""One feedback model at work: a bounded queue, a time limit, a process that is started anew when it fails."""

import asyncio
import contextlib
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from app.scoring.feedback.bundle import FeedbackFiles
from app.scoring.feedback.screen import Objection
from app.scoring.item import Item

log = logging.getLogger("scorelet")
Failure = Objection | Literal["failed", "queue_full"]
"""Why a learner may not see, or cannot get, a generated text."""


@dataclass(frozen=True, slots=True)
class Task:
    """One scored response that wants feedback."""

    prediction_id: str
    item: Item
    bundle_version: str
    response: str
    value: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The text, or why a learner may not see one."""

    text: str | None
    failure: Failure | None
    model: str  # name/version
    tokens: int = 0
    seconds: float = 0.0


Deliver = Callable[[Task, Outcome], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Job:
    task: Task
    delivered: "asyncio.Future[Outcome]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Writer:
    """Writes one text after another.  To be used from one event loop."""

    def __init__(self, files: FeedbackFiles, deliver: Deliver, *, limit: int, timeout: float, threads: int) -> None:
        """limit: texts waiting or being written; timeout: seconds for one."""
        self.files = files
        self._deliver = deliver
        self._limit, self._timeout, self._threads = limit, timeout, threads
        self._taken = 0
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def name(self) -> str:
        return f"{self.files.bundle.name}/{self.files.bundle.version}"

    def reserve(self) -> bool:
        """A place in the queue; False when it is full.  Every place is given back by `submit` or `release`."""
        if self._taken >= self._limit:
            return False
        self._taken += 1
        return True

    def release(self) -> None:
        self._taken -= 1

    def submit(self, task: Task) -> "asyncio.Future[Outcome]":
        """The reserved place is used; what comes of it is delivered first, then the future is done."""
        job = _Job(task)
        self._jobs.put_nowait(job)
        return job.delivered

    async def run(self) -> None:
        """Until cancelled; what is still waiting then is delivered as failed."""
        job = None
        try:
            while True:
                job = await self._jobs.get()
                await self._finish(job, await self._outcome(job.task))
                job = None
        finally:
            await self._end()
            left = [job] if job is not None else []
            while not self._jobs.empty():
                left.append(self._jobs.get_nowait())
            for waiting in left:
                await self._finish(waiting, Outcome(None, "failed", self.name))

    async def _finish(self, job: _Job, outcome: Outcome) -> None:
        self.release()
        try:
            await self._deliver(job.task, outcome)
        except Exception as error:  # the queue goes on whatever one delivery met
            log.error("feedback of prediction %s is lost (%s)", job.task.prediction_id, type(error).__name__)
        if not job.delivered.done():
            job.delivered.set_result(outcome)

    async def _outcome(self, task: Task) -> Outcome:
        began = time.monotonic()
        try:
            text, tokens = await asyncio.wait_for(self._ask(task), self._timeout)
        except (TimeoutError, OSError, ValueError) as error:
            log.error("feedback model %s failed (%s); it is started anew", self.name, type(error).__name__)
            await self._end()
            return Outcome(None, "failed", self.name)
        seconds = time.monotonic() - began
        if text is None:
            return Outcome(None, "failed", self.name, tokens, seconds)
        objection = self.files.screen.objection(text, task.response, task.item, task.value)
        return Outcome(None if objection else text, objection, self.name, tokens, seconds)

    async def _ask(self, task: Task) -> tuple[str | None, int]:
        """Raises OSError or ValueError when the process is gone or talks nonsense."""
        process = self._process or await self._start()
        if process.stdin is None or process.stdout is None:
            raise OSError("no pipes")
        prompt = self.files.prompter.ids(task.item, task.response, task.value)
        process.stdin.write(json.dumps(prompt).encode() + b"\n")
        await process.stdin.drain()
        reply = json.loads(await process.stdout.readline())
        return reply["text"], reply["tokens"]

    async def _start(self) -> asyncio.subprocess.Process:
        files = self.files
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.feedback.worker",
            str(files.base),
            str(files.adapter or ""),
            files.bundle.prompt.model_dump_json(),
            str(self._threads),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # llama.cpp's own log; what fails is named here
        )
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()
