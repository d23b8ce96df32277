"""A bound on request bodies, kept before anything is parsed."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem, reply

DIGITS = 20  # of a content-length that are read; Python refuses to turn some thousands into a number


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
