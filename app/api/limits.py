"""What is refused before anything is parsed: bodies that are too large, names that are not ours."""

import re
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem, reply
from app.settings import is_loopback

DIGITS = 20  # of a content-length that are read; Python refuses to turn some thousands into a number


class KnownHosts:
    """Answers only who asks for the service by one of its names, or from this machine: a page of another name that is
    made to point here learns nothing.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        """`hosts` as `scores.school.example`, or `*.school.example` for all names below."""
        self._app = app
        self._names = {host.lower() for host in hosts if not host.startswith("*.")}
        self._below = tuple(host[1:].lower() for host in hosts if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            named = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
            name = re.sub(r":\d*$", "", named)
            if name not in self._names and not name.endswith(self._below) and not is_loopback(name):
                detail = "the service is not asked for by this name: see SCORELET_ALLOWED_HOSTS"
                await reply(problem("UnknownHost", 400, detail))(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyLimit:
    """Answers 413 to a body over the limit, announced or not, and never holds more than the limit in memory."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced[:DIGITS]) > self._max_bytes:
            detail = f"the body has more than {self._max_bytes} bytes"
            await reply(problem("BodyTooLarge", 413, detail))(scope, receive, send)
            return
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                raise HTTPException(413, f"the body has more than {self._max_bytes} bytes")
            return message

        await self._app(scope, limited, send)
