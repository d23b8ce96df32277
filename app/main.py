"""Build the application, and the objects that live as long as it does."""

import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.api import docs, help_site, items, predictions, probes, problems, score
from app.api.limits import BodyLimit, KnownHosts
from app.api.metrics import router as metrics_router
from app.api.rates import FailedTries, Rates
from app.api.request_log import RequestLog
from app.api.state import State
from app.api.unhandled_errors import UnhandledErrors
from app.concurrency.time_limits import DEFAULT_LIMITS, TimeLimits
from app.logs import coded, type_and_place
from app.scoring.errors import CodedError
from app.scoring.feedback.bundle import FEEDBACK_FOLDER
from app.scoring.registry import Registry
from app.scoring.release import Active, Release
from app.service.bundle_watcher import watching_bundles
from app.service.feedback.model_pool import ModelPool
from app.service.feedback.writer import Outcome, Task
from app.service.metrics import Metrics
from app.service.prediction import Feedback, told
from app.service.scorer import ScoringService
from app.settings import Settings, is_loopback
from app.storage import api_keys
from app.storage.database import connect, head_revision
from app.storage.health import schema_problem, write_problem
from app.storage.key_cache import KeyCache
from app.storage.prediction_log import PredictionLog
from app.storage.queries import add_feedback, newest_time, note_activations
from app.storage.tables import GeneratedFeedback, SeenActivation

log = logging.getLogger("scorelet")
# FastAPI would send traces, with what exceptions say, wherever the environment's OTEL_… variables point.
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}

DESCRIPTION = """Scores learners' short written answers with a tiny neural network per item.

Send a key as `Authorization: Bearer <key>`. A score is committed to the log before its reply is sent.
Errors are RFC 9457 problem details with a stable `type` and `code`.
[Help](/help) has tutorials, how-tos and reference pages."""


class CannotStart(CodedError):
    """The service does not start, for the reason that the sentence says."""


class OpenToTheNetwork(CannotStart):
    """No key is made, and the service was told to listen where other machines reach it."""


def create_app(settings: Settings | None = None, waits: TimeLimits = DEFAULT_LIMITS) -> FastAPI:
    """Build the application."""
    settings = settings or Settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        engine = connect(settings.database_url.get_secret_value(), settings.sqlite_synchronous, waits.lock)
        head = head_revision()
        try:
            registry = Registry.from_folder(settings.models_dir, settings.students_mib * 2**20)
            for item_id, error in registry.refused.items():
                extra = coded("item_refused", item_id=item_id, cause=error.code)
                log.error("item %s is refused: %s", item_id, error, extra=extra)
            desk = _desk(settings, engine)
            prediction_log = PredictionLog(engine, metrics.committed, waits)
            if trouble := schema_problem(engine, head):
                log.error("not ready: %s", trouble, extra=coded("not_ready", cause=trouble.code))
            else:
                if is_open(engine, settings.host):
                    sentence = "OPEN: no key is made yet, so whoever is on this machine may do everything"
                    log.warning(sentence, extra=coded("open"))
                if unwritten := write_problem(engine):
                    log.error("not ready: %s", unwritten, extra=coded("not_ready", cause=unwritten.code))
                    prediction_log.failing = True
                tell_of_a_clock_set_back(engine)
            scorer = ScoringService(registry, prediction_log, engine, settings, desk, metrics, waits)
            for item_id, error in registry.without_teacher.items():
                extra = coded("item_without_teacher", item_id=item_id, cause=error.code)
                log.error("item %s falls back on no teacher: %s", item_id, error, extra=extra)
            watching = watching_bundles(
                registry,
                settings.models_dir,
                settings.reload_seconds,
                lambda: note_activations(engine, _activations(registry, desk)),
                metrics.reloaded,
                waits.end,
            )
            queues = {"judging": lambda: scorer.waiting, "log": lambda: prediction_log.waiting}
            counting = metrics.watching(registry, scorer.second_opinions.pool, desk, queues)
            async with aclosing(prediction_log), desk.at_work(waits.end), aclosing(scorer), watching, counting:
                yield {
                    "settings": settings,
                    "waits": waits,
                    "engine": engine,
                    "registry": registry,
                    "scorer": scorer,
                    "keys": KeyCache(engine, timeout=waits.database),
                    "metrics": metrics,
                    "rates": Rates(),
                    "failed_tries": FailedTries(),
                    "probing": CapacityLimiter(2),  # threads of their own: how busy others are says nothing
                    "schema_head": head,
                }
        except SQLAlchemyError as error:  # uvicorn would print its words, which name host and user
            raise CannotStart(
                f"the database failed: {type_and_place(error)}", code="database_failed", error=type(error).__name__
            ) from None
        finally:
            engine.dispose()

    app = FastAPI(
        title="scorelet",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry=NO_TELEMETRY,
    )
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(UnhandledErrors)
    if hosts := settings.allowed_hosts:
        app.add_middleware(KnownHosts, hosts=[host.strip() for host in hosts.split(",") if host.strip()])
    app.add_middleware(RequestLog, metrics=metrics)
    problems.install(app)
    for router in (score.router, items.router, predictions.router, probes.router, metrics_router):
        app.include_router(router)
    docs.mount(app)
    help_site.mount(app)
    return app


