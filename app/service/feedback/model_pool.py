"""All live feedback models of an installation: which of them writes for an item, and those that were refused."""

import asyncio
import importlib.util
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from app.concurrency.time_limits import DEFAULT_LIMITS
from app.scoring.bundle import Bundle
from app.scoring.errors import BadBundle, CodedError
from app.scoring.feedback.bundle import FeedbackFiles, feedback_folder, feedback_names, load_feedback
from app.scoring.release import ACTIVE, Release, read_release
from app.service.feedback.writer import Deliver, Writer


class ModelPool:
    def __init__(
        self, writers: Sequence[Writer], refused: Mapping[str, CodedError], actives: Mapping[str, Release]
    ) -> None:
        self.writers = list(writers)
        self.refused = dict(refused)
        self.actives = dict(actives)
        self._found: dict[tuple[str, str], Writer | None] = {}

    @classmethod
    def from_folder(cls, models: Path, deliver: Deliver, *, limit: int, timeout: float, threads: int) -> "ModelPool":
        """Every feedback model that a person has made live.  A bad one is refused with its reason."""
        live, refused = live_feedback(models)
        writers = [Writer(files, deliver, limit=limit, timeout=timeout, threads=threads) for files, _ in live]
        return cls(writers, refused, {files.bundle.name: active for files, active in live})

    def writer_for(self, bundle: Bundle) -> Writer | None:
        """The first, by name, that learnt this very question."""
        key = (bundle.item.item_id, bundle.version)
        if key not in self._found:
            knowing = (writer for writer in self.writers if writer.files.knows(bundle.item))
            self._found[key] = next(knowing, None)
        return self._found[key]

    @asynccontextmanager
    async def at_work(self, end: float = DEFAULT_LIMITS.end) -> AsyncIterator[None]:
        """Work the queues off while it lasts.  Then deliver what waits as failed, if that takes no longer than `end`
        seconds; the rest is at the next start.
        """
        tasks = [asyncio.create_task(writer.run()) for writer in self.writers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=end)


def live_feedback(models: Path) -> tuple[list[tuple[FeedbackFiles, Release]], dict[str, CodedError]]:
    """Feedback models whose ACTIVE names a sound version, and why the others are refused.

    A folder without ACTIVE is no fault: generated feedback is only for whoever opts for it.
    """
    live = []
    refused: dict[str, CodedError] = {}
    for name in feedback_names(models):
        try:
            folder = feedback_folder(models, name)
            if not os.path.lexists(folder / ACTIVE):
                continue
            active = read_release(folder, Release)
            files = load_feedback(folder / active.version)
        except BadBundle as error:
            refused[name] = error.with_traceback(None)
            continue
        except OSError as error:
            refused[name] = BadBundle(f"cannot be read: {error.strerror}", code="folder_unreadable")
            continue
        if importlib.util.find_spec("xllamacpp") is None:
            refused[name] = BadBundle(
                "llama.cpp is not installed: .venv/bin/pip install '.[feedback]' in the project's folder",
                code="llama_missing",
            )
        else:
            live.append((files, active))
    return live, refused
