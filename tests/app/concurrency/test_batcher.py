import threading
from collections.abc import Sequence

import anyio
import anyio.to_thread

from app.concurrency.batcher import Batcher
from tests.waiting import HANGS, until


class Doubling:
    """Doubles numbers, holds the first piece of work until it is let go, and cannot do what is negative."""

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


async def ask_all(gatherer: Batcher[int, int], work: Doubling, numbers: Sequence[int]) -> list[int | Exception]:
    """The first is at work before the others come."""
    answers: dict[int, int | Exception] = {}

    async def ask(place: int, number: int) -> None:
        try:
            answers[place] = await gatherer.ask(number)
        except ArithmeticError as error:
            answers[place] = error

    async with anyio.create_task_group() as tasks:
        for place, number in enumerate(numbers):
            tasks.start_soon(ask, place, number)
            await work.begun()
        await anyio.to_thread.run_sync(until, lambda: gatherer.waiting == len(numbers) - 1)
        work.go_on.set()
    await gatherer.aclose()
    return [answers[place] for place in range(len(numbers))]


def test_what_comes_during_work_is_done_together_in_pieces_that_are_not_too_large() -> None:
    work = Doubling()

    answers = anyio.run(ask_all, Batcher(work, 3, "doubling"), work, [1, 2, 3, 4, 5])

    assert answers == [2, 4, 6, 8, 10]
    assert work.pieces == [[1], [2, 3, 4], [5]]


def test_one_that_cannot_be_done_is_not_the_others_trouble() -> None:
    work = Doubling()

    answers = anyio.run(ask_all, Batcher(work, 8, "doubling"), work, [1, 2, -3, 0])

    assert answers[:2] == [2, 4]
    assert type(answers[2]) is ArithmeticError
    assert str(answers[2]) == "[-3]"
    assert type(answers[3]) is ZeroDivisionError


def test_a_caller_that_has_gone_does_not_stop_the_others() -> None:
    work = Doubling()
    gatherer: Batcher[int, int] = Batcher(work, 8, "doubling")

    async def one_goes() -> int:
        async with anyio.create_task_group() as caller:
            caller.start_soon(gatherer.ask, 1)
            await work.begun()
            caller.cancel_scope.cancel()
        work.go_on.set()
        return await gatherer.ask(2)

    assert anyio.run(one_goes) == 4


def test_what_was_asked_is_done_before_it_closes_and_it_starts_again_when_asked() -> None:
    work = Doubling()
    work.go_on.set()
    gatherer: Batcher[int, int] = Batcher(work, 8, "closed")

    async def close_meanwhile() -> list[int]:
        answers: list[int] = []

        async def ask(number: int) -> None:
            answers.append(await gatherer.ask(number))

        async with anyio.create_task_group() as tasks:
            for number in range(1, 20):
                tasks.start_soon(ask, number)
            await anyio.sleep(0)
            await gatherer.aclose()
        answers.append(await gatherer.ask(20))
        await gatherer.aclose()
        return answers

    assert sorted(anyio.run(close_meanwhile)) == [2 * number for number in range(1, 21)]
    assert not any(thread.name == "closed" for thread in threading.enumerate())


def test_one_gatherer_serves_several_loops() -> None:
    work = Doubling()
    work.go_on.set()
    gatherer: Batcher[int, int] = Batcher(work, 8, "doubling")

    assert [anyio.run(gatherer.ask, number) for number in (1, 2)] == [2, 4]
    anyio.run(gatherer.aclose)


def test_what_is_given_up_before_its_turn_is_not_done() -> None:
    work = Doubling()

    async def run() -> None:
        gatherer = Batcher(work, 8, "doubling")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gatherer.ask, 1)
            await work.begun()
            async with anyio.create_task_group() as caller:
                caller.start_soon(gatherer.ask, 2)
                await anyio.to_thread.run_sync(until, lambda: gatherer.waiting == 1)
                caller.cancel_scope.cancel()
            work.go_on.set()
        await gatherer.aclose()

    anyio.run(run)

    assert work.pieces == [[1]]


def test_work_that_never_ends_does_not_hold_up_the_end() -> None:
    work = Doubling()

    async def end_during_work() -> bool:
        gatherer = Batcher(work, 8, "doubling", end=0.01)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gatherer.ask, 1)
            await work.begun()
            await gatherer.aclose()
            tasks.cancel_scope.cancel()
        return work.go_on.is_set()

    try:
        assert not anyio.run(end_during_work)  # it closed while the work went on
    finally:
        work.go_on.set()
