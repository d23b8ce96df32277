import logging

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from app.api import problems
from app.scoring.errors import BadBundle, ItemNotReady, UnknownItem
from app.service.scorer import IdempotencyConflict
from tests.app.api.assertions import BOTH, CANARY, assert_problem, body
from tests.app.conftest import Serve, Sql
from tests.refusals import log_lines


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (UnknownItem("asap-99"), 404, "unknown-item"),
        (ItemNotReady("asap-99", BadBundle("changed")), 503, "item-not-ready"),
        (IdempotencyConflict("used before"), 409, "idempotency-conflict"),
        (problems.Unauthorized("a key is needed"), 401, "unauthorized"),
        (problems.Forbidden("lacks the scope"), 403, "forbidden"),
        (problems.UnknownPrediction("no prediction"), 404, "unknown-prediction"),
        (OperationalError(f"INSERT {CANARY}", {"response": CANARY}, Exception(CANARY)), 503, "database-unavailable"),
    ],
)
def test_every_error_has_its_status_and_type(error: Exception, status: int, kind: str) -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    async def fail() -> None:
        raise error

    reply = TestClient(app, raise_server_exceptions=False).get("/")

    assert_problem(reply, status, kind)
    assert ("Retry-After" in reply.headers) == (kind == "database-unavailable")
    assert ("WWW-Authenticate" in reply.headers) == (status == 401)


@pytest.mark.parametrize("path", ["/nothing", "/score/none", "/static/none.js", "/items/heat-1/more"])
def test_unknown_route_is_a_problem(client: TestClient, path: str) -> None:
    assert_problem(client.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/score", "POST"),
        ("PUT", "/score/batch", "POST"),
        ("POST", "/items", "GET"),
        ("DELETE", "/predictions", "GET"),
        ("BREW", "/livez", "GET"),
    ],
)
def test_method_not_allowed_is_a_problem(client: TestClient, method: str, path: str, allowed: str) -> None:
    reply = client.request(method, path)

    assert_problem(reply, 405, "method-not-allowed")
    assert allowed in reply.headers["Allow"]


@BOTH
@pytest.mark.parametrize("stored", [True, False])
def test_response_never_reaches_the_logs(
    serve: Serve, sql: Sql, caplog: pytest.LogCaptureFixture, *, stored: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("scorelet", "uvicorn.error", "uvicorn.access", "fastapi", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    caplog.set_level(logging.INFO, "sqlalchemy.engine")  # every statement, as during debugging
    client = serve(store_responses=stored)
    once = {"Idempotency-Key": "quiz-7"}

    scored = client.post("/score", json=body(learner_id=f"{CANARY} 1"), headers=once)
    invalid = client.post("/score", json=body(**{CANARY: CANARY}))
    batch = client.post("/score/batch", json={"responses": [body(), CANARY]})
    conflict = client.post("/score", json=body(response=f"{CANARY} 2"), headers=once)
    sql("ALTER TABLE predictions RENAME TO gone")
    failed = client.post("/score", json=body())

    statuses = [reply.status_code for reply in (scored, invalid, batch, conflict, failed)]
    assert statuses == [200, 422, 200, 409, 503]
    assert [list(fields) for fields in log_lines(caplog, "database_failed")] == [["error"]]
    assert "INSERT INTO predictions" in caplog.text  # the most verbose logger was captured
    assert "canary" not in caplog.text
