"""A scoring service without HTTP, for tests of one use case."""

from collections.abc import Sequence

from sqlalchemy import Engine

from app.scoring.registry import Registry
from app.service.feedback.model_pool import ModelPool
from app.service.metrics import Metrics
from app.service.scorer import ScoringService
from app.service.shadows import Shadow
from app.service.student_runner import StudentRunner
from app.service.teacher_pool import TeacherPool
from app.settings import Settings
from app.storage.prediction_log import PredictionLog


def scoring_service(
    registry: Registry,
    engine: Engine,
    settings: Settings | None = None,
    *,
    teacher_pool: TeacherPool | None = None,
    shadows: Sequence[Shadow] = (),
) -> ScoringService:
    """Return a service with no feedback models and, unless given, no shadows."""
    settings = settings or Settings()
    return ScoringService(
        student_runner=StudentRunner(registry, reloads=True),
        teacher_pool=teacher_pool or pool_of(settings),
        model_pool=ModelPool([], {}, {}),
        shadows=shadows,
        prediction_log=PredictionLog(engine),
        engine=engine,
        settings=settings,
        metrics=Metrics(),
    )


def pool_of(settings: Settings) -> TeacherPool:
    """Return a pool of teachers with the bounds of the settings."""
    return TeacherPool(
        workers=settings.fallback_workers, queue=settings.fallback_queue, timeout=settings.fallback_timeout
    )
