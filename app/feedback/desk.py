"""All live feedback models of an installation: which of them writes for an item, and those that were refused."""

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from app.feedback.writer import Deliver, Writer
from app.scoring.active import ACTIVE, Active, read_active
from app.scoring.errors import BadBundle
from app.scoring.feedback.bundle import FeedbackFiles, feedback_folder, feedback_names, load_feedback
from app.scoring.item import Item


class Desk:
    def __init__(self, writers: Sequence[Writer], refused: Mapping[str, str], actives: Mapping[str, Active]) -> None:
        self.writers = list(writers)
        self.refused = dict(refused)
        self.actives = dict(actives)

    @classmethod
    def from_folder(cls, models: Path, deliver: Deliver, *, limit: int, timeout: float, threads: int) -> "Desk":
        """Every feedback model that a person has made live.  A bad one is refused with its reason."""
        live, refused = live_feedback(models)
        writers = [Writer(files, deliver, limit=limit, timeout=timeout, threads=threads) for files, _ in live]
        return cls(writers, refused, {files.bundle.name: active for files, active in live})

    def writer_for(self, item: Item) -> Writer | None:
        """The first, by name, that learnt this very question."""
        return next((writer for writer in self.writers if writer.files.knows(item)), None)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """While it lasts the queues are worked off."""
        tasks = [asyncio.create_task(writer.run()) for writer in self.writers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    await task


def live_feedback(models: Path) -> tuple[list[tuple[FeedbackFiles, Active]], dict[str, str]]:
    """Feedback models whose ACTIVE names a sound version, and why the others are refused.

    A folder without ACTIVE is no fault: generated feedback is only for whoever opts for it.
    """
    live, refused = [], {}
    for name in feedback_names(models):
        folder = feedback_folder(models, name)
        if not (folder / ACTIVE).exists():
            continue
        try:
            active = read_active(folder)
            files = load_feedback(folder / active.version)
        except BadBundle as error:
            refused[name] = str(error)
            continue
        if importlib.util.find_spec("xllamacpp") is None:
            refused[name] = "llama.cpp is not installed: pip install 'scorelet[feedback]'"
        else:
            live.append((files, active))
    return live, refused
