"""uvicorn's HTTP, with bounds that it does not have: on the head of a request, and on the time a whole one may take."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 32 * 1024  # bytes of the request line and headers
SECONDS = 60.0  # from a connection, or the first byte of a further request, to the last byte of the body
TOO_LARGE, TOO_LATE = b"431 Request Header Fields Too Large", b"408 Request Timeout"


class BoundedProtocol(HttpToolsProtocol):
    """Without these a caller that never ends its headers, or sends a byte a minute, holds memory and a connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head = 0  # bytes of the head, or of whatever else is no body, so far
        self._in_head = True
        self._too_large = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_whole_request()

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            self._expect_whole_request()
        self._head += len(data)
        super().data_received(data)
        if self._head > MAX_HEAD:
            self._refuse(TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            raise ValueError("a trailer")  # nobody reads them: they would only be kept
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._head = 0  # what is counted after it are chunks' sizes and trailers
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._in_head, self._head = False, 0
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD:
            self._too_large = True
            raise ValueError("too large")  # the parser stops, and has a 400 sent
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._head = True, 0
        self._stop_waiting()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._too_large:
            self._refuse(TOO_LARGE)
        else:
            super().send_400_response(msg)

    def shutdown(self) -> None:
        """What has not arrived whole when the service ends was not taken."""
        super().shutdown()
        if self.cycle is not None and not self.cycle.response_complete and self.cycle.more_body:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_whole_request(self) -> None:
        self._deadline = self.loop.call_later(SECONDS, self._late)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            self._expect_whole_request()  # one before it is still being answered
        elif self._in_head:
            self._refuse(TOO_LATE)
        else:
            self.transport.close()  # the application, which waits for the body, learns that nobody is there

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()
