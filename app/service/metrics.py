"""What the service counts, for Prometheus.  Labels are bounded: routes, items that are live, words of ours."""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.scoring.registry import Registry
from app.service.feedback.model_pool import ModelPool
from app.service.prediction import Prediction, Refusal, Result
from app.service.teacher_pool import TeacherPool

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
COUNTS = "PROMETHEUS_MULTIPROC_DIR"  # where the processes of one service put what they count, for prometheus_client
CALLS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    def __init__(self) -> None:
        self._state: _State | None = None
        self.registry = own = CollectorRegistry()
        requests = Counter("scorelet_requests", "Requests answered.", ["route", "status"], registry=own)
        times = Histogram(
            "scorelet_request_seconds", "From request to reply.", ["route"], registry=own, buckets=SECONDS
        )
        decisions = Counter(
            "scorelet_decisions", "Scores and conditions given.", ["item", "decision", "scored_by"], registry=own
        )
        self._held = Counter("scorelet_held_back", "Conditions and flags.", ["reason"], registry=own)
        self._refused = Counter("scorelet_refused", "Responses in batches, not scored.", ["error"], registry=own)
        self._commits = Histogram(
            "scorelet_commit_calls", "Calls committed in one transaction.", registry=own, buckets=CALLS
        )
        self._lost = Counter(
            "scorelet_commit_failed_calls", "Calls that the database did not take, answered by 503.", registry=own
        )
        self._database = Gauge(
            "scorelet_database_takes_writes", "Whether it took the last transaction.", registry=own,
            multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._database.set(1)
        self._reloads = Counter("scorelet_reloads", "Changes of bundles seen.", ["outcome"], registry=own)
        ProcessCollector(registry=self.registry)
        # To look one up by its labels costs more than to count.
        self._of_answers = cache(lambda route, status: (requests.labels(route, str(status)), times.labels(route)))
        self._of_decisions = cache(decisions.labels)

    @asynccontextmanager
    async def watching(
        self, items: Registry, teachers: TeacherPool, desk: ModelPool, queues: Mapping[str, Callable[[], int]]
    ) -> AsyncIterator[None]:
        """While it lasts, what is only read when it is asked for is there too.  `queues`: what waits, by what for."""
        self._state = _State(items, teachers, desk, queues)
        self.registry.register(self._state)
        try:
            yield
        finally:
            self.registry.unregister(self._state)

    def answered(self, route: str, status: int, seconds: float) -> None:
        counted, timed = self._of_answers(route, status)
        counted.inc()
        timed.observe(seconds)

    def scored(self, results: Sequence[Result]) -> None:
        for result in results:
            if isinstance(result, Refusal):
                self._refused.labels(result.error).inc()
            else:
                self._given(result)

    def committed(self, calls: int, kept: bool) -> None:
        """A transaction of so many calls ended; not `kept`: the database did not take it."""
        self._database.set(kept)
        if kept:
            self._commits.observe(calls)
        else:
            self._lost.inc(calls)

    def reloaded(self, taken_up: int, refused: int) -> None:
        """Changes in the folder of bundles: items that are live as it says now, and items newly found not to be."""
        self._reloads.labels("taken_up").inc(taken_up)
        self._reloads.labels("refused").inc(refused)

    def text(self) -> bytes:
        """In Prometheus' own format.  Of several processes the counts are everybody's, what is read only now is of the
        one that answers.
        """
        if COUNTS not in os.environ:
            return generate_latest(self.registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        if self._state:
            everybody.register(self._state)
        return generate_latest(everybody)

    def _given(self, result: Prediction) -> None:
        self._of_decisions(result.item_id, result.decision, result.scored_by).inc()
        for reason in (result.condition,) if result.condition else result.flags:
            self._held.labels(reason).inc()


class _State(Collector):
    def __init__(
        self, items: Registry, teachers: TeacherPool, desk: ModelPool, queues: Mapping[str, Callable[[], int]]
    ) -> None:
        self._items, self._teachers, self._desk, self._queues = items, teachers, desk, queues

    def collect(self) -> Iterator[Metric]:
        items = GaugeMetricFamily("scorelet_items", "Items by what became of their bundles.", labels=["state"])
        registry = self._items.snapshot
        modes = [item.active.mode for item in registry.live.values()]
        counted = {
            "auto": modes.count("auto"),
            "suggest": modes.count("suggest"),
            "refused": len(registry.refused),
            "not_taken_up": len(registry.not_taken_up),
            "without_teacher": len(registry.without_teacher),
        }
        for state, count in counted.items():
            items.add_metric([state], count)
        yield items
        queued = GaugeMetricFamily("scorelet_waiting", "Responses to be judged, calls to be logged.", labels=["queue"])
        for queue, length in self._queues.items():
            queued.add_metric([queue], length())
        yield queued
        student_cache = self._items.student_cache
        yield GaugeMetricFamily("scorelet_students_loaded", "Students in memory.", value=len(student_cache))
        yield GaugeMetricFamily("scorelet_students_bytes", "What they take, about.", value=student_cache.bytes)
        yield CounterMetricFamily(
            "scorelet_students_read_again", "Read after they were let go.", value=student_cache.reloads
        )
        asked = CounterMetricFamily(
            "scorelet_fallback", "Responses that teachers were asked about.", labels=["outcome"]
        )
        for outcome in ("answered", "full", "late", "failed"):
            asked.add_metric([outcome], self._teachers.outcomes[outcome])
        yield asked
        yield GaugeMetricFamily("scorelet_fallback_waiting", "Responses with teachers.", value=self._teachers.taken)
        waiting = GaugeMetricFamily("scorelet_feedback_waiting", "Texts to be written.", labels=["model"])
        for writer in self._desk.writers:
            waiting.add_metric([writer.name], writer.places.taken)
        yield waiting
