"""The pool of teachers, with teachers that answer when they are let go, or fail."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from app.scoring.decision import SecondScorer
from app.scoring.decoding import Score
from app.service.teacher_pool import TeacherPool
from tests.refusals import log_lines
from tests.waiting import HANGS, Clock
from tests.waiting import until as until_now

LONG = HANGS  # seconds: a time limit that is reached only where a test puts the clock forward
CANARY = "the canary sings of convection"


class Teacher(SecondScorer):
    """Scores a response by its number of words, and remembers the responses it began with.  It can be held."""

    def __init__(self) -> None:
        self.policy, self.title, self.threshold = "unsure", "tiny/1", 0.9
        self.begun: list[str] = []
        self.at_once = self.most_at_once = 0
        self.go = threading.Event()
        self.go.set()
        self._lock = threading.Lock()

    def score(self, response: str) -> Score:
        with self._lock:
            self.begun.append(response)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            assert self.go.wait(LONG)
            return Score(len(response.split()), None, None, None, 0.95)
        finally:
            with self._lock:
                self.at_once -= 1


class Failing(SecondScorer):
    def __init__(self, error: Exception) -> None:
        self.policy, self.title, self.threshold = "unsure", "tiny/1", 0.9
        self._error = error

    def score(self, response: str) -> Score:  # noqa: ARG002
        raise self._error


@contextmanager
def held(teacher: Teacher) -> Iterator[None]:
    """Hold the teacher, and release it even after an error, because the test waits for its thread."""
    teacher.go.clear()
    try:
        yield
    finally:
        teacher.go.set()


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANGS
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


def value(score: Score | None) -> float | None:
    return None if score is None else score.value


def run(test: Callable[[TeacherPool, Teacher], Awaitable[None]], *, workers: int = 1, queue: int = 0) -> None:
    """Run a test in a new event loop, then check that all places are free and no more than these."""

    async def begin() -> None:
        teacher, pool = Teacher(), TeacherPool(workers=workers, queue=queue, timeout=LONG)
        await test(pool, teacher)
        with held(teacher):
            more = [asyncio.create_task(pool.ask(teacher, "again")) for _ in range(workers + queue)]
            await until(lambda: teacher.at_once == workers)
            assert await pool.ask(teacher, "too many") is None
        assert [value(score) for score in await asyncio.gather(*more)] == [1] * (workers + queue)
        pool.close()

    asyncio.run(begin())


def test_teacher_answers() -> None:
    async def test(pool: TeacherPool, teacher: Teacher) -> None:
        assert value(await pool.ask(teacher, "warm air")) == 2
        assert pool.outcomes == {"answered": 1}

    run(test)


def test_running_teacher_does_not_block_the_event_loop() -> None:
    async def test(pool: TeacherPool, teacher: Teacher) -> None:
        with held(teacher):
            asked = asyncio.create_task(pool.ask(teacher, "warm"))
            await until(lambda: teacher.begun == ["warm"])
            assert not asked.done()
        assert value(await asked) == 1

    run(test)


@pytest.mark.parametrize(("workers", "queue"), [(1, 0), (1, 2), (3, 0), (2, 2)])
def test_call_beyond_the_queue_returns_at_once(workers: int, queue: int) -> None:
    async def test(pool: TeacherPool, teacher: Teacher) -> None:
        with held(teacher):
            asked = [asyncio.create_task(pool.ask(teacher, "warm")) for _ in range(workers + queue)]
            await until(lambda: teacher.at_once == workers)
            assert await pool.ask(teacher, "too many") is None
            assert not any(task.done() for task in asked)
            assert pool.outcomes == {"full": 1}
        assert [value(score) for score in await asyncio.gather(*asked)] == [1] * (workers + queue)
        assert teacher.most_at_once == workers
        assert "too many" not in teacher.begun
        assert value(await pool.ask(teacher, "warm air")) == 2

    run(test, workers=workers, queue=queue)


def test_no_teacher_is_asked_with_a_timeout_of_zero() -> None:
    async def begin() -> None:
        teacher, pool = Teacher(), TeacherPool(workers=1, queue=9, timeout=0)
        assert [await pool.ask(teacher, "warm") for _ in range(20)] == [None] * 20
        assert (teacher.begun, pool.outcomes) == ([], {"late": 20})
        pool.close()

    asyncio.run(begin())


def test_late_call_returns_and_its_place_is_free_after_the_work() -> None:
    async def begin() -> None:
        teacher, pool, clock = Teacher(), TeacherPool(workers=1, queue=0, timeout=LONG), Clock()
        with held(teacher):
            first = asyncio.create_task(pool.ask(teacher, "warm"))
            await until(lambda: teacher.begun == ["warm"])
            assert not first.done()
            await clock.put_forward(LONG)
            assert await first is None
            assert await pool.ask(teacher, "warm air") is None  # the first still runs: there is no place
            assert pool.outcomes == {"late": 1, "full": 1}
        await until(lambda: pool.taken == 0)
        assert value(await pool.ask(teacher, "air goes up")) == 3
        pool.close()

    asyncio.run(begin())


def test_call_that_is_late_in_the_queue_is_dropped_and_its_place_is_free_at_once() -> None:
    async def begin() -> None:
        teacher, pool, clock = Teacher(), TeacherPool(workers=1, queue=1, timeout=LONG), Clock()
        with held(teacher):
            first = asyncio.create_task(pool.ask(teacher, "first"))
            await until(lambda: teacher.begun == ["first"])
            for _ in range(3):  # each in the one place of the queue
                waiting = asyncio.create_task(pool.ask(teacher, "waiting"))
                await until(lambda: pool.taken == 2)
                await clock.put_forward(LONG)
                assert await waiting is None
            assert await first is None
            assert pool.outcomes == {"late": 4}
        await until(lambda: teacher.at_once == 0)
        assert teacher.begun == ["first"]
        pool.close()

    asyncio.run(begin())


@pytest.mark.parametrize("error", [RuntimeError(CANARY), ValueError(CANARY), TimeoutError(CANARY), KeyError(CANARY)])
def test_failing_teacher_fails_no_score_and_quotes_no_response(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(pool: TeacherPool, teacher: Teacher) -> None:
        assert [await pool.ask(Failing(error), CANARY) for _ in range(9)] == [None] * 9
        assert sum(pool.outcomes.values()) == 9
        assert pool.outcomes["answered"] == pool.outcomes["full"] == 0
        assert value(await pool.ask(teacher, "warm")) == 1

    with caplog.at_level(logging.DEBUG):
        run(test)

    assert "canary" not in caplog.text
    if not isinstance(error, TimeoutError):
        assert {"teacher": "tiny/1", "error": type(error).__name__} in log_lines(caplog, "teacher_failed")


@pytest.mark.parametrize("queue", [0, 1])
def test_cancelled_call_releases_its_place(queue: int) -> None:
    """The place of running work is free when the work is done, that of waiting work at once."""

    async def test(pool: TeacherPool, teacher: Teacher) -> None:
        with held(teacher):
            asked = [asyncio.create_task(pool.ask(teacher, name)) for name in ("first", "second")[: queue + 1]]
            await until(lambda: teacher.begun == ["first"])
            for task in reversed(asked):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            if queue:  # the place in the queue
                again = asyncio.create_task(pool.ask(teacher, "third"))
                await asyncio.sleep(0.02)
                assert not again.done()
                again.cancel()
                with suppress(asyncio.CancelledError):
                    await again
        await until(lambda: pool.taken == 0)
        assert teacher.begun == ["first"]
        assert value(await pool.ask(teacher, "warm air")) == 2

    run(test, queue=queue)


@pytest.mark.parametrize(("workers", "queue"), [(1, 0), (1, 3), (3, 1)])
def test_list_longer_than_the_queue_is_answered_whole(workers: int, queue: int) -> None:
    async def test(pool: TeacherPool, teacher: Teacher) -> None:
        texts = ["warm air"[: 4 if number % 3 else 8] for number in range(50)]
        scores = await pool.ask_all([(teacher, text) for text in texts])
        assert [value(score) for score in scores] == [len(text.split()) for text in texts]
        assert pool.outcomes == {"answered": 50}
        assert teacher.most_at_once <= workers

    run(test, workers=workers, queue=queue)


def test_long_list_leaves_the_queue_to_other_calls() -> None:
    async def test(pool: TeacherPool, teacher: Teacher) -> None:
        with held(teacher):
            many = asyncio.create_task(pool.ask_all([(teacher, "many")] * 20))
            await until(lambda: teacher.begun == ["many"])
            single = asyncio.create_task(pool.ask(teacher, "one"))
            await asyncio.sleep(0.02)
            assert not single.done()
        assert value(await single) == 1
        assert [value(score) for score in await many] == [1] * 20
        assert teacher.begun.index("one") <= 2

    run(test, queue=2)


def test_concurrent_long_lists_are_all_answered() -> None:
    async def test(pool: TeacherPool, teacher: Teacher) -> None:
        lists = await asyncio.gather(*(pool.ask_all([(teacher, "warm air")] * 20) for _ in range(3)))
        assert [[value(score) for score in scores] for scores in lists] == [[2] * 20] * 3

    run(test, queue=2)


def test_empty_list_asks_no_teacher() -> None:
    async def test(pool: TeacherPool, teacher: Teacher) -> None:
        assert await pool.ask_all([]) == []
        assert teacher.begun == []

    run(test)


def test_only_the_failed_scores_of_a_list_are_missing() -> None:
    async def test(pool: TeacherPool, teacher: Teacher) -> None:
        failing = Failing(RuntimeError(CANARY))
        asked: Sequence[tuple[SecondScorer, str]] = [(teacher, "warm"), (failing, "warm"), (teacher, "warm air")]
        assert [value(score) for score in await pool.ask_all(asked)] == [1, None, 2]

    run(test)


@pytest.mark.parametrize("workers", [1, 3])
def test_rest_of_a_list_is_not_asked_after_a_late_response(workers: int) -> None:
    """A hundred times the time limit would be waited for."""

    async def begin() -> None:
        teacher, pool, clock = Teacher(), TeacherPool(workers=workers, queue=9, timeout=LONG), Clock()
        with held(teacher):
            asked = asyncio.create_task(pool.ask_all([(teacher, "warm")] * 100))
            await until(lambda: teacher.at_once == workers)
            assert not asked.done()
            await clock.put_forward(LONG)  # once
            assert await asked == [None] * 100
            assert pool.outcomes == {"late": workers}
            assert teacher.begun == ["warm"] * workers
        pool.close()

    asyncio.run(begin())


def test_late_response_of_another_call_does_not_end_a_list() -> None:
    """The stranger is counted as late while the list's first response is being scored, which then fails."""

    async def test(pool: TeacherPool, teacher: Teacher) -> None:
        class FailsAsAStrangerIsLate(Failing):
            def score(self, response: str) -> Score:
                pool.outcomes["late"] += 1
                return super().score(response)

        first = FailsAsAStrangerIsLate(RuntimeError(CANARY))
        asked: list[tuple[SecondScorer, str]] = [(first, "warm"), (teacher, "warm"), (teacher, "warm air")]
        assert [value(score) for score in await pool.ask_all(asked)] == [None, 1, 2]
        assert pool.outcomes == {"late": 1, "failed": 1, "answered": 2}

    run(test)


