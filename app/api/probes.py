"""GET /livez and /readyz: for load balancers and health checks, without a key."""

from collections.abc import Mapping

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from app.api.schemas import Liveness, Readiness
from app.api.state import State, StateDep
from app.scoring.errors import CodedError
from app.settings import is_loopback
from app.storage import api_keys
from app.storage.health import database_errors, schema_problem, write_problem
from app.storage.problems import DatabaseProblem
from app.storage.timeouts import DatabaseSilent, in_thread

router = APIRouter(tags=["probes"])


@router.get("/livez", summary="Check liveness", response_description="The process answers.")
async def livez() -> Liveness:
    """Report that the process answers."""
    return Liveness()


@router.get(
    "/readyz",
    summary="Check readiness",
    response_description="At least one item can be scored and logged.",
    responses={503: {"model": Readiness, "description": "No response can be scored: see `database` and `refused`."}},
)
async def readyz(state: StateDep, response: Response) -> Readiness:
    """Report whether responses can be scored and logged, and which items are refused and why."""
    is_open = False
    try:
        problem, is_open = await in_thread(
            _check_database, state, seconds=state["time_limits"].probe, limiter=state["probing"]
        )
    except DatabaseSilent:
        problem = DatabaseProblem("database_silent", "the database does not answer", "see whether its machine does")
    registry, model_pool = state["registry"].snapshot, state["model_pool"]
    ready = problem is None and bool(registry.live)
    if not ready:
        response.status_code = 503
    return Readiness(
        status="ready" if ready else "not ready",
        open=is_open,
        database=str(problem) if problem else "ok",
        database_code=problem.code if problem else None,
        items=sorted(registry.live),
        refused=_sentences(registry.refused),
        feedback_models=[writer.name for writer in model_pool.writers],
        refused_feedback_models=_sentences(model_pool.refused),
        not_taken_up=_sentences(registry.not_taken_up),
        without_teacher=_sentences(registry.without_teacher),
        without_shadow=_sentences(registry.without_shadow),
    )


def _sentences(errors: Mapping[str, CodedError]) -> dict[str, str]:
    return {name: str(error) for name, error in errors.items()}


def _check_database(state: State) -> tuple[DatabaseProblem | None, bool]:
    """Return the problem that keeps the database from being used, if any, and whether the service is open."""
    engine = state["engine"]
    problem = schema_problem(engine, state["schema_head"])
    if problem is None and state["prediction_log"].failing:  # only a write reveals a full disk
        problem = write_problem(engine)
    if problem is not None or not is_loopback(state["settings"].host):
        return problem, False
    try:
        with Session(engine) as session:
            return None, not api_keys.any_exist(session)
    except database_errors(engine) as error:  # since the check above
        name = type(error).__name__
        return DatabaseProblem("database_failed", f"the database failed ({name})", "run `scorelet doctor`"), False
