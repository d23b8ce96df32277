"""Poll the folder of bundles, and reload items whose ACTIVE has changed while the service runs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from app.concurrency.shutdown import finish_in_thread
from app.concurrency.time_limits import DEFAULT_LIMITS
from app.logs import coded, type_and_place
from app.scoring.registry import Registry

log = logging.getLogger("scorelet")


def _count_nothing(taken_up: int, refused: int) -> None:
    """Ignore the counts of a poll."""


@asynccontextmanager
async def watching_bundles(
    registry: Registry,
    models: Path,
    seconds: float,
    note_live: Callable[[], None],
    count: Callable[[int, int], None] = _count_nothing,
    end: float = DEFAULT_LIMITS.end,
) -> AsyncIterator[None]:
    """Poll every so many seconds while the context lasts; 0 seconds: never.

    `note_live` records the live versions, now and after every change; a failed record is tried again.  `count` is given
    the number of items that a poll took up, and of those that it newly refused.
    """
    watcher = _Watcher(registry, models, note_live, count, end)
    await watcher.note()
    task = asyncio.create_task(watcher.poll_every(seconds)) if seconds > 0 else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class _Watcher:
    def __init__(
        self,
        registry: Registry,
        models: Path,
        note_live: Callable[[], None],
        count: Callable[[int, int], None],
        end: float,
    ) -> None:
        self._registry, self._models, self._end = registry, models, end
        self._note_live, self._count = note_live, count
        self._is_noted = False
        self._logged: dict[str, str] = {}  # item → the fault that was logged last

    async def poll_every(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._poll()

    async def note(self) -> None:
        """Record the live versions in the database."""
        self._is_noted = await finish_in_thread(_succeeds, self._note_live, end=self._end)

    async def _poll(self) -> None:
        try:
            changed = await finish_in_thread(self._registry.refresh, self._models, end=self._end)
        except OSError as error:  # the folder itself: live versions go on serving
            extra = coded("folder_unreadable", errno=error.errno)
            log.error("the folder of bundles cannot be read: %s", error.strerror, extra=extra)
            return
        except Exception as error:  # the next poll tries again
            place = type_and_place(error)
            log.error("the folder of bundles could not be polled: %s", place, extra=coded("reload_failed"))
            self._is_noted = False  # some items may have been loaded before the error
            return
        self._log_changes(changed)
        refused = self._log_faults()
        self._count(len(changed), refused)
        if changed or not self._is_noted:
            await self.note()

    def _log_changes(self, changed: list[str]) -> None:
        live_items = self._registry.live
        for item_id in changed:
            live = live_items.get(item_id)
            state = f"{live.active.version}, {live.active.mode}" if live else "gone"
            log.info("item %s: %s", item_id, state)

    def _log_faults(self) -> int:
        """Log each fault that the last poll did not have, and return their number."""
        snapshot = self._registry.snapshot
        faults = {
            **snapshot.without_shadow,
            **snapshot.without_teacher,
            **snapshot.refused,
            **snapshot.not_taken_up,
        }
        reasons = {item_id: str(error) for item_id, error in faults.items()}
        new = {item_id: reason for item_id, reason in reasons.items() if self._logged.get(item_id) != reason}
        for item_id, reason in new.items():
            extra = coded("not_taken_up", item_id=item_id, cause=faults[item_id].code)
            log.error(
                "item %s: a change of the item, its teacher or its shadow is not loaded: %s",
                item_id,
                reason,
                extra=extra,
            )
        self._logged = reasons
        return len(new)


def _succeeds(note_live: Callable[[], None]) -> bool:
    try:
        note_live()
    except Exception as error:  # polling goes on, and the record is tried again
        place = type_and_place(error)
        log.error("the live versions could not be recorded yet: %s", place, extra=coded("activation_not_noted"))
        return False
    return True
