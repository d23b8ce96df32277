"""All live feedback models of an installation, and those that were refused."""

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
from app.scoring.live_version import ACTIVE, Release, read_release
from app.service.feedback.writer import Deliver, Writer

LiveFeedback = tuple[FeedbackFiles, Release]


class ModelPool:
    """A writer for each live feedback model."""

    def __init__(
        self, writers: Sequence[Writer], refused: Mapping[str, CodedError], actives: Mapping[str, Release]
    ) -> None:
        self.writers = list(writers)
        self.refused = dict(refused)
        self.actives = dict(actives)
        self._writers_of: dict[tuple[str, str], Writer | None] = {}  # by item and bundle version

    @classmethod
    def from_folder(cls, models: Path, deliver: Deliver, *, queue: int, timeout: float, threads: int) -> "ModelPool":
        """Load every live feedback model.  A bad one is refused with its reason."""
        live, refused = live_feedback(models)
        writers = [Writer(files, deliver, queue=queue, timeout=timeout, threads=threads) for files, _ in live]
        return cls(writers, refused, {files.bundle.name: active for files, active in live})

    def writer_for(self, bundle: Bundle) -> Writer | None:
        """Return the writer of the first model, by name, that was trained on this very question."""
        key = (bundle.item.item_id, bundle.version)
        if key not in self._writers_of:
            suitable = (writer for writer in self.writers if writer.files.knows(bundle.item))
            self._writers_of[key] = next(suitable, None)
        return self._writers_of[key]

    @asynccontextmanager
    async def writing(self, end: float = DEFAULT_LIMITS.end) -> AsyncIterator[None]:
        """Write the queued texts while the context lasts.

        At its end, deliver the waiting tasks as failed, for at most `end` seconds.
        """
        tasks = [asyncio.create_task(writer.run()) for writer in self.writers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=end)


def live_feedback(models: Path) -> tuple[list[LiveFeedback], dict[str, CodedError]]:
    """Return the feedback models whose ACTIVE names a sound version, and why others are refused.

    A folder without ACTIVE is no fault, because generated feedback is opt-in.
    """
    live: list[LiveFeedback] = []
    refused: dict[str, CodedError] = {}
    for name in feedback_names(models):
        try:
            folder = feedback_folder(models, name)
            if not os.path.lexists(folder / ACTIVE):
                continue
            active = read_release(folder, Release)
            files = load_feedback(folder / active.version)
            _require_llama()
        except BadBundle as error:
            refused[name] = error.with_traceback(None)
        except OSError as error:
            refused[name] = BadBundle(f"cannot be read: {error.strerror}", code="folder_unreadable")
        else:
            live.append((files, active))
    return live, refused


def _require_llama() -> None:
    if importlib.util.find_spec("xllamacpp") is None:
        raise BadBundle(
            "llama.cpp is not installed: run .venv/bin/pip install '.[feedback]' in the project's folder",
            code="llama_missing",
        )
