"""Changes of ACTIVE taken up while the service runs: every so many seconds a look at the folder of bundles."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from app.concurrency.shutdown import to_its_end
from app.concurrency.time_limits import DEFAULT_LIMITS
from app.logs import coded, type_and_place
from app.scoring.registry import Registry

log = logging.getLogger("scorelet")


@asynccontextmanager
async def reloading(
    registry: Registry,
    models: Path,
    seconds: float,
    note: Callable[[], None],
    reloaded: Callable[[int, int], None] = lambda *_: None,
    end: float = DEFAULT_LIMITS.end,
) -> AsyncIterator[None]:
    """While it lasts.  0 seconds: never look.

    `note` writes down what is live, now and when anything has changed; what the database did not take it is offered
    again.  `reloaded` is told of each look how many items were taken up, and how many newly refused.
    """
    noted = await to_its_end(_noted, note, end=end)
    task = None
    if seconds > 0:
        task = asyncio.create_task(_look(registry, models, seconds, note, reloaded, end, noted=noted))
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _look(
    registry: Registry,
    models: Path,
    seconds: float,
    note: Callable[[], None],
    reloaded: Callable[[int, int], None],
    end: float,
    *,
    noted: bool,
) -> None:
    told: dict[str, str] = {}
    while True:
        await asyncio.sleep(seconds)
        try:
            changed = await to_its_end(registry.refresh, models, end=end)
        except OSError as error:  # the folder itself cannot be read: what is live goes on
            extra = coded("folder_unreadable", errno=error.errno)
            log.error("the folder of bundles cannot be read: %s", error.strerror, extra=extra)
            continue
        except Exception as error:  # whatever it is: it is looked at again
            place = type_and_place(error)
            log.error("the folder of bundles could not be gone through: %s", place, extra=coded("reload_failed"))
            continue
        for item_id in changed:
            live = registry.live.get(item_id)
            log.info("item %s: %s", item_id, f"{live.active.version}, {live.active.mode}" if live else "gone")
        errors = registry.without_shadow | registry.without_teacher | registry.refused | registry.not_taken_up
        wrong = {item_id: str(error) for item_id, error in errors.items()}
        new = {item_id: reason for item_id, reason in wrong.items() if told.get(item_id) != reason}
        for item_id, reason in new.items():
            extra = coded("not_taken_up", item_id=item_id, cause=errors[item_id].code)
            log.error("item %s, its teacher or its shadow is not taken up: %s", item_id, reason, extra=extra)
        reloaded(len(changed), len(new))
        told = wrong
        if changed or not noted:
            noted = await to_its_end(_noted, note, end=end)


def _noted(note: Callable[[], None]) -> bool:
    try:
        note()
    except Exception as error:  # whatever it is: it is written down later, and ACTIVE goes on being looked at
        place = type_and_place(error)
        log.error("what is live could not be written down yet: %s", place, extra=coded("activation_not_noted"))
        return False
    return True