def test_scores_before_a_late_response_are_kept_and_the_next_list_is_asked() -> None:
    async def begin() -> None:
        teacher, pool, clock = Teacher(), TeacherPool(workers=1, queue=9, timeout=LONG), Clock()
        late = Teacher()
        with held(late):
            asked: Sequence[tuple[SecondScorer, str]] = [(teacher, "warm"), (late, "warm"), (teacher, "warm")]
            scores = asyncio.create_task(pool.ask_all(asked))
            await until(lambda: late.at_once == 1)
            await clock.put_forward(LONG)
            assert [value(score) for score in await scores] == [1, None, None]
        await until(lambda: pool.taken == 0)
        assert [value(score) for score in await pool.ask_all([(teacher, "warm air")])] == [2]
        pool.close()

    asyncio.run(begin())


def test_failures_do_not_end_a_list() -> None:
    async def test(pool: TeacherPool, teacher: Teacher) -> None:
        failing = Failing(RuntimeError(CANARY))
        asked: Sequence[tuple[SecondScorer, str]] = [(failing, "warm")] * 5 + [(teacher, "warm air")]
        assert [value(score) for score in await pool.ask_all(asked)] == [None] * 5 + [2]

    run(test)


def test_closed_pool_fails_no_score() -> None:
    async def begin() -> None:
        pool = TeacherPool(workers=1, queue=1, timeout=LONG)
        pool.close()
        assert [await pool.ask(Teacher(), "warm") for _ in range(5)] == [None] * 5
        assert pool.outcomes == {"failed": 5}

    asyncio.run(begin())


