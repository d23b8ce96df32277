"""Refuse requests before any of them is parsed: unknown host names, and bodies over the limit."""

import re
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem, reply
from app.settings import is_loopback

MAX_DIGITS = 20  # digits of a Content-Length that are read: Python refuses to convert thousands of digits


class KnownHosts:
    """Middleware that answers only requests for one of the service's names, or for this machine's own.

    A web page whose host name is made to point here (DNS rebinding) learns nothing.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        """Accept `hosts` such as `scores.school.example`, or `*.school.example` for all names below it."""
        self._app = app
        self._names = {host.lower() for host in hosts if not host.startswith("*.")}
        wildcards = [host.lower() for host in hosts if host.startswith("*.")]
        self._suffixes = tuple(host.removeprefix("*") for host in wildcards)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_known(_host_name(scope)):
            detail = "unknown host name: add it to SCORELET_ALLOWED_HOSTS if it is one of the service's names"
            await reply(problem("UnknownHost", 400, detail))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_known(self, name: str) -> bool:
        return name in self._names or name.endswith(self._suffixes) or is_loopback(name)


def _host_name(scope: Scope) -> str:
    """Return the host that the request names, in lower case and without its port."""
    headers = dict(scope["headers"])
    host = headers.get(b"host", b"").decode("latin-1")
    return re.sub(r":\d*$", "", host.lower())


class BodyLimit:
    """Middleware that answers 413 to a body over the limit, announced or not.

    No more of a body than the limit is ever held in memory.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._too_large = f"the body has more than {max_bytes} bytes: send fewer or shorter responses"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _announced_bytes(scope) > self._max_bytes:
            await reply(problem("BodyTooLarge", 413, self._too_large))(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, self._too_large)
            return message

        await self._app(scope, limited, send)


def _announced_bytes(scope: Scope) -> int:
    """Return the Content-Length; 0 if there is none or it is not a number."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    return int(length[:MAX_DIGITS]) if length.isdigit() else 0
