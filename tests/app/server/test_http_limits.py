"""Bounds that a socket feels: asked by hand, since no client would misbehave so."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from app.server.http_limits import MAX_HEAD, REQUEST_TIMEOUT, LimitedProtocol
from tests.waiting import HANGS, Clock

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, "Bodies"], Awaitable[bytes]]
GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class Bodies:
    """Answer with the length of the body; `begun` when a part of one has come."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self, _: dict[str, Any], receive: Any, send: Any) -> None:
        length = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            length += len(message["body"])
            if length:
                self.begun.set()
            if not message["more_body"]:
                break
        said = str(length).encode()
        headers = [(b"content-length", str(len(said)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": said})


def told(talk: Talk, *, leaves_open: bool = False) -> bytes:
    """What comes of a talk with a server on a free port; the server ends before a caller that leaves its line open."""

    async def serve() -> bytes:
        bodies = Bodies()
        config = uvicorn.Config(bodies, port=0, http=LimitedProtocol, ws="none", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.01)
        [port] = [listening.getsockname()[1] for own in server.servers for listening in own.sockets]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await asyncio.wait_for(talk(reader, writer, bodies), 2 * HANGS)
        finally:
            if not leaves_open:
                writer.close()
            server.should_exit = True
            await asyncio.wait_for(serving, HANGS)
            writer.close()

    return asyncio.run(serve())


def saying(*parts: bytes, end: bool = True, never_whole: bool = False) -> Talk:
    """Send each part before the next, and return the answer; if `never_whole`, when the time of a request is over."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bodies: Bodies) -> bytes:
        clock = Clock()
        for part in parts:
            writer.write(part)
            try:
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0.02)
        if never_whole:
            if b"content-length" in b"".join(parts):
                await bodies.begun.wait()
            await clock.put_forward(REQUEST_TIMEOUT)
        try:
            return await reader.read() if end else await reader.read(1000)
        except ConnectionError:  # closed while more was on its way; what was said before has come
            return bytes(reader._buffer)  # type: ignore[attr-defined]

    return talk


def test_requests_on_one_connection_are_answered_in_turn() -> None:
    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bodies: Bodies) -> bytes:
        first = await saying(GET, end=False)(reader, writer, bodies)
        second = await saying(
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n", b"x" * 60000, b"y" * 40000, end=False
        )(reader, writer, bodies)
        return first + second

    said = told(twice)

    assert said.count(b"200 OK") == 2
    assert said.endswith(b"100000")


@pytest.mark.parametrize(
    "parts",
    [
        [b"GET / HTTP/1.1\r\n", *[b"a: " + b"x" * 5000 + b"\r\n"] * 20],
        [b"GET / HTTP/1.1\r\na: ", *[b"x" * 5000] * 20],
        [b"GET /", *[b"x" * 5000] * 20],
        [b"GET / HTTP/1.1\r\na: " + b"x" * (MAX_HEAD + 1) + b"\r\n\r\n"],
    ],
)
def test_endless_head_is_refused(parts: list[bytes]) -> None:
    assert told(saying(*parts)).startswith(b"HTTP/1.1 431 ")


def test_large_head_within_the_limit_is_read() -> None:
    head = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\na: " + b"x" * (MAX_HEAD - 1000) + b"\r\n\r\n"

    assert b"200 OK" in told(saying(head))


@pytest.mark.parametrize("parts", [[], [b"GET / HT"], [GET.removesuffix(b"\r\n")]])
def test_incomplete_head_times_out(parts: list[bytes]) -> None:
    assert told(saying(*parts, never_whole=True)).startswith(b"HTTP/1.1 408 ")


def test_incomplete_body_times_out() -> None:
    parts = (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n", b"12")

    assert told(saying(*parts, never_whole=True)) == b""


CHUNKED = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"


def test_chunked_body_is_read() -> None:
    assert told(saying(CHUNKED, b"2\r\nde\r\n0\r\n\r\n", end=False)).endswith(b"5")


@pytest.mark.parametrize(
    "parts", [[b"0\r\n", *[b"a: " + b"x" * 5000 + b"\r\n"] * 20], [b"0\r\na: ", *[b"x" * 5000] * 20]]
)
def test_trailers_are_refused(parts: list[bytes]) -> None:
    assert told(saying(CHUNKED, *parts)).split(b"\r\n")[0] in (
        b"HTTP/1.1 400 Bad Request",
        b"HTTP/1.1 431 Request Header Fields Too Large",
    )


def test_incomplete_request_does_not_delay_shutdown() -> None:
    """Else the server would wait for the rest for ever."""

    async def half(_: asyncio.StreamReader, writer: asyncio.StreamWriter, bodies: Bodies) -> bytes:
        writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n12")
        await bodies.begun.wait()
        return b"left"

    assert told(half, leaves_open=True) == b"left"
