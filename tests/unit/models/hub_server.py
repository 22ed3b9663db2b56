"""A model hub on this machine: answers as the real one does, and misbehaves as it is told."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Request:
    path: str
    headers: dict[str, str]


@dataclass
class HubServer:
    """`files` maps a request path to its content. Each knob is for the next requests; lists are used up one by one."""

    files: dict[str, bytes] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    """Answers before the file itself is given."""
    cut_after: list[int] = field(default_factory=list)
    """Bytes of the body after which the connection breaks."""
    ignore_range: bool = False
    etag: Callable[[bytes], str] = lambda content: f'"{hashlib.md5(content).hexdigest()}"'
    linked_etag: Callable[[bytes], str] | None = lambda content: f'"{hashlib.sha256(content).hexdigest()}"'
    storage_url: str = ""
    """When set, requests for files are redirected there, as hubs do for large ones."""
    gate: asyncio.Event | None = None
    """When set, half of a body is sent, then the gate is waited for."""
    silent: bool = False
    """Takes connections and requests, and never answers."""
    extra_headers: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    half_sent: asyncio.Event = field(default_factory=asyncio.Event)
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ranges(self) -> list[str]:
        return [request.headers.get("range", "") for request in self.requests]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HubServer"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            if self.gate is not None:
                self.gate.set()
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read_request(reader)
            if request is not None:
                self.requests.append(request)
                if self.silent:
                    await reader.read()  # until the other side gives up
                    return
                await self._answer(request, writer)
        except ConnectionError:
            self.disconnected.set()
        finally:
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        content = self.files.get(request.path)
        if self.statuses:
            return _head(writer, self.statuses.pop(0), self.extra_headers)
        if content is None:
            return _head(writer, 404)
        if self.storage_url:
            linked = {"X-Linked-Etag": self.linked_etag(content)} if self.linked_etag else {}
            return _head(writer, 302, {"Location": f"{self.storage_url}{request.path}", **linked})
        headers = {"ETag": self.etag(content)}
        if self.linked_etag:
            headers["X-Linked-Etag"] = self.linked_etag(content)
        start = 0
        wanted = request.headers.get("range", "")
        if wanted and not self.ignore_range and request.headers.get("if-range", headers["ETag"]) == headers["ETag"]:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        _head(writer, 206 if start else 200, {**headers, "Content-Length": str(len(body))})
        await self._send(body, writer)
        return None

    async def _send(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        if self.cut_after:
            writer.write(body[: self.cut_after.pop(0)])
            await writer.drain()
            return
        if self.gate is not None:
            writer.write(body[: len(body) // 2])
            await writer.drain()
            self.half_sent.set()
            await self.gate.wait()
            body = body[len(body) // 2 :]
        writer.write(body)
        await writer.drain()


def _head(writer: asyncio.StreamWriter, status: int, headers: dict[str, str] | None = None) -> None:
    lines = [f"HTTP/1.1 {status} Said", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if status not in (200, 206):
        lines.append("Content-Length: 0")
    writer.write("\r\n".join([*lines, "", ""]).encode())


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return Request(first.split(" ")[1], headers)
