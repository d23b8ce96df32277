"""One feedback model at work: a bounded queue, time limits, a process that is started anew when it fails.

A start has a limit apart from a text's, so that no learner goes without a text because the machine was busy then.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

import app
from app.concurrency.pool import Places
from app.logs import coded
from app.scoring.feedback.bundle import FeedbackFiles
from app.scoring.feedback.screen import Objection
from app.scoring.item import Item

log = logging.getLogger("scorelet")
PACKAGES = Path(app.__file__ or "").resolve().parents[1]
PROGRAM = (sys.executable, "-P", "-m", "app.service.feedback.worker")  # -P: nothing is imported from the current folder
START = 120.0  # seconds for a worker to start: it reads gigabytes, perhaps from a slow disk
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


class Reply(BaseModel):
    """A line from the worker: the first says that it is ready, or why it cannot be; the others have texts."""

    model_config = ConfigDict(extra="forbid", strict=True)

    job: int = 0
    text: str | None = None
    tokens: int = 0
    error: str | None = None


class Unusable(Exception):
    """The model cannot be run at all, with the reason in words."""


@dataclass(frozen=True, slots=True)
class _Job:
    task: Task
    delivered: "asyncio.Future[Outcome]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Writer:
    """Writes one text after another.  To be used from one event loop."""

    def __init__(self, files: FeedbackFiles, deliver: Deliver, *, limit: int, timeout: float, threads: int) -> None:
        """Take `limit` texts waiting or being written, and `timeout` seconds for one."""
        self.files = files
        self.program: Sequence[str] = PROGRAM  # starts the worker, whose arguments follow
        self.deadline: asyncio.Timeout | None = None  # until which the worker is waited for just now
        self._deliver = deliver
        self.places = Places(
            limit
        )  # for texts that wait or are being written; each is released by the writer or caller
        self._timeout, self._threads = timeout, threads
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._process: asyncio.subprocess.Process | None = None
        self._asked = 0

    @property
    def name(self) -> str:
        return f"{self.files.bundle.name}/{self.files.bundle.version}"

    def submit(self, task: Task) -> "asyncio.Future[Outcome]":
        """The reserved place is used; what comes of it is delivered first, then the future is done."""
        job = _Job(task)
        self._jobs.put_nowait(job)
        return job.delivered

    async def run(self) -> None:
        """Until cancelled; what is still waiting then is delivered as failed."""
        job: _Job | None = None
        finishing: asyncio.Future[None] | None = None
        try:
            while True:
                job = await self._jobs.get()
                outcome = await self._outcome(job.task)
                finishing, job = asyncio.ensure_future(self._finish(job, outcome)), None
                await asyncio.shield(finishing)  # what is written is delivered, whatever ends meanwhile
        finally:
            if finishing is not None:
                await finishing
            await self._end()
            left = [job] if job is not None else []
            while not self._jobs.empty():
                left.append(self._jobs.get_nowait())
            for waiting in left:
                await self._finish(waiting, Outcome(None, "failed", self.name))

    async def _finish(self, job: _Job, outcome: Outcome) -> None:
        self.places.release()
        try:
            await self._deliver(job.task, outcome)
        except Exception as error:  # the queue goes on whatever one delivery met
            kind = type(error).__name__
            extra = coded("feedback_lost", error=kind)
            log.error("feedback of prediction %s is lost (%s)", job.task.prediction_id, kind, extra=extra)
        if not job.delivered.done():
            job.delivered.set_result(outcome)

    async def _outcome(self, task: Task) -> Outcome:
        """Whatever goes wrong here costs this one text, never the queue."""
        try:
            prompt = await asyncio.to_thread(self.files.prompter.ids, task.item, task.response, task.value)
            async with self._within(START):
                process = await self._ready()
            began = time.monotonic()
            async with self._within(self._timeout):
                written = await self._ask(process, prompt)
            seconds = time.monotonic() - began
            if written.text is None:
                return Outcome(None, "failed", self.name, written.tokens, seconds)
            objection = self.files.screen.objection(written.text, task.response, task.item, task.value)
        except Unusable as error:
            extra = coded("feedback_model_unusable", model=self.name)
            log.error("feedback model %s cannot be used: %s", self.name, error, extra=extra)
        except Exception as error:  # a pipe's, uvloop's, a library's own: all of them end the process
            kind = type(error).__name__
            extra = coded("feedback_model_failed", model=self.name, error=kind)
            log.error("feedback model %s failed (%s); it is started anew", self.name, kind, extra=extra)
        else:
            return Outcome(None if objection else written.text, objection, self.name, written.tokens, seconds)
        await self._end()
        return Outcome(None, "failed", self.name)

    @contextlib.asynccontextmanager
    async def _within(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds) as self.deadline:
                yield
        finally:
            self.deadline = None

    async def _ready(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is not None:
            await self._end()  # it died since; this text need not
        return self._process or await self._start()

    async def _ask(self, process: asyncio.subprocess.Process, prompt: Sequence[int]) -> Reply:
        """Raise whatever a process that is gone or talks nonsense makes pipes and parsers raise."""
        assert process.stdin is not None  # noqa: S101  # made with pipes
        self._asked += 1
        process.stdin.write(json.dumps({"job": self._asked, "prompt": prompt}).encode() + b"\n")
        await process.stdin.drain()
        reply = await self._read(process)
        if reply.job != self._asked:
            raise ValueError("a reply to another prompt")
        return reply

    async def _read(self, process: asyncio.subprocess.Process) -> Reply:
        assert process.stdout is not None  # noqa: S101
        line = await process.stdout.readline()
        return Reply.model_validate_json(line)

    async def _start(self) -> asyncio.subprocess.Process:
        """Raises Unusable when the process says why it cannot."""
        files = self.files
        self._process = await asyncio.create_subprocess_exec(
            *self.program,
            str(files.base),
            str(files.adapter or ""),
            files.bundle.prompt.model_dump_json(),
            str(self._threads),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # llama.cpp's own log
            env=os.environ | {"PYTHONPATH": str(PACKAGES)},
        )
        first = await self._read(self._process)
        if first.error is not None:
            raise Unusable(first.error)
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            if process.stdin is not None:
                process.stdin.close()
            if process.stdout is not None:
                with contextlib.suppress(Exception):  # to its end: a pipe that is full keeps `wait` waiting
                    while await process.stdout.read(2**16):
                        pass
            await process.wait()
