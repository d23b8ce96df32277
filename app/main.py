"""The application: what is built once, and what holds it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.api import docs, items, predictions, probes, problems, score
from app.api.limits import BodyLimit
from app.api.state import State
from app.api.unforeseen import Unforeseen
from app.scoring.registry import Registry
from app.service import Scorer
from app.settings import Settings, is_loopback
from app.storage import keys
from app.storage.database import connect, head_revision, schema_problem
from app.storage.log import PredictionLog
from app.storage.predictions import note_activations
from app.storage.tables import SeenActivation

log = logging.getLogger("scorelet")

DESCRIPTION = """Scores learners' short written answers with one tiny neural network an item.

Every reply with a score stands in the log before it is sent. Errors are RFC 9457 problem details."""


class OpenToTheNetwork(Exception):
    """No key is made, and the service was to listen where others can reach it."""


def create_app(settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        engine = connect(settings.database_url.get_secret_value())
        head = head_revision()
        try:
            registry = Registry.from_folder(settings.models_dir)
            for item_id, reason in registry.refused.items():
                log.error("item %s is refused: %s", item_id, reason)
            if trouble := schema_problem(engine, head):
                log.error("not ready: %s", trouble)
            else:
                refuse_to_be_open(engine, settings.host)
                note_activations(engine, _activations(registry))
            scorer = Scorer(registry, PredictionLog(engine), engine, settings)
            yield {
                "settings": settings,
                "engine": engine,
                "registry": registry,
                "scorer": scorer,
                "schema_head": head,
            }
        finally:
            engine.dispose()

    app = FastAPI(
        title="scorelet", version="0.1.0", description=DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(Unforeseen)
    problems.install(app)
    for router in (score.router, items.router, predictions.router, probes.router):
        app.include_router(router)
    docs.mount(app)
    return app


def refuse_to_be_open(engine: Engine, host: str) -> None:
    """Without a key the service is open, so it may listen on loopback only.  Raises OpenToTheNetwork."""
    with Session(engine) as session:
        if keys.any_made(session):
            return
    if not is_loopback(host):
        raise OpenToTheNetwork(
            f"no key is made yet, so the service may listen on this machine only, not on {host}: "
            "run `scorelet keys create NAME --scope score` first"
        )
    log.warning("OPEN: no key is made yet, so whoever is on this machine may do everything")


def _activations(registry: Registry) -> list[SeenActivation]:
    return [
        SeenActivation(
            item_id=item_id,
            version=live.active.version,
            mode=live.active.mode,
            by=live.active.by,
            reason=live.active.reason,
            at=live.active.at,
        )
        for item_id, live in registry.live.items()
    ]
