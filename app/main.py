"""Build the application, and the objects that live as long as it does."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.api import docs, help_site, items, predictions, probes, problems, score
from app.api.metrics import router as metrics_router
from app.api.rate_limits import FailedLogins, RateLimiter
from app.api.request_limits import BodyLimit, KnownHosts
from app.api.request_log import RequestLog
from app.api.state import State
from app.api.unhandled_errors import UnhandledErrors
from app.concurrency.time_limits import DEFAULT_LIMITS, TimeLimits
from app.logs import type_and_place
from app.scoring.registry import Registry
from app.service.activations import note_live_versions
from app.service.bundle_watcher import watching_bundles
from app.service.feedback.model_pool import ModelPool
from app.service.feedback_delivery import deliver_to
from app.service.metrics import Metrics
from app.service.scorer import ScoringService
from app.service.shadow_teachers import ShadowTeachers
from app.service.shadow_versions import ShadowVersions
from app.service.startup import CannotStart, check_database, log_refused
from app.service.student_runner import StudentRunner
from app.service.teacher_pool import TeacherPool
from app.settings import Settings
from app.storage.database import connect, head_revision
from app.storage.key_cache import KeyCache
from app.storage.prediction_log import PredictionLog

# FastAPI would send traces, with the messages of exceptions, wherever the environment's OTEL_... variables point.
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}

DESCRIPTION = """Scores learners' short written answers with a tiny neural network per item.

Send a key as `Authorization: Bearer <key>`. A score is committed to the log before its reply is sent.
Errors are RFC 9457 problem details with a stable `type` and `code`.
[Help](/help) has tutorials, how-tos and reference pages."""


def create_app(settings: Settings | None = None, time_limits: TimeLimits = DEFAULT_LIMITS) -> FastAPI:
    """Build the application."""
    settings = settings or Settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        async with running(settings, time_limits, metrics) as state:
            yield state

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
    hosts = [host.strip() for host in settings.allowed_hosts.split(",")]
    if settings.allowed_hosts:
        app.add_middleware(KnownHosts, hosts=[host for host in hosts if host])
    app.add_middleware(RequestLog, metrics=metrics)
    problems.install(app)
    for router in (score.router, items.router, predictions.router, probes.router, metrics_router):
        app.include_router(router)
    docs.mount(app)
    help_site.mount(app)
    return app


@asynccontextmanager
async def running(settings: Settings, time_limits: TimeLimits, metrics: Metrics) -> AsyncIterator[State]:
    """Start the service's parts, and close them in the reverse order.  Raises CannotStart.

    At the shutdown the server takes no new request and first answers those it has.  Then, in this order:

    1. Metrics stop reading the parts, and bundles are no longer polled.
    2. The student runner finishes the judgements of requests whose callers have gone.
    3. Teachers in the shadow drop their backlog; the teacher pool drops its queue.
    4. Versions in the shadow score and write their backlog.
    5. Feedback models end, and their waiting texts are delivered as failed.
    6. The prediction log commits the last calls.
    7. The database's connections are closed.

    Each step is given `time_limits.end` seconds, so work that hangs does not delay the shutdown.
    """
    database_url = settings.database_url.get_secret_value()
    engine = connect(database_url, settings.sqlite_synchronous, time_limits.lock)
    try:
        state = _build(engine, settings, time_limits, metrics)
        log_refused(state["registry"], state["model_pool"])
        check_database(engine, settings.host, state["schema_head"], state["prediction_log"])
        async with AsyncExitStack() as stack:
            await _start(stack, state)
            yield state
    except SQLAlchemyError as error:  # uvicorn would print its message, which names host and user
        raise CannotStart(
            f"the database failed: {type_and_place(error)}", code="database_failed", error=type(error).__name__
        ) from None
    finally:
        engine.dispose()


async def _start(stack: AsyncExitStack, state: State) -> None:
    """Start the parts in the reverse order of the shutdown."""
    settings, end = state["settings"], state["time_limits"].end
    registry, metrics = state["registry"], state["metrics"]
    prediction_log, student_runner = state["prediction_log"], state["student_runner"]
    model_pool, teacher_pool = state["model_pool"], state["teacher_pool"]

    stack.push_async_callback(prediction_log.aclose)
    await stack.enter_async_context(model_pool.writing(end))
    stack.push_async_callback(state["shadow_versions"].aclose)
    stack.callback(teacher_pool.close)
    stack.push_async_callback(state["shadow_teachers"].aclose)
    stack.push_async_callback(student_runner.aclose)
    note_live = partial(note_live_versions, state["engine"], registry, model_pool)
    watching = watching_bundles(
        registry, settings.models_dir, settings.reload_seconds, note_live, metrics.reloaded, end
    )
    await stack.enter_async_context(watching)
    queues = {"judging": lambda: student_runner.waiting, "log": lambda: prediction_log.waiting}
    await stack.enter_async_context(metrics.watching(registry, teacher_pool, model_pool, queues))


def _build(engine: Engine, settings: Settings, time_limits: TimeLimits, metrics: Metrics) -> State:
    """Load the bundles and build the parts, none of them started."""
    registry = Registry.from_folder(settings.models_dir, settings.students_mib * 2**20)
    teacher_pool, end = _teacher_pool(settings), time_limits.end
    shadow_teachers = ShadowTeachers(teacher_pool, engine, end=end)
    shadow_versions = ShadowVersions(engine, end=end)
    scorer = ScoringService(
        student_runner=StudentRunner(registry, reloads=settings.reload_seconds > 0, end=end),
        teacher_pool=teacher_pool,
        model_pool=_model_pool(settings, engine),
        shadows=[shadow_teachers, shadow_versions],
        prediction_log=PredictionLog(engine, metrics.committed, time_limits),
        engine=engine,
        settings=settings,
        metrics=metrics,
        timeout=time_limits.database,
    )
    return {
        "settings": settings,
        "time_limits": time_limits,
        "engine": engine,
        "registry": registry,
        "scorer": scorer,
        "student_runner": scorer.student_runner,
        "teacher_pool": teacher_pool,
        "model_pool": scorer.model_pool,
        "shadow_teachers": shadow_teachers,
        "shadow_versions": shadow_versions,
        "prediction_log": scorer.prediction_log,
        "keys": KeyCache(engine, timeout=time_limits.database),
        "metrics": metrics,
        "rate_limiter": RateLimiter(),
        "failed_logins": FailedLogins(),
        "probing": CapacityLimiter(2),  # probes have threads of their own, so busy ones do not delay them
        "schema_head": head_revision(),
    }


def _teacher_pool(settings: Settings) -> TeacherPool:
    return TeacherPool(
        workers=settings.fallback_workers, queue=settings.fallback_queue, timeout=settings.fallback_timeout
    )


def _model_pool(settings: Settings, engine: Engine) -> ModelPool:
    return ModelPool.from_folder(
        settings.models_dir,
        deliver_to(engine),
        queue=settings.feedback_queue,
        timeout=settings.feedback_timeout,
        threads=settings.feedback_threads,
    )
