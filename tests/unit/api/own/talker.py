"""A client of the realtime socket without a network: frames in, frames out, on the app itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from starlette.types import ASGIApp, Message

from tests.unit.api.asgi import websocket_scope


class Talker:
    def __init__(self) -> None:
        self.closed: Message | None = None
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def send(self, **event: Any) -> None:
        self._outgoing.put_nowait({"type": "websocket.receive", "text": orjson.dumps(event).decode()})

    def ask(self, text: str) -> None:
        """A turn by text."""
        content = [{"type": "input_text", "text": text}]
        self.send(type="conversation.item.create", item={"type": "message", "role": "user", "content": content})
        self.send(type="response.create", response={"output_modalities": ["text"]})

    def leave(self) -> None:
        self._outgoing.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def until(self, kind: str) -> dict[str, Any]:
        """The next event of this type; others before it are skipped."""
        while True:
            event = await self._incoming.get()
            if event["type"] == kind:
                return event

    async def run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        connected = False

        async def receive() -> Message:
            nonlocal connected
            if not connected:
                connected = True
                return {"type": "websocket.connect"}
            return await self._outgoing.get()

        async def send(message: Message) -> None:
            if message["type"] == "websocket.send":
                self._incoming.put_nowait(orjson.loads(message["text"]))
            elif message["type"] == "websocket.close":
                self.closed = message

        await app(scope, receive, send)


async def happens(condition: Callable[[], bool]) -> None:
    """Lets everything else run until it is so."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not happen")


@contextlib.asynccontextmanager
async def talking(app: ASGIApp, *, address: str = "127.0.0.1", key: str = "") -> AsyncIterator[tuple[Talker, str]]:
    """A client with its session's id; it leaves when the block ends."""
    talker = Talker()
    headers = [("authorization", f"Bearer {key}")] if key else []
    task = asyncio.create_task(talker.run(app, websocket_scope(headers=headers, address=address)))
    try:
        created = await talker.until("session.created")
        yield talker, created["session"]["id"]
    finally:
        talker.leave()
        await task
