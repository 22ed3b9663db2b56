"""`POST /v1/audio/speech` with an engine that speaks a tone, 0.3 s a word."""

import asyncio
import base64
import io
from collections.abc import AsyncGenerator
from typing import Any, get_args

import av
import httpx
import numpy as np
import orjson
import pytest
from fastapi import FastAPI

from tests.fake_assembly import FakeAssembly
from tests.unit.api.asgi import http
from tests.unit.api.slow_client import Exchange
from voice_agent.api.app import create_app
from voice_agent.api.speaking import RATE, Speech, clauses
from voice_agent.audio.encoding import CONTENT_TYPES, AudioFormat
from voice_agent.engines.base import SpeechChunk, SpeechRequest, Unavailable
from voice_agent.engines.fakes import FakeTts
from voice_agent.errors import EngineFailed
from voice_agent.settings import Settings
from voice_agent.settings.tree import TtsSettings

FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
THREE_CLAUSES = "First one here. Second one comes now. Third one is last."


class StepTts(FakeTts):
    """Speaks a clause only when it is told to. `closed` counts clauses that were stopped."""

    def __init__(self, *, rates: tuple[int, ...] = (24_000,)) -> None:
        super().__init__()
        self.asked: list[SpeechRequest] = []
        self.steps = asyncio.Semaphore(0)
        self.waiting = asyncio.Event()
        self.closed = 0
        self.stopped = asyncio.Event()
        self.fails_at: int | None = None
        self._rates = rates

    async def speak(self, request: SpeechRequest, *, session: str) -> AsyncGenerator[SpeechChunk, None]:
        self.asked.append(request)
        number = len(self.asked)
        try:
            self.waiting.set()
            await self.steps.acquire()
            if number == self.fails_at:
                raise EngineFailed("The voice broke", engine=self.name)
            rate = self._rates[(number - 1) % len(self._rates)]
            yield SpeechChunk(pcm=np.full(rate, 1000, dtype=np.int16), sample_rate=rate)
        except (asyncio.CancelledError, GeneratorExit):
            self.closed += 1
            self.stopped.set()
            raise


def app_of(tts: FakeTts | None = None, **settings: Any) -> FastAPI:
    return create_app(Settings(tts=TtsSettings(**settings)), FakeAssembly(tts=tts))


async def post(app: FastAPI, **body: Any) -> httpx.Response:
    async with http(app) as client:
        return await client.post("/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", **body})


def decoded(data: bytes) -> np.ndarray[Any, np.dtype[np.int16]]:
    with av.open(io.BytesIO(data), "r") as file:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        return np.concatenate([part.to_ndarray()[0] for frame in file.decode(audio=0) for part in resampler.resample(frame)])


# ---------------------------------------------------------------- formats


@pytest.mark.parametrize("audio_format", FORMATS)
async def test_every_format_holds_all_that_was_said(audio_format: AudioFormat) -> None:
    answer = await post(app_of(), input="One two three four. Five six seven eight nine ten.", response_format=audio_format)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == CONTENT_TYPES[audio_format]
    pcm = np.frombuffer(answer.content, "<i2") if audio_format == "pcm" else decoded(answer.content)
    assert pcm.size / RATE == pytest.approx(10 * 0.3, abs=0.12)


async def test_mp3_is_what_nobody_asks_for() -> None:
    answer = await post(app_of(), input="Hello")
    assert answer.headers["content-type"] == "audio/mpeg"


