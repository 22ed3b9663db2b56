"""A language-model server for tests: real HTTP on the loopback, streams scripted chat completions, faults included.

It is to `GroqLlm` and `OpenAiCompatibleLlm` what `FakeLlm` is to a session.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one request gets. With `body`, that and nothing else; otherwise a stream of `events`, the text of each `data:` line.

    `then`, after the last event: "end" finishes properly, "cut" breaks the connection, "hang" stays silent until the client goes.
    With "drop" the connection is closed without a byte, as happens to one that was idle too long.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    events: Sequence[str] = ()
    then: Literal["end", "cut", "hang", "drop"] = "end"


def chunk(delta: Mapping[str, Any], *, finish: str | None = None) -> str:
    """One event that carries a choice."""
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "scripted",
            "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish}],
        }
    )


def usage(prompt: int, completion: int, *, cached: int = 0) -> str:
    """The event that comes last with `include_usage`."""
    counts = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    return json.dumps(
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "scripted", "choices": [], "usage": counts}
    )


def speaks(text: str, *, finish: str = "stop") -> Reply:
    """A whole answer, a word an event."""
    words = text.split()
    pieces = [word if place == 0 else " " + word for place, word in enumerate(words)]
    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": piece}) for piece in pieces]
    return Reply(events=(*events, chunk({}, finish=finish), usage(12, len(words)), "[DONE]"))


def refuses(status: int, *, code: str = "", message: str = "No.", headers: Mapping[str, str] | None = None) -> Reply:
    """An error answer in OpenAI's form."""
    body = {"error": {"message": message, "type": code or None, "code": code or None}}
    return Reply(status=status, headers=headers or {}, body=json.dumps(body).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    json: Any


class FakeChatServer:
    """Answers the n-th chat request with the n-th reply, and with the last one from then on; or each with what a function makes
    of it. Use as `async with`.

    `received` holds every request. `asked` is set when a chat request has come, `left` when a client closes its connection
    before its answer has ended.
    """

    def __init__(self, replies: Iterable[Reply] | Callable[[Received], Reply]) -> None:
        self._replies = replies if callable(replies) else list(replies)
        self._chats = 0
        self.received: list[Received] = []
        self.connections = 0
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self._handlers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> "FakeChatServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for handler in tuple(self._handlers):
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def chats(self) -> list[Received]:
        return [request for request in self.received if request.path.endswith("/chat/completions")]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.connections += 1
        try:
            while (request := await _read_request(reader)) is not None:
                self.received.append(request)
                if not await self._answer(request, reader, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        except asyncio.CancelledError:
            return  # this server is being closed; the streams module would report a cancelled handler as an error
        finally:
            self._handlers.discard(task)
            writer.transport.abort()

    def _reply_to(self, request: Received) -> Reply:
        place, self._chats = self._chats, self._chats + 1
        return self._replies(request) if callable(self._replies) else self._replies[min(place, len(self._replies) - 1)]

    async def _answer(self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays open."""
        if not request.path.endswith("/chat/completions"):
            await _send_body(writer, 200, {}, b'{"object": "list", "data": []}')
            return True
        reply = self._reply_to(request)
        self.asked.set()
        if reply.body is not None:
            await _send_body(writer, reply.status, reply.headers, reply.body)
            return True
        if reply.then == "drop":
            return False
        await _send_events(writer, reply)
        if reply.then == "hang" and not await reader.read(1):
            self.left.set()
        if reply.then == "end":
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        return reply.then == "end"


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    """None when the client has closed the connection between two requests."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = head[0].split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method=method, path=path, headers=headers, json=json.loads(body) if body else None)


async def _send_body(writer: asyncio.StreamWriter, status: int, headers: Mapping[str, str], body: bytes) -> None:
    everything = {"content-type": "application/json", **headers, "content-length": str(len(body))}
    writer.write(_head(status, everything) + body)
    await writer.drain()


async def _send_events(writer: asyncio.StreamWriter, reply: Reply) -> None:
    writer.write(_head(reply.status, {"content-type": "text/event-stream", **reply.headers, "transfer-encoding": "chunked"}))
    for event in reply.events:
        line = f"data: {event}\n\n".encode()
        writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        await writer.drain()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
