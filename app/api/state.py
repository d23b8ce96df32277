"""What the lifespan holds and routes ask for."""

from typing import Annotated, TypedDict, cast

from anyio import CapacityLimiter
from fastapi import Depends, Request
from sqlalchemy import Engine

from app.api.rates import FailedTries, Rates
from app.concurrency.time_limits import TimeLimits
from app.scoring.registry import Registry
from app.service.metrics import Metrics
from app.service.scorer import ScoringService
from app.settings import Settings
from app.storage.key_cache import KeyCache


class State(TypedDict):
    settings: Settings
    waits: TimeLimits
    engine: Engine
    registry: Registry
    scorer: ScoringService
    keys: KeyCache
    metrics: Metrics
    rates: Rates
    failed_tries: FailedTries
    probing: CapacityLimiter
    schema_head: str | None


def state_of(request: Request) -> State:
    return cast("State", request.state._state)


async def get_state(request: Request) -> State:  # a plain function would be sent to a thread, for every request
    return state_of(request)


StateDep = Annotated[State, Depends(get_state)]
