"""What is done about every request, whoever answers it: its number, its headers, its line in the log, its count."""

import logging
import random
import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.logs import request_id
from app.service.metrics import Metrics

log = logging.getLogger("scorelet.request")
GIVEN = re.compile(rb"[A-Za-z0-9._-]{1,64}")  # what a caller may call its request
UNMATCHED = "unmatched"  # whatever was asked for that is no route: its path may be anything
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # any other word may be anything too
NOBODY = 499  # the caller had gone before there was a reply
QUIET = ("/livez", "/readyz", "/metrics")  # asked every few seconds; only their failures are worth a line
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
NOTHING = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class RequestLog:
    """Outermost.  A caller may name its request by X-Request-ID; the reply and what is logged of it have that name."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), NOBODY
        name = next((value for header, value in scope["headers"] if header == b"x-request-id"), b"")
        if not GIVEN.fullmatch(name):
            name = b"%016x" % random.getrandbits(64)
        token = request_id.set(name.decode())

        async def finished(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"] = list(message["headers"])
                present = {header.lower() for header, _ in headers}
                headers.append((b"x-request-id", name))
                headers.extend(own for own in (*HEADERS, NOTHING) if own[0] not in present)
            await send(message)

        try:
            await self._app(scope, receive, finished)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", UNMATCHED)
            self._metrics.answered(route, status, seconds)
            if log.isEnabledFor(logging.INFO) and (route not in QUIET or status >= 400):
                method = scope["method"] if scope["method"] in METHODS else "OTHER"
                fields = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 2)}
                log.info("request", extra={"fields": fields})
            request_id.reset(token)
