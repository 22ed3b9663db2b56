"""The outermost layer: an answer for every failure, security headers, the access log, the count of requests.

The access log holds method, path, status, time, address and key id; never a query, a header or a body.
"""

import logging
import time
import uuid
from collections.abc import Callable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from voice_agent.api.errors import envelope, error_response, known_error
from voice_agent.api.responses import JsonResponse
from voice_agent.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)
access = logging.getLogger("voice_agent.access")

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Of every answer that does not set them itself; the web page brings a policy of its own."""

NO_STORE = ("/v1/", "/api/")
"""Answers that no cache may keep."""

CLOSE_INTERNAL = 1011

GONE = (ClientDisconnected, ClientDisconnect, WebSocketDisconnect)
"""The client went before the answer: nobody's fault. (Uvicorn's word for it, and starlette's two.)"""


class Border:
    def __init__(self, app: ASGIApp, *, metrics: Metrics, clock: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        started = self._clock()
        try:
            await self._app(scope, receive, exchange.send)
        except Exception as error:  # noqa: BLE001 - the server's border: whatever it is, the client gets an answer and we a line
            await exchange.fail(error, receive)
        finally:
            self._note(exchange, self._clock() - started)

    def _note(self, exchange: "_Exchange", seconds: float) -> None:
        scope = exchange.scope
        method = scope.get("method", "WEBSOCKET")
        status = exchange.status or 499  # the client went before there was an answer
        if code := exchange.error_code or scope.get("state", {}).get("error_code", ""):
            self._metrics.error(code)
        self._metrics.request(
            method=method, route=_route(scope), status=status, seconds=seconds if scope["type"] == "http" else None
        )
        caller = scope.get("state", {}).get("caller")
        key = f" key={caller.key_id}" if caller is not None and caller.key_id else ""
        address = (scope.get("client") or ("-", 0))[0]
        access.info("%s %r %d %.1f ms %s%s", method, scope["path"], status, seconds * 1000.0, address, key)


class _Exchange:
    """One request or WebSocket as it goes out: what was sent so far."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.status = 0
        self.error_code = ""
        self._send = send
        self._closed = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            message["headers"] = [*message.get("headers", []), *self._missing(message.get("headers", []))]
        elif kind == "websocket.accept":
            self.status = 101
        elif kind == "websocket.close":
            self._closed = True
            self.status = self.status or 403
        await self._send(message)

    def _missing(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        present = {name.lower() for name, _ in headers}
        own = [pair for pair in HEADERS if pair[0] not in present]
        if self.scope["path"].startswith(NO_STORE) and b"cache-control" not in present:
            own.append((b"cache-control", b"no-store"))
        return own

    async def fail(self, error: Exception, receive: Receive) -> None:
        """The answer to what no handler has answered, if there is still room for one."""
        if isinstance(error, GONE):
            return
        known = known_error(error)
        if known is not None:
            self.error_code = known.code
            response = error_response(known)
        else:
            self.error_code = "internal"
            number = uuid.uuid4().hex[:12]
            logger.error("unexpected failure %s at %r", number, self.scope["path"], exc_info=error)
            message = f"Something went wrong on the server. Its log has the details under {number}."
            response = JsonResponse(envelope(message, status=500, code="internal"), status_code=500)
        if self.status == 0:
            await response(self.scope, receive, self.send)
        elif self.status == 101 and not self._closed:
            await self.send({"type": "websocket.close", "code": CLOSE_INTERNAL, "reason": "internal error"})


def _route(scope: Scope) -> str:
    """The path's template, such as "/api/sessions/{session_id}", so that there are as many as there are routes."""
    return str(getattr(scope.get("route"), "path", "other"))
