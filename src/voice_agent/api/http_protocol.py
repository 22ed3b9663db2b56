"""uvicorn's HTTP protocol with bounds on what comes before anybody could refuse it.

The parser keeps a head (request line and headers) until it is complete, however long that is and takes: 200 MB of one header would
be 400 MB of memory, for a caller without a key.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from voice_agent.api.limits import UPLOAD_BYTES

MAX_HEAD = 64 * 1024
"""Bytes; a browser's own headers are 1 to 2 KiB. What comes with it in one read (256 KiB) is kept beside it."""

MAX_MESSAGE = 2 * UPLOAD_BYTES
"""Bytes of a whole request on the wire, with the frames of its chunks and what follows them."""

HEAD_PATIENCE_S = 10.0
"""A head must be complete this long after its connection or its first byte."""

TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose head is too long or too slow, or whose request is larger than any route takes."""

    _in_head = True
    _received = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head and self._received > MAX_HEAD:
            self._refuse(TOO_LARGE)
        elif self._received > MAX_MESSAGE:
            self._refuse(b"")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._received = 0
        self._await_head()

    def on_headers_complete(self) -> None:
        self._head_is_here()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._in_head = True
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_PATIENCE_S, self._refuse, TOO_SLOW)

    def _head_is_here(self) -> None:
        self._in_head = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
