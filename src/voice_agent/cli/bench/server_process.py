"""The server of `bench server`, in a process of its own, and what can only be measured inside it.

Run by `server_child.py`. Prints one JSON line when it listens, {"port", "loop", "engines"}, then for every line on its standard
input one with what it measured since the last: {"lag_ms", "audio_ms"}. Ends when its standard input does, so it cannot outlive
the bench.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_agent.api.app import create_app
from voice_agent.api.server import Server, bind, loop_factory, make_server
from voice_agent.cli.bench.server_stubs import StubAssembly, StubTts
from voice_agent.cli.output import print_json
from voice_agent.settings import load_settings

TICK_S: Final = 0.010
"""How often the event loop's lag is measured."""

HOST: Final = "127.0.0.1"


class LagWatch:
    """How late the loop wakes, in ms, every `TICK_S`."""

    def __init__(self) -> None:
        self._lags: list[float] = []

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            self._lags.append(max(0.0, time.perf_counter() - due) * 1000.0)

    def take(self) -> list[float]:
        taken, self._lags = self._lags, []
        return taken


class FirstAudio:
    """Around the app: from a reply's first audio leaving the synthesiser to its frame in the socket, in ms."""

    def __init__(self, app: ASGIApp, tts: StubTts) -> None:
        self._app = app
        self._tts = tts
        self._delays: list[float] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        session = ""

        async def watched(message: Message) -> None:
            nonlocal session
            await send(message)
            head = (message.get("text") or "")[:200]
            if '"response.output_audio.delta"' in head:
                self._left(session)
            elif not session and '"session.created"' in head:
                session = _session_id(message["text"])

        await self._app(scope, receive, watched)

    def _left(self, session: str) -> None:
        made_at = self._tts.take(session)
        if made_at is not None:
            self._delays.append((time.perf_counter() - made_at) * 1000.0)

    def take(self) -> list[float]:
        taken, self._delays = self._delays, []
        return taken


def _session_id(created: str) -> str:
    import orjson

    return str(orjson.loads(created)["session"]["id"])


async def _serve(max_sessions: int) -> None:
    settings = load_settings({"server.max_sessions": max_sessions, "server.host": HOST}, env={}, dotenv=None).values
    assembly = StubAssembly(settings)
    sockets = bind(HOST, 0)
    app = create_app(settings, assembly)
    lag, audio = LagWatch(), FirstAudio(app, assembly.stub_tts)
    server = make_server(app, settings.server, own_process=True)
    server.config.loaded_app = audio  # outside of everything that is the server's own
    try:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(lag.run())
            group.create_task(_answer(server, lag, audio, port=sockets[0].getsockname()[1]))
            await server.serve(sockets=sockets)
            watching.cancel()
    finally:
        for sock in sockets:
            sock.close()


async def _answer(server: Server, lag: LagWatch, audio: FirstAudio, *, port: int) -> None:
    """Its sockets listen already: clients may come while it starts."""
    print_json({"port": port, "loop": type(asyncio.get_running_loop()).__module__})
    async with _standard_input() as lines:
        while await lines.readline():
            print_json({"lag_ms": lag.take(), "audio_ms": audio.take()})
    server.should_exit = True


@contextlib.asynccontextmanager
async def _standard_input() -> AsyncIterator[asyncio.StreamReader]:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        yield reader
    finally:
        transport.close()


def main() -> None:
    """The argument is the number of sessions that must find room."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(int(sys.argv[1])))
