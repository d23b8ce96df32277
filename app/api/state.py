"""The objects that the lifespan holds and routes use."""

from typing import Annotated, TypedDict, cast

from anyio import CapacityLimiter
from fastapi import Depends, Request
from sqlalchemy import Engine

from app.api.rate_limits import FailedLogins, RateLimiter
from app.concurrency.time_limits import TimeLimits
from app.scoring.registry import Registry
from app.service.feedback.model_pool import ModelPool
from app.service.metrics import Metrics
from app.service.scorer import ScoringService
from app.service.shadow_teachers import ShadowTeachers
from app.service.shadow_versions import ShadowVersions
from app.service.student_runner import StudentRunner
from app.service.teacher_pool import TeacherPool
from app.settings import Settings
from app.storage.key_cache import KeyCache
from app.storage.prediction_log import PredictionLog


class State(TypedDict):
    """The parts of one process."""

    settings: Settings
    time_limits: TimeLimits
    engine: Engine
    registry: Registry
    scorer: ScoringService
    student_runner: StudentRunner
    teacher_pool: TeacherPool
    model_pool: ModelPool
    shadow_teachers: ShadowTeachers
    shadow_versions: ShadowVersions
    prediction_log: PredictionLog
    keys: KeyCache
    metrics: Metrics
    rate_limiter: RateLimiter
    failed_logins: FailedLogins
    probing: CapacityLimiter
    schema_head: str | None


def state_of(request: Request) -> State:
    """Return the state that the lifespan has put into each request's scope, as ASGI defines it."""
    return cast("State", request.scope["state"])


async def get_state(request: Request) -> State:
    """Return the state as a dependency.  FastAPI would run a plain function in a thread, for every request."""
    return state_of(request)


StateDep = Annotated[State, Depends(get_state)]
