"""GET /livez and /readyz: for load balancers and health checks, without a key."""

from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.api.bodies import Liveness, Readiness
from app.api.state import State, StateDep
from app.settings import is_loopback
from app.storage import keys
from app.storage.database import schema_problem, write_problem
from app.storage.patience import DatabaseSilent, in_thread

SILENT = 5.0  # seconds; who asks whether a service is ready seldom waits longer
router = APIRouter(tags=["probes"])


@router.get("/livez")
async def livez() -> Liveness:
    """The process answers."""
    return Liveness()


@router.get("/readyz", responses={503: {"model": Readiness}})
async def readyz(state: StateDep, response: Response) -> Readiness:
    """Whether scores can be given and recorded; which item is not ready, and why."""
    is_open = False
    try:
        trouble, is_open = await in_thread(_look, state, seconds=SILENT, limiter=state["probing"])
    except DatabaseSilent:
        trouble = "the database does not answer"
    registry, desk = state["registry"], state["scorer"].desk
    ready = trouble is None and bool(registry.live)
    if not ready:
        response.status_code = 503
    return Readiness(
        status="ready" if ready else "not ready",
        open=is_open,
        database=trouble or "ok",
        items=sorted(registry.live),
        refused=dict(registry.refused),
        feedback_models=[writer.name for writer in desk.writers],
        refused_feedback_models=desk.refused,
        not_taken_up=dict(registry.not_taken_up),
        without_teacher=dict(registry.without_teacher),
        without_shadow=registry.without_shadow,
    )


def _look(state: State) -> tuple[str | None, bool]:
    """What keeps the database from being used, and whether the service is open."""
    trouble = schema_problem(state["engine"], state["schema_head"])
    if trouble is None and state["scorer"].log_is_failing:  # nothing but a write tells of a full disk
        trouble = write_problem(state["engine"])
    return trouble, trouble is None and _is_open(state)


def _is_open(state: State) -> bool:
    if not is_loopback(state["settings"].host):
        return False
    try:
        with Session(state["engine"]) as session:
            return not keys.any_made(session)
    except SQLAlchemyError:
        return False
