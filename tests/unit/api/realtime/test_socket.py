"""The WebSocket itself: who reads too slowly, who goes, what ends with it."""

import asyncio
import json
from typing import Any

from starlette.types import Message

from tests.fake_assembly import fake_assembly
from tests.unit.api.asgi import websocket_scope
from voice_agent.api.app import create_app
from voice_agent.settings import Settings

TEXT = "x" * 90_000


class Client:
    """Sends what it is given; reads until it is told to stop reading."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.close: Message | None = None
        self.reads = True
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self._outgoing.put_nowait({"type": "websocket.connect"})

    def send(self, kind: str, **fields: Any) -> None:
        self._outgoing.put_nowait({"type": "websocket.receive", "text": json.dumps({"type": kind, **fields})})

    def leave(self) -> None:
        self._outgoing.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def receive(self) -> Message:
        return await self._outgoing.get()

    async def answer(self, message: Message) -> None:
        if message["type"] == "websocket.close":
            self.close = message
        elif message["type"] == "websocket.send":
            if not self.reads:
                await asyncio.Event().wait()
            self.seen.append(json.loads(message["text"]))

    async def until(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(5.0):
            while True:
                for event in self.seen:
                    if event["type"] == kind:
                        return event
                await asyncio.sleep(0.01)


def _item() -> dict[str, Any]:
    return {"id": "mine", "type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}


async def test_a_client_that_does_not_read_is_closed_with_a_reason() -> None:
    assembly = fake_assembly()
    app, client = create_app(Settings(), assembly), Client()
    serving = asyncio.ensure_future(app(websocket_scope(), client.receive, client.answer))
    await client.until("session.created")
    client.send("conversation.item.create", item=_item())
    await client.until("conversation.item.done")
    client.reads = False
    for _ in range(80):  # 7 MB
        client.send("conversation.item.retrieve", item_id="mine")
    async with asyncio.timeout(10.0):
        await serving
    assert client.close is not None
    assert client.close["code"] == 1013
    await assembly.aclose()


async def test_frames_of_any_kind_and_a_client_that_goes() -> None:
    assembly = fake_assembly()
    app, client = create_app(Settings(), assembly), Client()
    serving = asyncio.ensure_future(app(websocket_scope(), client.receive, client.answer))
    await client.until("session.created")
    client._outgoing.put_nowait({"type": "websocket.receive", "bytes": b"\xff\x00"})
    client._outgoing.put_nowait({"type": "websocket.receive", "text": ""})
    client.send("session.update", session={"instructions": "Be brief."})
    updated = await client.until("session.updated")
    assert updated["session"]["instructions"] == "Be brief."
    assert [event["error"]["code"] for event in client.seen if event["type"] == "error"] == ["invalid_json"] * 2
    client.leave()
    async with asyncio.timeout(5.0):
        await serving
    await assembly.aclose()
