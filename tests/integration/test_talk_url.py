"""`voice-agent talk --url` as its user sees it: the real command against real servers."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_socket

from tests.conformance.servers import agent
from tests.fake_assembly import FakeAssembly
from voice_agent.api.app import create_app
from voice_agent.api.keys import KeyStore
from voice_agent.api.server import bind, make_server
from voice_agent.api.sessions import SessionRegistry
from voice_agent.api.tls import self_signed
from voice_agent.engines.fakes import FakeLlm, FakeTts
from voice_agent.settings import Settings
from voice_agent.settings.tree import ServerSettings

SAMPLES = Path(__file__).parents[2] / "samples"
NAME, VOICE_AI = SAMPLES / "name.wav", SAMPLES / "voice-ai.wav"

STAGES = ["vad", "stt", "llm", "clause", "tts", "hold", "playout"]


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str

    def turns(self) -> list[dict[str, Any]]:
        assert self.code == 0, self.err
        return self.lines()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Talk:
    """The command, running."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def done(self) -> Done:
        out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return Done(self._process.returncode, out.decode(), err.decode())


@contextlib.asynccontextmanager
async def talking(url: str, *words: str | Path, **environment: str) -> AsyncIterator[Talk]:
    """`voice-agent talk --url`; it has ended when the block has."""
    kept = {name: value for name, value in os.environ.items() if name != "VOICE_AGENT_KEY"}
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("voice-agent"), "talk", "--url", url, *map(str, words),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=kept | environment,
    )  # fmt: skip
    try:
        yield Talk(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def talk(url: str, *words: str | Path, **environment: str) -> Done:
    async with talking(url, *words, **environment) as running:
        return await running.done()


# ---------------------------------------------------------------- with the embedded engines


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with agent(tmp_path_factory.mktemp("server"), LLM_ENGINES="local") as url:
        yield url.replace("http", "ws", 1)


@pytest.mark.engine
@pytest.mark.timeout(120)
class TestConversation:
    async def test_a_spoken_turn_is_reported_as_by_a_session_here(self, server: str) -> None:
        (turn,) = (await talk(server, "--input", NAME, "--json")).turns()

        assert (turn["turn"], turn["reply_id"]) == (1, 1)
        assert "name is" in turn["user_text"]
        assert 0.5 < turn["confidence"] <= 1.0
        assert turn["language"] == "en"
        assert turn["heard_text"] == turn["reply_text"]
        assert turn["engines"]["stt"] == "moonshine (moonshine-tiny-en)"
        assert list(turn["waterfall_ms"]) == STAGES
        assert sum(turn["waterfall_ms"].values()) == pytest.approx(turn["voice_to_voice_ms"], abs=1.0)

    async def test_a_barge_in_cuts_the_reply_at_a_word_and_is_answered(self, server: str, tmp_path: Path) -> None:
        recording = tmp_path / "talk.wav"
        done = await talk(server, "--input", NAME, "--input", VOICE_AI, "--barge-in-after", "0.6", "--output", recording, "--json")
        first, second = done.turns()

        assert first["interrupted"]
        assert first["heard_text"]
        assert first["heard_text"] != first["reply_text"]
        assert first["reply_text"].startswith(first["heard_text"])
        assert "voice" in second["user_text"].lower()

        audio, rate = soundfile.read(recording)
        left, right = (np.abs(audio[:, side]) > 0.02 for side in (0, 1))
        assert left.any()
        assert right.any()
        assert 0 < (left & right).sum() / rate < 1.5  # they talk at once, but not for long

    async def test_a_turn_by_text(self, server: str) -> None:
        (turn,) = (await talk(server, "--text", "What is the capital of France?", "--json")).turns()
        assert turn["user_text"] == "What is the capital of France?"
        assert turn["heard_text"]

    async def test_people_see_what_they_see_of_a_session_here(self, server: str) -> None:
        done = await talk(server, "--input", NAME)
        assert done.code == 0
        assert done.err == ""
        assert [part for part in ("  ... ", "you: ", "confidence", "agent: ", " ms = vad ") if part not in done.out] == []

    async def test_a_voice_that_nobody_has(self, server: str) -> None:
        done = await talk(server, "--text", "hello", "--voice", "nobody")
        assert done.code == 1
        assert "nobody" in done.err
        assert done.err.count("\n") == 1


# ---------------------------------------------------------------- with engines of a script


@contextlib.asynccontextmanager
async def serving(
    settings: ServerSettings, *, keys: KeyStore | None = None, words: int = 3
) -> AsyncIterator[tuple[str, SessionRegistry]]:
    """A server in this process, its address and its sessions. Replies have so many words of 0.3 s."""
    everything = Settings(server=settings)
    assembly = FakeAssembly(everything, llm=FakeLlm(" ".join(["word"] * words) + "."), tts=FakeTts())
    app = create_app(everything, assembly, keys=keys)
    sockets = bind(settings.host, 0)
    running = make_server(app, settings)
    scheme = "wss" if settings.tls_cert is not None else "ws"
    task = asyncio.create_task(running.serve(sockets=sockets))
    try:
        yield f"{scheme}://127.0.0.1:{sockets[0].getsockname()[1]}", app.state.sessions
    finally:
        running.should_exit = True
        await task


class TestServer:
    async def test_a_key(self, tmp_path: Path) -> None:
        keys = KeyStore(tmp_path / "keys.json")
        _, key = await asyncio.to_thread(keys.create, "laptop")
        async with serving(ServerSettings(require_key=True), keys=keys) as (url, _):
            without = await talk(url, "--text", "hi")
            wrong = await talk(url, "--text", "hi", "--key", "va_wrong")
            given = await talk(url, "--text", "hi", "--json", VOICE_AGENT_KEY=key)
        assert (without.code, wrong.code) == (1, 1)
        assert "A key is needed" in without.err
        assert "not valid" in wrong.err
        assert "va_wrong" not in wrong.err
        (turn,) = given.turns()
        assert turn["heard_text"] == "word word word."

    async def test_no_room(self) -> None:
        async with serving(ServerSettings(max_sessions=1), words=60) as (url, sessions), talking(url, "--text", "hi"):
            await begun(sessions)
            refused = await talk(url, "--text", "hi")
        assert refused.code == 1
        assert "no room" in refused.err
        assert "Try again in 5 s" in refused.err

    async def test_what_was_said_is_shown_when_the_server_ends_the_talk(self) -> None:
        async with (
            serving(ServerSettings(), words=60) as (url, sessions),
            talking(url, "--text", "my question", "--json") as running,
        ):
            async with httpx.AsyncClient(base_url=url.replace("ws", "http", 1), trust_env=False) as http:
                session_id = await heard_of(http, sessions)
                await http.delete(f"/api/sessions/{session_id}")
            done = await running.done()
        assert done.code == 1
        assert "The server ended the conversation" in done.err
        (turn,) = done.lines()
        assert turn["user_text"] == "my question"
        assert turn["heard_text"].startswith("word")
        assert len(turn["heard_text"].split()) < 60

    async def test_a_certificate_of_its_own_making(self, tmp_path: Path) -> None:
        certificate = await asyncio.to_thread(self_signed, tmp_path)
        settings = ServerSettings(tls_cert=certificate.cert, tls_key=certificate.key)
        async with serving(settings) as (url, _):
            doubtful = await talk(url, "--text", "hi")
            trusted = await talk(url, "--text", "hi", "--insecure", "--json")
        assert doubtful.code == 1
        assert "--insecure" in doubtful.err
        assert trusted.turns()[0]["heard_text"] == "word word word."


async def begun(sessions: SessionRegistry) -> None:
    for _ in range(2000):
        if len(sessions):
            return
        await asyncio.sleep(0.01)  # another process: there is nothing to wait on


async def heard_of(http: httpx.AsyncClient, sessions: SessionRegistry) -> str:
    """The id of the one session, once some of its reply has been heard."""
    while True:
        for live in sessions:
            read = (await http.get(f"/api/sessions/{live.session_id}")).json()
            if any(item["role"] == "agent" and item["text"] for item in read["transcript"] or ()):
                return live.session_id
        await asyncio.sleep(0.05)  # another process: there is nothing to wait on


# ---------------------------------------------------------------- what is no server of ours


class TestNoServer:
    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("ws://127.0.0.1:9", "nobody listens there"),
            ("ftp://127.0.0.1", "is not the address of a server"),
            ("ws://127.0.0.1:port", "is not the address of a server"),
        ],
    )
    async def test_nothing_to_talk_to(self, url: str, message: str) -> None:
        done = await talk(url, "--text", "hi")
        assert (done.code, done.out) == (1, "")
        assert message in done.err
        assert done.err.count("\n") == 1

    async def test_settings_do_not_reach_a_server(self) -> None:
        done = await talk("ws://127.0.0.1:9", "--text", "hi", "--set", "tts.speed=2")
        assert done.code == 1
        assert "--set does not reach a server" in done.err

    @pytest.mark.parametrize(
        ("frames", "told"),
        [
            (["not json"], "does not speak the Realtime protocol (a frame is no JSON)"),
            (["[]"], "does not speak the Realtime protocol (a frame is no event)"),
            (['{"type": "session.created"}'], "does not speak the Realtime protocol (a session.created event lacks something)"),
            (
                ['{"type": "session.created", "session": {"id": "s"}}', '{"type": "voice_agent.reply", "turn": "first"}'],
                "does not speak the Realtime protocol (a voice_agent.reply event lacks something)",
            ),
            ([], "The server ended the conversation (enough)"),
        ],
    )
    async def test_a_server_that_says_strange_things(self, frames: list[str], told: str) -> None:
        async def strange(socket: ServerConnection) -> None:
            for frame in frames:
                await socket.send(frame)
            if frames:
                await socket.wait_closed()
            await socket.close(1000, "enough")

        async with serve_socket(strange, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            done = await talk(f"ws://127.0.0.1:{port}", "--text", "hi")
        assert done.code == 1
        assert told in done.err
        assert "Traceback" not in done.err

    async def test_a_connection_that_breaks_without_a_word(self) -> None:
        said = [
            {"type": "session.created", "session": {"id": "s"}},
            {"type": "response.created", "response": {"id": "r", "metadata": None}},
            {"type": "response.output_audio_transcript.delta", "delta": "One two three."},
            {"type": "voice_agent.heard", "response_id": "r", "item_id": "i", "text": "One two", "words": []},
        ]

        async def broken(socket: ServerConnection) -> None:
            async for frame in socket:
                if json.loads(frame)["type"] == "response.create":
                    for event in said[1:]:
                        await socket.send(json.dumps(event))
                    socket.transport.abort()

        async def greeting(socket: ServerConnection) -> None:
            await socket.send(json.dumps(said[0]))
            await broken(socket)

        async with serve_socket(greeting, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            done = await talk(f"ws://127.0.0.1:{port}", "--text", "my question", "--json")
        assert done.code == 1
        assert "connection to the server was lost" in done.err
        (turn,) = done.lines()
        assert (turn["user_text"], turn["reply_text"], turn["heard_text"]) == ("my question", "One two three.", "One two")
        assert turn["failed"] == "transport.lost"