def is_open(engine: Engine, host: str) -> bool:
    """Return whether the service answers without a key, as it may on loopback only.  Raises OpenToTheNetwork."""
    with Session(engine) as session:
        if api_keys.any_exist(session):
            return False
    if not is_loopback(host):
        raise OpenToTheNetwork(
            f"no key is made yet, so the service may listen on this machine only, not on {host}: "
            "run `scorelet keys create NAME --scope score` first",
            host=host,
        )
    return True


def tell_of_a_clock_set_back(engine: Engine) -> None:
    """Log an error where the clock is behind the newest score: the log is in the order of time."""
    with Session(engine) as session:
        made = newest_time(session)
    if made is not None and made > datetime.now(UTC) + timedelta(minutes=1):
        log.error(
            "the clock of this machine is behind the newest score, of %s: set it, or scores are out of order",
            made,
            extra=coded("clock_behind", newest=made),
        )


def _desk(settings: Settings, engine: Engine) -> ModelPool:
    """Return the feedback models; each keeps the outcome of every text in the database."""

    async def deliver(task: Task, outcome: Outcome) -> None:
        said = told(task, outcome)
        row = GeneratedFeedback(
            prediction_id=task.prediction_id,
            created_at=datetime.now(UTC),
            feedback=said.model_dump() if isinstance(said, Feedback) else None,
            feedback_withheld=None if isinstance(said, Feedback) else said,
            model=outcome.model,
            tokens=outcome.tokens,
            seconds=outcome.seconds,
        )
        await to_thread.run_sync(add_feedback, engine, row)

    desk = ModelPool.from_folder(
        settings.models_dir,
        deliver,
        limit=settings.feedback_queue,
        timeout=settings.feedback_timeout,
        threads=settings.feedback_threads,
    )
    for name, error in desk.refused.items():
        extra = coded("feedback_model_refused", name=name, cause=error.code)
        log.error("feedback model %s is refused: %s", name, error, extra=extra)
    return desk


def _reasons(active: Release) -> str:
    """Return why a version is live and, where a rule scores blank responses, by whom and why."""
    rule = active.blank_is_worst if isinstance(active, Active) else None
    if rule is None:
        return active.reason
    return f"{active.reason}; blank responses and refusals are given the worst score by {rule.by}: {rule.reason}"


def _activations(registry: Registry, desk: ModelPool) -> list[SeenActivation]:
    """Return the activations of items, and of feedback models as `_feedback/<name>`."""
    named: dict[str, Release] = {item_id: live.active for item_id, live in registry.live.items()}
    named |= {f"{FEEDBACK_FOLDER}/{name}": active for name, active in desk.actives.items()}
    shadows = {name: active.shadow for name, active in named.items() if isinstance(active, Active) and active.shadow}
    return [
        SeenActivation(
            item_id=name,
            version=active.version,
            mode=active.mode,
            by=active.by,
            reason=_reasons(active),
            at=active.at,
            shadow=shadows[name].version if name in shadows else None,
            shadow_by=shadows[name].by if name in shadows else None,
            sha256=hashlib.sha256(active.model_dump_json().encode()).hexdigest(),
        )
        for name, active in named.items()
    ]