async def test_events() -> None:
    answer = await post(app_of(), input="One two three", response_format="pcm", stream_format="sse")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [orjson.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    assert [event["type"] for event in events] == ["speech.audio.delta"] * 3 + ["speech.audio.done"]
    audio = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert len(audio) == round(0.9 * RATE) * 2
    assert events[-1]["usage"] == {"input_tokens": 4, "output_tokens": 18, "total_tokens": 22}


async def test_every_rate_of_an_engine_becomes_24_khz() -> None:
    """Also where it changes on the way, because another engine took over."""
    tts = StepTts(rates=(22_050, 16_000, 24_000))
    for _ in range(3):
        tts.steps.release()
    speech = Speech(tts, SpeechRequest(text=THREE_CLAUSES), session="s")
    pcm = np.concatenate([block async for block in speech.pcm()])
    assert pcm.size == speech.samples == pytest.approx(3 * RATE, abs=50)
    assert np.abs(pcm[100:-100].astype(int) - 1000).max() < 500, "a gap where the rate changes"


@pytest.mark.parametrize("text", ["…", "🙂", " ", "\n\n"])
@pytest.mark.parametrize("audio_format", FORMATS)
async def test_a_text_with_nothing_to_say_is_a_moment_of_silence(text: str, audio_format: AudioFormat) -> None:
    answer = await post(app_of(), input=text, response_format=audio_format)
    assert answer.status_code == 200
    pcm = np.frombuffer(answer.content, "<i2") if audio_format == "pcm" else decoded(answer.content)
    assert 0.05 < pcm.size / RATE < 0.3
    assert np.abs(pcm).max() < 30


# ---------------------------------------------------------------- what is asked of the engine


async def test_the_text_goes_clause_by_clause() -> None:
    tts = FakeTts()
    await post(app_of(tts), input=THREE_CLAUSES)
    assert tts.spoken == clauses(THREE_CLAUSES)
    assert len(tts.spoken) == 3


@pytest.mark.parametrize(("asked", "spoken"), [(0.25, 0.5), (1.0, 1.0), (1.7, 1.7), (4.0, 2.0)])
async def test_speed_beyond_what_is_understood_is_told(asked: float, spoken: float) -> None:
    answer = await post(app_of(), input="One two", speed=asked, response_format="pcm")
    assert float(answer.headers["voice-agent-speed"]) == spoken
    assert len(answer.content) / 2 / RATE == pytest.approx(0.6 / spoken, abs=0.01)


@pytest.mark.parametrize(
    ("voice", "expected"), [("other", "other"), ({"id": "other"}, "other"), ("alloy", None), (None, "tone"), ("NOVA", None)]
)
async def test_voices(voice: Any, expected: str | None) -> None:
    tts = StepTts()
    tts.steps.release()
    await post(app_of(tts, voice="tone", language="en"), input="Hello", voice=voice, instructions="Whisper.", what_is_new=[1])
    assert [request.voice for request in tts.asked] == [expected]


@pytest.mark.parametrize("model", ["tone", "fake", "gpt-4o-mini-tts"])
async def test_any_model_speaks(model: str) -> None:
    assert (await post(app_of(), input="Hello", model=model)).status_code == 200


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"input": 7}, "input"),
        ({}, "input"),
        ({"input": "Hello", "speed": 0.2}, "speed"),
        ({"input": "Hello", "speed": 4.1}, "speed"),
        ({"input": "Hello", "speed": "fast"}, "speed"),
        ({"input": "Hello", "response_format": "midi"}, "response_format"),
        ({"input": "Hello", "stream_format": "video"}, "stream_format"),
        ({"input": "Hello", "model": ""}, "model"),
    ],
)
async def test_what_is_known_is_checked(body: dict[str, Any], param: str) -> None:
    answer = await post(app_of(), **body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


async def test_an_unknown_voice_is_refused_with_the_list() -> None:
    answer = await post(app_of(), input="Hello", voice="bob")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("tts.unknown_voice", "voice")
    assert "tone, other" in error["message"]


@pytest.mark.parametrize(
    "content", [b'{"input": "\\ud800", "voice": "alloy"}', b'{"input": "x", "speed": NaN}', b"{", b"[]", b"\xff"]
)
async def test_a_body_that_cannot_be(content: bytes) -> None:
    async with http(app_of()) as client:
        answer = await client.post("/v1/audio/speech", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_no_engine_is_ready() -> None:
    assembly = FakeAssembly()
    assembly.engine_states["tts"] = Unavailable(reason="its weights are not here", remedy="voice-agent models fetch kokoro-82m")
    answer = await post(create_app(Settings(), assembly), input="Hello")
    assert answer.status_code == 503
    assert "models fetch" in answer.json()["error"]["message"]


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
async def test_an_engine_that_fails_at_once_has_a_status(stream_format: str) -> None:
    answer = await post(
        app_of(FakeTts(fail=EngineFailed("The voice broke", engine="fake"))), input="Hello", stream_format=stream_format
    )
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "engine.failed"


# ---------------------------------------------------------------- while it is made


async def test_the_first_bytes_leave_after_the_first_clause() -> None:
    tts = StepTts()
    exchange = Exchange({"input": THREE_CLAUSES, "response_format": "pcm"})
    async with asyncio.TaskGroup() as group:
        group.create_task(exchange.run(app_of(tts)))
        tts.steps.release()
        await exchange.piece.wait()
        assert (len(exchange.data), exchange.complete) == (2 * RATE, False)
        tts.steps.release()
        tts.steps.release()
    assert (len(exchange.data), exchange.complete) == (3 * 2 * RATE, True)


@pytest.mark.parametrize("audio_format", ["pcm", "mp3"])
@pytest.mark.parametrize("clauses_heard", [0, 1])
async def test_a_client_that_goes_stops_the_synthesis(audio_format: str, clauses_heard: int) -> None:
    tts = StepTts()
    exchange = Exchange({"input": THREE_CLAUSES, "response_format": audio_format})
    async with asyncio.TaskGroup() as group, asyncio.timeout(5):
        running = group.create_task(exchange.run(app_of(tts)))
        if clauses_heard:
            tts.steps.release()
            await exchange.piece.wait()
        while len(tts.asked) <= clauses_heard:
            tts.waiting.clear()
            await tts.waiting.wait()
        exchange.goes.set()
        await running
    assert tts.closed == 1
    assert len(tts.asked) == clauses_heard + 1
    assert exchange.complete is (clauses_heard == 0)  # a 499 that nobody reads


async def test_a_failure_in_the_middle_breaks_the_audio_off() -> None:
    tts = StepTts()
    tts.fails_at = 2
    for _ in range(3):
        tts.steps.release()
    exchange = Exchange({"input": THREE_CLAUSES, "response_format": "pcm"})
    await exchange.run(app_of(tts))
    assert exchange.status == 200
    assert not exchange.complete
    assert len(tts.asked) == 2


async def test_a_failure_in_the_middle_is_an_event() -> None:
    tts = StepTts()
    tts.fails_at = 2
    for _ in range(3):
        tts.steps.release()
    exchange = Exchange({"input": THREE_CLAUSES, "response_format": "pcm", "stream_format": "sse"})
    await exchange.run(app_of(tts))
    assert exchange.complete
    last = orjson.loads(exchange.data.strip().split(b"\n\n")[-1].removeprefix(b"data: "))
    assert (last["type"], last["error"]["code"]) == ("error", "engine.failed")


async def test_the_page_tells_every_content_type() -> None:
    async with http(app_of()) as client:
        page = (await client.get("/openapi.json")).json()
    content = page["paths"]["/v1/audio/speech"]["post"]["responses"]["200"]["content"]
    assert set(content) == {*CONTENT_TYPES.values(), "text/event-stream"}
