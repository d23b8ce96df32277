"""Count for Prometheus.  Labels are bounded: routes, live items, words of ours."""

import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.concurrency.pool import Outcome
from app.scoring.registry import Registry
from app.service.feedback.model_pool import ModelPool
from app.service.prediction import Prediction, Refusal
from app.service.teacher_pool import TeacherPool

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
COUNTS = "PROMETHEUS_MULTIPROC_DIR"  # names the folder in which prometheus_client shares counts between processes
OUTCOMES: tuple[Outcome, ...] = ("answered", "full", "late", "failed")
CALLS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counters, histograms and gauges of one process."""

    def __init__(self) -> None:
        self._gauges: _Gauges | None = None
        self.registry = registry = CollectorRegistry()
        requests = Counter("scorelet_requests", "Requests answered.", ["route", "status"], registry=registry)
        times = Histogram(
            "scorelet_request_seconds", "From request to reply.", ["route"], registry=registry, buckets=SECONDS
        )
        decisions = Counter(
            "scorelet_decisions", "Scores and conditions given.", ["item", "decision", "scored_by"], registry=registry
        )
        self._held = Counter("scorelet_held_back", "Conditions and flags.", ["reason"], registry=registry)
        self._refused = Counter("scorelet_refused", "Responses in batches, not scored.", ["error"], registry=registry)
        self._commits = Histogram(
            "scorelet_commit_calls", "Calls committed in one transaction.", registry=registry, buckets=CALLS
        )
        self._lost = Counter(
            "scorelet_commit_failed_calls", "Calls that the database did not take, answered by 503.", registry=registry
        )
        self._database = Gauge(
            "scorelet_database_takes_writes", "Whether it took the last transaction.", registry=registry,
            multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._database.set(1)
        self._reloads = Counter("scorelet_reloads", "Changes of bundles seen.", ["outcome"], registry=registry)
        ProcessCollector(registry=self.registry)
        # A lookup by labels costs more than a count, so both are cached.
        self._requests_of = cache(lambda route, status: requests.labels(route, str(status)))
        self._times_of, self._decisions_of = cache(times.labels), cache(decisions.labels)

    @asynccontextmanager
    async def watching(
        self,
        items: Registry,
        teacher_pool: TeacherPool,
        model_pool: ModelPool,
        queues: Mapping[str, Callable[[], int]],
    ) -> AsyncIterator[None]:
        """Read gauges from these parts while the context lasts.  `queues`: the length of each queue by name."""
        self._gauges = _Gauges(items, teacher_pool, model_pool, queues)
        self.registry.register(self._gauges)
        try:
            yield
        finally:
            self.registry.unregister(self._gauges)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request and the time it took."""
        self._requests_of(route, status).inc()
        self._times_of(route).observe(seconds)

    def scored(self, predictions: Iterable[Prediction]) -> None:
        """Count predictions by decision, and their conditions or flags."""
        for prediction in predictions:
            self._decisions_of(prediction.item_id, prediction.decision, prediction.scored_by).inc()
            reasons = (prediction.condition,) if prediction.condition else prediction.flags
            for reason in reasons:
                self._held.labels(reason).inc()

    def refused(self, refusals: Iterable[Refusal]) -> None:
        """Count refusals by error."""
        for refusal in refusals:
            self._refused.labels(refusal.error).inc()

    def committed(self, calls: int, kept: bool) -> None:
        """Record the end of a transaction with so many calls: `kept`, or rejected by the database."""
        self._database.set(kept)
        if kept:
            self._commits.observe(calls)
        else:
            self._lost.inc(calls)

    def reloaded(self, taken_up: int, refused: int) -> None:
        """Count the items that a poll of the bundles took up, and those that it newly refused."""
        self._reloads.labels("taken_up").inc(taken_up)
        self._reloads.labels("refused").inc(refused)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' format.

        Of several processes, counts are added up, and gauges of parts are those of the process that answers.
        """
        if COUNTS not in os.environ:
            return generate_latest(self.registry)
        all_processes = CollectorRegistry()
        MultiProcessCollector(all_processes)  # type: ignore[no-untyped-call]
        if self._gauges:
            all_processes.register(self._gauges)
        return generate_latest(all_processes)


class _Gauges(Collector):
    """Metrics that are read from the service's parts when Prometheus asks."""

    def __init__(
        self,
        items: Registry,
        teacher_pool: TeacherPool,
        model_pool: ModelPool,
        queues: Mapping[str, Callable[[], int]],
    ) -> None:
        self._items, self._teacher_pool, self._model_pool, self._queues = items, teacher_pool, model_pool, queues

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as of now."""
        yield self._item_states()
        yield from self._waiting()
        yield from self._students()
        yield from self._fallback()

    def _item_states(self) -> Metric:
        items = GaugeMetricFamily("scorelet_items", "Items by what became of their bundles.", labels=["state"])
        snapshot = self._items.snapshot
        modes = [live.active.mode for live in snapshot.live.values()]
        counts = {
            "auto": modes.count("auto"),
            "suggest": modes.count("suggest"),
            "refused": len(snapshot.refused),
            "not_taken_up": len(snapshot.not_taken_up),
            "without_teacher": len(snapshot.without_teacher),
        }
        for state, count in counts.items():
            items.add_metric([state], count)
        return items

    def _waiting(self) -> Iterator[Metric]:
        calls = GaugeMetricFamily("scorelet_waiting", "Responses to be judged, calls to be logged.", labels=["queue"])
        for queue, length in self._queues.items():
            calls.add_metric([queue], length())
        yield calls
        texts = GaugeMetricFamily("scorelet_feedback_waiting", "Texts to be written.", labels=["model"])
        for writer in self._model_pool.writers:
            texts.add_metric([writer.name], writer.places.taken)
        yield texts

    def _students(self) -> Iterator[Metric]:
        student_cache = self._items.student_cache
        yield GaugeMetricFamily("scorelet_students_loaded", "Students in memory.", value=len(student_cache))
        yield GaugeMetricFamily("scorelet_students_bytes", "Their estimated memory.", value=student_cache.bytes)
        reloads = student_cache.reloads
        yield CounterMetricFamily("scorelet_students_read_again", "Read again after eviction.", value=reloads)

    def _fallback(self) -> Iterator[Metric]:
        responses = CounterMetricFamily(
            "scorelet_fallback", "Responses that teachers were asked about.", labels=["outcome"]
        )
        for outcome in OUTCOMES:
            responses.add_metric([outcome], self._teacher_pool.outcomes[outcome])
        yield responses
        waiting = self._teacher_pool.taken
        yield GaugeMetricFamily("scorelet_fallback_waiting", "Responses with teachers.", value=waiting)
