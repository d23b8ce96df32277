"""Check the database and the bundles when the service starts, and log every fault by name."""

import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.logs import coded
from app.scoring.errors import CodedError
from app.scoring.registry import Registry
from app.service.feedback.model_pool import ModelPool
from app.settings import is_loopback
from app.storage import api_keys
from app.storage.health import schema_problem, write_problem
from app.storage.prediction_log import PredictionLog
from app.storage.problems import DatabaseProblem
from app.storage.queries import newest_time

log = logging.getLogger("scorelet")
CLOCK_TOLERANCE = timedelta(minutes=1)


class CannotStart(CodedError):
    """The service does not start, for the reason in the sentence."""


class OpenToTheNetwork(CannotStart):
    """No key is made, and the service should listen where other machines can reach it."""


def check_database(engine: Engine, host: str, schema_head: str | None, prediction_log: PredictionLog) -> None:
    """Log why the database cannot be used yet, if so, and whether the service is open.  Raises OpenToTheNetwork."""
    if problem := schema_problem(engine, schema_head):
        _log_not_ready(problem)
        return
    if is_open(engine, host):
        sentence = "OPEN: no key is made yet, so everyone on this machine may use every route"
        log.warning(sentence, extra=coded("open"))
    if problem := write_problem(engine):
        _log_not_ready(problem)
        prediction_log.failing = True
    check_clock(engine)


def _log_not_ready(problem: DatabaseProblem) -> None:
    log.error("not ready: %s", problem, extra=coded("not_ready", cause=problem.code))


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


def check_clock(engine: Engine) -> None:
    """Log an error where the clock is behind the newest score, because the log is ordered by time."""
    with Session(engine) as session:
        newest = newest_time(session)
    if newest is not None and newest > datetime.now(UTC) + CLOCK_TOLERANCE:
        log.error(
            "this machine's clock is behind the newest score, of %s: set the clock, or later scores are out of order",
            newest,
            extra=coded("clock_behind", newest=newest),
        )


def log_refused(registry: Registry, model_pool: ModelPool) -> None:
    """Log each item, teacher and feedback model that was refused, with the reason."""
    for item_id, error in registry.refused.items():
        extra = coded("item_refused", item_id=item_id, cause=error.code)
        log.error("item %s is refused: %s", item_id, error, extra=extra)
    for item_id, error in registry.without_teacher.items():
        extra = coded("item_without_teacher", item_id=item_id, cause=error.code)
        log.error("item %s is served without its teacher: %s", item_id, error, extra=extra)
    for name, error in model_pool.refused.items():
        extra = coded("feedback_model_refused", name=name, cause=error.code)
        log.error("feedback model %s is refused: %s", name, error, extra=extra)
