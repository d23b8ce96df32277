import threading
from collections.abc import Sequence

import anyio
import anyio.to_thread

from app.concurrency.batcher import Batcher
from tests.waiting import HANGS, until


class Doubling:
    """Doubles numbers, waits in each batch until released, and fails on negative numbers."""

    def __init__(self) -> None:
        self.pieces: list[list[int]] = []
        self.go_on = threading.Event()

    async def begun(self) -> None:
        """Return when it is at work."""
        await anyio.to_thread.run_sync(until, lambda: self.pieces)

    def __call__(self, numbers: list[int]) -> Sequence[int | Exception]:
        self.pieces.append(numbers)
        assert self.go_on.wait(HANGS)
        if any(number < 0 for number in numbers):
            raise ArithmeticError(str(numbers))
        return [ZeroDivisionError() if number == 0 else 2 * number for number in numbers]


async def ask_all(batcher: Batcher[int, int], work: Doubling, numbers: Sequence[int]) -> list[int | Exception]:
    """The first is at work before the others come."""
    answers: dict[int, int | Exception] = {}

    async def ask(place: int, number: int) -> None:
        try:
            answers[place] = await batcher.ask(number)
        except ArithmeticError as error:
            answers[place] = error

    async with anyio.create_task_group() as tasks:
        for place, number in enumerate(numbers):
            tasks.start_soon(ask, place, number)
            await work.begun()
        await anyio.to_thread.run_sync(until, lambda: batcher.waiting == len(numbers) - 1)
        work.go_on.set()
    await batcher.aclose()
    return [answers[place] for place in range(len(numbers))]


def test_calls_during_a_batch_form_the_next_batches_up_to_their_limit() -> None:
    work = Doubling()

    answers = anyio.run(ask_all, Batcher(work, 3, "doubling"), work, [1, 2, 3, 4, 5])

    assert answers == [2, 4, 6, 8, 10]
    assert work.pieces == [[1], [2, 3, 4], [5]]


def test_one_bad_request_does_not_fail_the_rest_of_its_batch() -> None:
    work = Doubling()

    answers = anyio.run(ask_all, Batcher(work, 8, "doubling"), work, [1, 2, -3, 0])

    assert answers[:2] == [2, 4]
    assert type(answers[2]) is ArithmeticError
    assert str(answers[2]) == "[-3]"
    assert type(answers[3]) is ZeroDivisionError


def test_cancelled_caller_does_not_stop_others() -> None:
    work = Doubling()
    batcher: Batcher[int, int] = Batcher(work, 8, "doubling")

    async def one_goes() -> int:
        async with anyio.create_task_group() as caller:
            caller.start_soon(batcher.ask, 1)
            await work.begun()
            caller.cancel_scope.cancel()
        work.go_on.set()
        return await batcher.ask(2)

    assert anyio.run(one_goes) == 4


def test_earlier_calls_finish_before_it_closes_and_a_later_call_starts_it_again() -> None:
    work = Doubling()
    work.go_on.set()
    batcher: Batcher[int, int] = Batcher(work, 8, "closed")

    async def close_meanwhile() -> list[int]:
        answers: list[int] = []

        async def ask(number: int) -> None:
            answers.append(await batcher.ask(number))

        async with anyio.create_task_group() as tasks:
            for number in range(1, 20):
                tasks.start_soon(ask, number)
            await anyio.sleep(0)
            await batcher.aclose()
        answers.append(await batcher.ask(20))
        await batcher.aclose()
        return answers

    assert sorted(anyio.run(close_meanwhile)) == [2 * number for number in range(1, 21)]
    assert not any(thread.name == "closed" for thread in threading.enumerate())


def test_batcher_serves_several_event_loops() -> None:
    work = Doubling()
    work.go_on.set()
    batcher: Batcher[int, int] = Batcher(work, 8, "doubling")

    assert [anyio.run(batcher.ask, number) for number in (1, 2)] == [2, 4]
    anyio.run(batcher.aclose)


def test_call_cancelled_before_its_batch_is_not_run() -> None:
    work = Doubling()

    async def run() -> None:
        batcher = Batcher(work, 8, "doubling")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(batcher.ask, 1)
            await work.begun()
            async with anyio.create_task_group() as caller:
                caller.start_soon(batcher.ask, 2)
                await anyio.to_thread.run_sync(until, lambda: batcher.waiting == 1)
                caller.cancel_scope.cancel()
            work.go_on.set()
        await batcher.aclose()

    anyio.run(run)

    assert work.pieces == [[1]]


def test_hanging_work_does_not_delay_the_shutdown() -> None:
    work = Doubling()

    async def end_during_work() -> bool:
        batcher = Batcher(work, 8, "doubling", end=0.01)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(batcher.ask, 1)
            await work.begun()
            await batcher.aclose()
            tasks.cancel_scope.cancel()
        return work.go_on.is_set()

    try:
        assert not anyio.run(end_during_work)  # it closed while the work went on
    finally:
        work.go_on.set()
