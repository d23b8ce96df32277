"""What nobody foresaw: a 500 that says so, and a log line of type and place without the message.

An exception's message may quote a response, and the frameworks below would print it.
"""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem, reply
from app.logs import coded, type_and_place

log = logging.getLogger("scorelet")


class UnhandledErrors:
    """Catches what no handler took, and lets it go no further."""

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
        except ClientDisconnect:
            return  # the caller has gone before its body had come: there is nobody to answer, and nothing is wrong here
        except Exception as error:
            if scope["type"] != "http":
                raise
            log.error("unforeseen %s", type_and_place(error), extra=coded("unforeseen", error=type(error).__name__))
            if started:
                raise ConnectionAbortedError from None  # half a reply is sent: the server closes the connection
            detail = f"unforeseen {type(error).__name__}; the log says where"
            await reply(problem("InternalError", 500, detail))(scope, receive, send)
