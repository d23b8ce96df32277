"""Unexpected errors, tested on Starlette alone: the test client of the service would raise them."""

import logging
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.api.unhandled_errors import UnhandledErrors
from tests.refusals import log_lines

WORDS = "a child wrote this"


async def failing(_: Request) -> JSONResponse:
    raise ValueError(f"cannot score {WORDS}")


async def half_sent(_: Request) -> StreamingResponse:
    async def pieces() -> AsyncIterator[str]:
        yield "half"
        raise ValueError(WORDS)

    return StreamingResponse(pieces())


def client() -> TestClient:
    app = Starlette(routes=[Route("/failing", failing), Route("/half", half_sent)])
    app.add_middleware(UnhandledErrors)
    return TestClient(app)


def test_unexpected_error_is_a_problem_and_its_message_is_hidden(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        reply = client().get("/failing")

    assert reply.status_code == 500
    assert reply.json()["type"] == "urn:scorelet:problem:internal-error"
    assert log_lines(caplog, "unforeseen") == [{"error": "ValueError"}]
    assert "test_unhandled_errors.py" in caplog.text
    assert WORDS not in caplog.text + reply.text


def test_failure_after_the_reply_started_closes_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConnectionAbortedError) as aborted:
        client().get("/half")

    assert WORDS not in caplog.text + str(aborted.value)
