"""A client on an ASGI app that sees what was sent when, and may go at any moment."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import ASGIApp, Message


@dataclass(slots=True)
class Exchange:
    """One POST of JSON. `piece` is set when the first bytes of the body have come, `goes` makes the client go."""

    body: Any
    path: str = "/v1/audio/speech"
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    messages: list[Message] = field(default_factory=list)
    piece: asyncio.Event = field(default_factory=asyncio.Event)
    goes: asyncio.Event = field(default_factory=asyncio.Event)
    _asked: bool = False

    @property
    def status(self) -> int | None:
        return int(self.messages[0]["status"]) if self.messages else None

    @property
    def data(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def complete(self) -> bool:
        """Whether the answer was brought to its end."""
        return bool(self.messages) and not self.messages[-1].get("more_body", False) and len(self.messages) > 1

    async def run(self, app: ASGIApp) -> None:
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1:8000"), *((name.encode(), value.encode()) for name, value in self.headers)],
            "client": ("127.0.0.1", 1234),
            "server": ("127.0.0.1", 8000),
            "state": {},
        }
        await app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            data = self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)
            return {"type": "http.request", "body": data, "more_body": False}
        await self.goes.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.messages.append(message)
        if message.get("body"):
            self.piece.set()
