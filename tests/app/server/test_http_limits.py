"""Limits of the HTTP server, tested by raw sockets, because HTTP clients do not misbehave."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from app.server.http_limits import MAX_HEAD, REQUEST_TIMEOUT, LimitedProtocol
from tests.waiting import HANGS, Clock

Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter, "Bodies"], Awaitable[bytes]]
GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class Bodies:
    """Application that replies with the length of the body; `begun` is set at its first bytes."""

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
        reply = str(length).encode()
        headers = [(b"content-length", str(len(reply)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": reply})


def reply_to(client: Client, *, leaves_open: bool = False) -> bytes:
    """Return the result of a client of a fresh server, which stops before a client that leaves its connection open."""

    async def serve() -> bytes:
        bodies = Bodies()
        config = uvicorn.Config(bodies, port=0, http=LimitedProtocol, ws="none", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        [port] = [socket.getsockname()[1] for listener in server.servers for socket in listener.sockets]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await asyncio.wait_for(client(reader, writer, bodies), 2 * HANGS)
        finally:
            if not leaves_open:
                writer.close()
            server.should_exit = True
            await asyncio.wait_for(serving, HANGS)
            writer.close()

    return asyncio.run(serve())


def sending(*parts: bytes, end: bool = True, never_whole: bool = False) -> Client:
    """Return a client that sends the parts and returns the reply, with `never_whole` after the request's timeout."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bodies: Bodies) -> bytes:
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
        except ConnectionError:  # the server closed the connection; its reply is in the buffer
            return bytes(reader._buffer)  # type: ignore[attr-defined]

    return client


def test_requests_on_one_connection_are_answered_in_turn() -> None:
    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bodies: Bodies) -> bytes:
        first = await sending(GET, end=False)(reader, writer, bodies)
        second = await sending(
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n", b"x" * 60000, b"y" * 40000, end=False
        )(reader, writer, bodies)
        return first + second

    reply = reply_to(twice)

    assert reply.count(b"200 OK") == 2
    assert reply.endswith(b"100000")


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
    assert reply_to(sending(*parts)).startswith(b"HTTP/1.1 431 ")


def test_large_head_within_the_limit_is_read() -> None:
    head = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\na: " + b"x" * (MAX_HEAD - 1000) + b"\r\n\r\n"

    assert b"200 OK" in reply_to(sending(head))


@pytest.mark.parametrize("parts", [[], [b"GET / HT"], [GET.removesuffix(b"\r\n")]])
def test_incomplete_head_times_out(parts: list[bytes]) -> None:
    assert reply_to(sending(*parts, never_whole=True)).startswith(b"HTTP/1.1 408 ")


def test_incomplete_body_times_out() -> None:
    parts = (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n", b"12")

    assert reply_to(sending(*parts, never_whole=True)) == b""


CHUNKED = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"


def test_chunked_body_is_read() -> None:
    assert reply_to(sending(CHUNKED, b"2\r\nde\r\n0\r\n\r\n", end=False)).endswith(b"5")


@pytest.mark.parametrize(
    "parts", [[b"0\r\n", *[b"a: " + b"x" * 5000 + b"\r\n"] * 20], [b"0\r\na: ", *[b"x" * 5000] * 20]]
)
def test_trailers_are_refused(parts: list[bytes]) -> None:
    assert reply_to(sending(CHUNKED, *parts)).split(b"\r\n")[0] in (
        b"HTTP/1.1 400 Bad Request",
        b"HTTP/1.1 431 Request Header Fields Too Large",
    )


def test_incomplete_request_does_not_delay_shutdown() -> None:
    """Otherwise the server would wait for the rest forever."""

    async def half(_: asyncio.StreamReader, writer: asyncio.StreamWriter, bodies: Bodies) -> bytes:
        writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n12")
        await bodies.begun.wait()
        return b"left"

    assert reply_to(half, leaves_open=True) == b"left"
