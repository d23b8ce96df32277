"""Answer unexpected exceptions with a 500, and log their type and place but not their message.

An exception's message may quote a response, and the frameworks below would print it.
"""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem, reply
from app.logs import coded, type_and_place

log = logging.getLogger("scorelet")


class UnhandledErrors:
    """Middleware that catches every exception that no handler took."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note_start)
        except ClientDisconnect:
            # The caller hung up before its whole body arrived: there is nobody to answer and nothing to mend.
            return
        except Exception as error:
            if scope["type"] != "http":
                raise
            kind = type(error).__name__
            log.error("unexpected %s", type_and_place(error), extra=coded("unforeseen", error=kind))
            if started:
                # Half a reply is sent, so the server has to close the connection.
                raise ConnectionAbortedError from None
            detail = f"the service failed unexpectedly ({kind}): see its log for the place"
            await reply(problem("InternalError", 500, detail))(scope, receive, send)
