"""Limit the size of request heads and the duration of requests, which uvicorn does not."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 32 * 1024  # bytes of the request line and headers
REQUEST_TIMEOUT = 60.0  # seconds from the connection, or the first byte of a later request, to the end of the body
TOO_LARGE, TOO_LATE = b"431 Request Header Fields Too Large", b"408 Request Timeout"


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with two limits.

    Without them a client with endless headers, or one byte a minute, would hold memory and a connection.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._unread = 0  # bytes received outside a body: head, chunk sizes or trailers
        self._in_head = True
        self._too_large = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        if self._deadline is None:
            self._start_timer()
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MAX_HEAD:
            self._refuse(TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            raise ValueError("a trailer")  # uvicorn would store it unread
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._unread = 0  # from here count chunk sizes and trailers
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._in_head, self._unread = False, 0
        # Four bytes a header: colon, space, carriage return, line feed.
        sizes = [len(name) + len(value) + 4 for name, value in self.headers]
        if len(self.url) + sum(sizes) > MAX_HEAD:
            self._too_large = True
            raise ValueError("too large")  # makes the parser stop and call send_400_response
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._unread = True, 0
        self._stop_timer()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._too_large:
            self._refuse(TOO_LARGE)
        else:
            super().send_400_response(msg)

    def shutdown(self) -> None:
        """Close a connection whose request is incomplete; uvicorn lets complete requests finish."""
        super().shutdown()
        if self.cycle is not None and not self.cycle.response_complete and self.cycle.more_body:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_TIMEOUT, self._time_out)

    def _stop_timer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _time_out(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            self._start_timer()  # the reply to the previous request is still being made
        elif self._in_head:
            self._refuse(TOO_LATE)
        else:
            self.transport.close()  # the application, which waits for the body, sees a disconnect

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()
