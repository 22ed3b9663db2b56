"""What a connection may send before any route sees it, over a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from uvicorn.server import ServerState

from tests.fake_assembly import fake_assembly
from voice_agent.api import http_protocol
from voice_agent.api.app import create_app
from voice_agent.api.http_protocol import MAX_HEAD, MAX_MESSAGE, BoundedHttpProtocol
from voice_agent.api.keys import KeyStore
from voice_agent.api.server import bind, make_server
from voice_agent.errors import SettingsError
from voice_agent.settings import Settings
from voice_agent.settings.tree import ServerSettings

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def config(tmp_path: Path) -> uvicorn.Config:
    settings = Settings(server=ServerSettings(max_sessions=1))
    return make_server(create_app(settings, fake_assembly(), keys=KeyStore(tmp_path / "keys.json")), settings.server).config


@contextlib.asynccontextmanager
async def connected(config: uvicorn.Config) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    loop = asyncio.get_running_loop()
    state = ServerState()
    server = await loop.create_server(
        lambda: BoundedHttpProtocol(config=config, server_state=state, app_state={}, _loop=loop), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        server.close()
        await server.wait_closed()


async def _sent_until_refused(writer: asyncio.StreamWriter, piece: bytes, most: int) -> int:
    """Bytes that were sent before the server closed."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < most:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
    return sent


async def test_requests_pass_one_after_the_other(config: uvicorn.Config) -> None:
    async with connected(config) as (reader, writer):
        for _ in range(3):
            writer.write(GET + b"X: " + b"a" * (MAX_HEAD // 2) + b"\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(18) == b'{"status":"alive"}'


async def test_a_head_without_end_is_refused(config: uvicorn.Config) -> None:
    async with connected(config) as (reader, writer):
        writer.write(GET + b"X: ")
        sent = await _sent_until_refused(writer, b"a" * 65_536, 50_000_000)
        assert sent < 50_000_000
        with contextlib.suppress(ConnectionError):  # the rest of what was sent makes the kernel say so
            assert (await reader.read(20)).startswith(b"HTTP/1.1 431")


async def test_a_head_that_does_not_come_is_given_up(config: uvicorn.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_PATIENCE_S", 0.05)
    async with connected(config) as (reader, writer):
        writer.write(GET)
        assert (await reader.read()).startswith(b"HTTP/1.1 408")
    async with connected(config) as (reader, _):
        assert (await reader.read()).startswith(b"HTTP/1.1 408")


async def test_trailers_without_end_are_refused(config: uvicorn.Config) -> None:
    async with connected(config) as (_, writer):
        writer.write(b"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ")
        most = MAX_MESSAGE + 50_000_000
        assert await _sent_until_refused(writer, b"a" * 1_000_000, most) < most


class TestBinding:
    def test_a_free_port(self) -> None:
        sockets = bind("127.0.0.1", 0)
        assert sockets[0].getsockname()[1] > 0
        for sock in sockets:
            sock.close()

    def test_a_name_that_stands_for_two_addresses_has_one_port(self) -> None:
        sockets = bind("localhost", 0)
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        for sock in sockets:
            sock.close()

    def test_a_port_that_is_taken(self) -> None:
        (taken,) = bind("127.0.0.1", 0)
        with pytest.raises(SettingsError, match="is taken"):
            bind("127.0.0.1", taken.getsockname()[1])
        taken.close()

    def test_a_certificate_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "cert.pem").write_text("nothing")
        server = ServerSettings(tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "cert.pem", max_sessions=1)
        with pytest.raises(SettingsError, match="certificate"):
            make_server(create_app(Settings(server=server), fake_assembly()), server)