def test_cancelled_list_releases_its_places_and_asks_no_more() -> None:
    async def test(pool: TeacherPool, teacher: Teacher) -> None:
        with held(teacher):
            many = asyncio.create_task(pool.ask_all([(teacher, "many")] * 20))
            await until(lambda: teacher.begun == ["many"])
            many.cancel()
            with pytest.raises(asyncio.CancelledError):
                await many
        await until(lambda: teacher.at_once == 0)
        await asyncio.sleep(0.02)
        assert teacher.begun == ["many"]

    run(test, queue=3)


def test_pool_closes_at_once_and_drops_its_queue(
    caplog: pytest.LogCaptureFixture,
) -> None:
    teacher = Teacher()

    async def begin() -> None:
        pool = TeacherPool(workers=1, queue=9, timeout=LONG)
        tasks = [asyncio.create_task(pool.ask(teacher, f"number {number}")) for number in range(5)]
        await until(lambda: len(teacher.begun) == 1)
        pool.close()
        tasks[0].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert not any(isinstance(result, Score) for result in results)
        assert not teacher.go.is_set()  # it ended while the first was at work

    with held(teacher):
        asyncio.run(begin())
    until_now(lambda: teacher.at_once == 0)  # it ends by itself, after the loop is closed
    time.sleep(0.02)
    assert teacher.begun == ["number 0"]
    assert caplog.records == []  # its place is given back to nobody
