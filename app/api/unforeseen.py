"""What nobody foresaw: a 500 that says so, and a log line of type and place without the message.

An exception's message may quote a response, and the frameworks below would print it.
"""

import logging
import traceback

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem, reply

log = logging.getLogger("scorelet")


class Unforeseen:
    """Outermost of ours: catches what no handler took, and lets it go no further."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if scope["type"] != "http":
                raise
            places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-4:]]
            log.error("unforeseen %s at %s", type(error).__name__, " < ".join(reversed(places)))
            if started:
                raise ConnectionAbortedError from None  # half a reply is sent: the server closes the connection
            detail = f"unforeseen {type(error).__name__}; the log says where"
            await reply(problem("InternalError", 500, detail))(scope, receive, send)
