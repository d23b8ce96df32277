"""One feedback model: a bounded queue, time limits, and a process that is restarted after a failure.

A start has a time limit apart from that of a text, so that a busy machine does not cost a learner the text.
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
PROGRAM = (sys.executable, "-P", "-m", "app.service.feedback.worker")  # -P: never import from the current folder
START_TIMEOUT = 120.0  # seconds for a worker to start: it reads gigabytes, perhaps from a slow disk
PIPE_CHUNK = 2**16  # bytes
Failure = Objection | Literal["failed", "queue_full"]
"""The reason for which a learner may not see, or cannot get, a generated text."""


@dataclass(frozen=True, slots=True)
class Task:
    """A scored response that wants feedback."""

    prediction_id: str
    item: Item
    bundle_version: str
    response: str
    value: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The text for a task, or the reason that a learner may not see one."""

    text: str | None
    failure: Failure | None
    model: str  # name/version
    tokens: int = 0
    seconds: float = 0.0


Deliver = Callable[[Task, Outcome], Awaitable[None]]


class Reply(BaseModel):
    """A line from the worker.  The first says that it is ready, or why not; the others hold texts."""

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

    def __init__(self, files: FeedbackFiles, deliver: Deliver, *, queue: int, timeout: float, threads: int) -> None:
        """Bound the queue to `queue` texts, with the one being written, and each text to `timeout` seconds.

        A caller reserves one of `places` and gives it back by `submit`, or by releasing it.
        """
        self.files = files
        self.program: Sequence[str] = PROGRAM  # starts the worker; its arguments follow
        self.deadline: asyncio.Timeout | None = None  # of the current wait for the worker
        self.places = Places(queue)
        self._deliver = deliver
        self._timeout, self._threads = timeout, threads
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._process: asyncio.subprocess.Process | None = None
        self._job_number = 0

    @property
    def name(self) -> str:
        """Name and version of the model."""
        return f"{self.files.bundle.name}/{self.files.bundle.version}"

    def submit(self, task: Task) -> "asyncio.Future[Outcome]":
        """Put a task into the reserved place.  The future is done after the outcome was delivered."""
        job = _Job(task)
        self._jobs.put_nowait(job)
        return job.delivered

    async def run(self) -> None:
        """Write texts until cancelled, then deliver the waiting tasks as failed."""
        job: _Job | None = None
        finishing: asyncio.Future[None] | None = None
        try:
            while True:
                job = await self._jobs.get()
                outcome = await self._outcome(job.task)
                finishing, job = asyncio.ensure_future(self._finish(job, outcome)), None
                await asyncio.shield(finishing)  # a finished text is delivered even during the shutdown
        finally:
            if finishing is not None:
                await finishing
            await self._end_process()
            unfinished = [job] if job is not None else []
            while not self._jobs.empty():
                unfinished.append(self._jobs.get_nowait())
            for waiting in unfinished:
                await self._finish(waiting, self._failed())

    def _failed(self) -> Outcome:
        return Outcome(None, "failed", self.name)

    async def _finish(self, job: _Job, outcome: Outcome) -> None:
        self.places.release()
        try:
            await self._deliver(job.task, outcome)
        except Exception as error:  # the queue goes on after any failed delivery
            kind = type(error).__name__
            extra = coded("feedback_lost", error=kind)
            log.error("feedback of prediction %s is lost (%s)", job.task.prediction_id, kind, extra=extra)
        if not job.delivered.done():
            job.delivered.set_result(outcome)

    async def _outcome(self, task: Task) -> Outcome:
        """Return the outcome of a task.  Any failure costs this one text, never the queue."""
        try:
            return await self._write(task)
        except Unusable as error:
            extra = coded("feedback_model_unusable", model=self.name)
            log.error("feedback model %s cannot be used: %s", self.name, error, extra=extra)
        except Exception as error:  # pipes, uvloop and parsers raise many kinds, and all of them end the process
            kind = type(error).__name__
            extra = coded("feedback_model_failed", model=self.name, error=kind)
            log.error("feedback model %s failed (%s) and is restarted", self.name, kind, extra=extra)
        await self._end_process()
        return self._failed()

    async def _write(self, task: Task) -> Outcome:
        prompt = await asyncio.to_thread(self.files.prompter.ids, task.item, task.response, task.value)
        async with self._within(START_TIMEOUT):
            process = await self._ready_process()
        began = time.monotonic()
        async with self._within(self._timeout):
            written = await self._ask(process, prompt)
        seconds = time.monotonic() - began
        if written.text is None:
            return Outcome(None, "failed", self.name, written.tokens, seconds)
        objection = self.files.screen.objection(written.text, task.response, task.item, task.value)
        text = None if objection else written.text
        return Outcome(text, objection, self.name, written.tokens, seconds)

    @contextlib.asynccontextmanager
    async def _within(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds) as self.deadline:
                yield
        finally:
            self.deadline = None

    async def _ready_process(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is not None:
            await self._end_process()  # it died after an earlier text, which is no reason to fail this one
        return self._process or await self._start_process()

    async def _ask(self, process: asyncio.subprocess.Process, prompt: Sequence[int]) -> Reply:
        """Return the reply to a prompt.  Raises any error of pipes and parsers, if the process is gone or confused."""
        assert process.stdin is not None  # noqa: S101  # made with pipes
        self._job_number += 1
        line = json.dumps({"job": self._job_number, "prompt": prompt}) + "\n"
        process.stdin.write(line.encode())
        await process.stdin.drain()
        reply = await self._read(process)
        if reply.job != self._job_number:
            raise ValueError("a reply to another prompt")
        return reply

    async def _read(self, process: asyncio.subprocess.Process) -> Reply:
        assert process.stdout is not None  # noqa: S101
        line = await process.stdout.readline()
        return Reply.model_validate_json(line)

    async def _start_process(self) -> asyncio.subprocess.Process:
        """Start the worker.  Raises Unusable with the reason that it gives."""
        files, adapter = self.files, self.files.adapter or ""
        prompt_settings = files.bundle.prompt.model_dump_json()
        environment = os.environ | {"PYTHONPATH": str(PACKAGES)}
        self._process = await asyncio.create_subprocess_exec(
            *self.program,
            str(files.base),
            str(adapter),
            prompt_settings,
            str(self._threads),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # llama.cpp's own log
            env=environment,
        )
        first = await self._read(self._process)
        if first.error is not None:
            raise Unusable(first.error)
        return self._process

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        if process.stdout is not None:
            await _drain(process.stdout)
        await process.wait()


async def _drain(output: asyncio.StreamReader) -> None:
    """Read a pipe to its end: a full pipe would keep the process from being waited for."""
    with contextlib.suppress(Exception):
        while await output.read(PIPE_CHUNK):
            pass
