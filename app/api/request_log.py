"""Give every request an id, security headers, a line in the log and a count, however it is answered."""

import logging
import random
import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.logs import request_id
from app.service.metrics import Metrics

log = logging.getLogger("scorelet.request")
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")  # ids that a caller may choose
UNMATCHED = "unmatched"  # stands for every path that is no route: such a path may hold anything
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # logged by name; other methods are OTHER
CLIENT_CLOSED_REQUEST = 499  # nginx's status for a caller that hung up before the reply
POLLED = ("/livez", "/readyz", "/metrics")  # called every few seconds, so only their failures are logged
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


class RequestLog:
    """The outermost middleware.  Replies and log lines carry the caller's X-Request-ID, or a random id."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), CLIENT_CLOSED_REQUEST
        name = _id_of(scope)
        token = request_id.set(name.decode())

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_headers(message["headers"], name)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            self._report(scope, status, time.perf_counter() - began)
            request_id.reset(token)

    def _report(self, scope: Scope, status: int, seconds: float) -> None:
        """Count the request and log it."""
        route = getattr(scope.get("route"), "path", UNMATCHED)
        self._metrics.answered(route, status, seconds)
        if log.isEnabledFor(logging.INFO) and (route not in POLLED or status >= 400):
            method = scope["method"] if scope["method"] in METHODS else "OTHER"
            fields = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 2)}
            log.info("request", extra={"fields": fields})


def _id_of(scope: Scope) -> bytes:
    """Return the caller's X-Request-ID if it is a valid id, or else a random id."""
    sent: bytes = next((value for header, value in scope["headers"] if header == b"x-request-id"), b"")
    return sent if REQUEST_ID.fullmatch(sent) else b"%016x" % random.getrandbits(64)


def _with_headers(headers: list[tuple[bytes, bytes]], name: bytes) -> list[tuple[bytes, bytes]]:
    """Return a reply's headers with the request's id, and with each security header that the reply lacks."""
    present = {header.lower() for header, _ in headers}
    missing = [header for header in SECURITY_HEADERS if header[0] not in present]
    return [*headers, (b"x-request-id", name), *missing]
