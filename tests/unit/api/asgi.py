"""Drives an ASGI app without a socket: HTTP through httpx, WebSocket handshakes by hand."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from starlette.types import ASGIApp, Message

OWN = "127.0.0.1:8000"


def http(app: ASGIApp, *, address: str = "127.0.0.1", base_url: str = f"http://{OWN}") -> httpx.AsyncClient:
    """A client that calls from `address`."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app, client=(address, 1234)), base_url=base_url)


@dataclass(slots=True)
class Handshake:
    """What the server sent on a WebSocket."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        """101, or that of the denial."""
        first = self.messages[0]
        return 101 if first["type"] == "websocket.accept" else int(first["status"])

    @property
    def subprotocol(self) -> str | None:
        value = self.messages[0].get("subprotocol")
        return None if value is None else str(value)

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def error(self) -> dict[str, Any]:
        """Of a denial's envelope."""
        error = orjson.loads(b"".join(message.get("body", b"") for message in self.messages[1:]))["error"]
        assert isinstance(error, dict)
        return error


def websocket_scope(
    path: str = "/v1/realtime",
    *,
    headers: Iterable[tuple[str, str]] = (),
    subprotocols: Iterable[str] = (),
    address: str = "127.0.0.1",
) -> dict[str, Any]:
    offered = list(subprotocols)
    raw = [(b"host", OWN.encode()), *((name.lower().encode(), value.encode()) for name, value in headers)]
    if offered:
        raw.append((b"sec-websocket-protocol", ", ".join(offered).encode()))
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": raw,
        "subprotocols": offered,
        "client": (address, 1234),
        "server": ("127.0.0.1", 8000),
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


async def handshake(
    app: ASGIApp, scope: dict[str, Any], *, then: asyncio.Event | None = None, answered: asyncio.Event | None = None
) -> Handshake:
    """Opens a WebSocket and leaves at once, or when `then` is set. Sets `answered` when the server has answered."""
    seen = Handshake()
    connected = False

    async def receive() -> Message:
        nonlocal connected
        if not connected:
            connected = True
            return {"type": "websocket.connect"}
        if then is not None:
            await then.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        seen.messages.append(message)
        if answered is not None:
            answered.set()

    await app(scope, receive, send)
    return seen
