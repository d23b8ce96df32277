import json
from collections.abc import Iterator

import anyio
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from app.api.request_limits import BodyLimit
from tests.app.api.assertions import CANARY, assert_problem, body
from tests.app.conftest import Logged, Serve

JSON = {"Content-Type": "application/json"}
LIMIT = 2048


@pytest.fixture
def client(serve: Serve) -> TestClient:
    return serve(max_body_bytes=LIMIT)


def sized(size: int) -> bytes:
    """Return a valid body of exactly this many bytes."""
    empty = json.dumps(body(response="")).encode()
    return empty[:-2] + (CANARY * size).encode()[: size - len(empty)] + empty[-2:]


def in_pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 500):
        yield content[start : start + 500]


@pytest.mark.parametrize("path", ["/score", "/score/batch", "/nothing-here"])
def test_body_announced_as_too_large_is_refused(client: TestClient, logged: Logged, path: str) -> None:
    reply = client.post(path, content=sized(LIMIT + 1), headers=JSON)

    problem = assert_problem(reply, 413, "body-too-large")
    assert str(LIMIT) in problem["detail"]
    assert logged() == []


@pytest.mark.parametrize("path", ["/score", "/score/batch"])
def test_unannounced_body_over_the_limit_is_refused(client: TestClient, logged: Logged, path: str) -> None:
    reply = client.post(path, content=in_pieces(sized(LIMIT + 1)), headers=JSON)

    assert "content-length" not in reply.request.headers
    assert_problem(reply, 413, "body-too-large")
    assert logged() == []


def test_body_at_the_limit_is_accepted(client: TestClient) -> None:
    content = sized(LIMIT)

    assert len(content) == LIMIT
    assert client.post("/score", content=content, headers=JSON).status_code == 200
    assert client.post("/score", content=in_pieces(content), headers=JSON).status_code == 200


@pytest.mark.parametrize("announced", ["9" * 5000, "1e9"])  # more digits than Python converts; not a whole number
def test_malformed_content_length_is_a_client_error(client: TestClient, announced: str) -> None:
    reply = client.post("/score", content=b"{}", headers=JSON | {"Content-Length": announced})

    assert 400 <= reply.status_code < 500


def test_reading_stops_at_the_limit() -> None:
    taken = 0

    async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        await PlainTextResponse("read")(scope, receive, send)

    async def endless() -> Message:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"a" * 100, "more_body": True}

    async def ignore(_: Message) -> None: ...

    scope: Scope = {"type": "http", "method": "POST", "path": "/score", "headers": []}

    with pytest.raises(HTTPException) as caught:
        anyio.run(BodyLimit(read_all, 1000), scope, endless, ignore)

    assert caught.value.status_code == 413
    assert taken == 11
