"""The audio routes over a real socket, driven by OpenAI's own client; at the end with the embedded engines."""

import asyncio
import base64
import io
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import av
import httpx
import jiwer
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.audio import TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent
from openai.types.audio.transcription import UsageDuration

from tests.conformance.servers import agent
from tests.fake_assembly import FakeAssembly
from tests.local_server import serving
from tests.spoken import AUDIO, clips, plain
from tests.unit.api.test_speech import THREE_CLAUSES, StepTts
from tests.unit.api.test_transcriptions import BYE, HELLO, wav
from voice_agent.api.app import create_app
from voice_agent.engines.fakes import FakeStt
from voice_agent.errors import EngineFailed
from voice_agent.settings import Settings

RATE = 24_000


def client_of(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=openai.DefaultAsyncHttpxClient(trust_env=False)
    )


@pytest.fixture
def assembly() -> FakeAssembly:
    return FakeAssembly(stt=FakeStt([HELLO, BYE] * 3))


@pytest.fixture
async def client(assembly: FakeAssembly) -> AsyncIterator[AsyncOpenAI]:
    async with serving(create_app(Settings(), assembly)) as url, client_of(url) as client:
        yield client


def seconds(data: bytes) -> float:
    with av.open(io.BytesIO(data), "r") as file:
        return sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))


# ---------------------------------------------------------------- speech


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "aac", "flac", "wav"])
async def test_speech_in_every_format(client: AsyncOpenAI, audio_format: Any) -> None:
    answer = await client.audio.speech.create(model="tts-1", voice="alloy", input=THREE_CLAUSES, response_format=audio_format)
    assert seconds(answer.content) == pytest.approx(11 * 0.3, abs=0.15)


async def test_speech_as_it_is_made(client: AsyncOpenAI) -> None:
    pieces: list[bytes] = []
    async with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts",
        voice={"id": "other"},
        input=THREE_CLAUSES,
        response_format="pcm",
        speed=1.5,
        instructions="Whisper.",
    ) as answer:
        assert answer.headers["content-type"] == "audio/pcm"
        assert "content-length" not in answer.headers
        pieces += [piece async for piece in answer.iter_bytes()]
    assert len(b"".join(pieces)) / 2 / RATE == pytest.approx(11 * 0.2, abs=0.01)


async def test_speech_as_events(client: AsyncOpenAI) -> None:
    """As LiveKit's plug-in reads them."""
    answer = await client.audio.speech.create(
        model="tts-1", voice="nova", input="One two", response_format="pcm", stream_format="sse"
    )
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    audio = b"".join(base64.b64decode(piece) for piece in re.findall(r'"audio":"([^"]+)"', "".join(events)))
    assert len(audio) / 2 / RATE == pytest.approx(0.6)
    assert '"speech.audio.done"' in events[-1]


async def test_errors_are_the_clients_own_kinds(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="Unknown voice 'bob'") as caught:
        await client.audio.speech.create(model="tts-1", voice="bob", input="Hello")
    assert (caught.value.code, caught.value.param) == ("tts.unknown_voice", "voice")
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-9")
    with pytest.raises(openai.BadRequestError, match="cannot be read as sound"):
        await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"this is not sound"))


async def test_a_client_that_hangs_up_stops_the_synthesis() -> None:
    tts = StepTts()
    async with serving(create_app(Settings(), FakeAssembly(tts=tts))) as url, httpx.AsyncClient(trust_env=False) as http:
        body = {"input": THREE_CLAUSES, "response_format": "pcm"}
        tts.steps.release()
        async with http.stream("POST", f"{url}/v1/audio/speech", json=body) as answer:
            first = await anext(answer.aiter_bytes())
            assert first
            while len(tts.asked) < 2:
                tts.waiting.clear()
                await tts.waiting.wait()
        async with asyncio.timeout(5):
            await tts.stopped.wait()
    assert len(tts.asked) == 2


async def test_audio_that_fails_on_the_way_is_seen_to_be_incomplete() -> None:
    tts = StepTts()
    tts.fails_at = 2
    for _ in range(3):
        tts.steps.release()
    async with serving(create_app(Settings(), FakeAssembly(tts=tts))) as url, client_of(url) as client:
        with pytest.raises((httpx.RemoteProtocolError, openai.APIConnectionError)):
            await client.audio.speech.create(model="tts-1", voice="alloy", input=THREE_CLAUSES, response_format="pcm")


# ---------------------------------------------------------------- transcriptions


async def test_transcriptions_in_every_format(client: AsyncOpenAI) -> None:
    file = ("talk.wav", wav())
    text = f"{HELLO} {BYE}"
    found = await client.audio.transcriptions.create(model="whisper-1", file=file)
    assert found.text == text
    assert found.usage == UsageDuration(type="duration", seconds=9.0)
    assert await client.audio.transcriptions.create(model="whisper-1", file=file, response_format="text") == f"{text}\n"
    verbose = await client.audio.transcriptions.create(
        model="whisper-1", file=file, response_format="verbose_json", timestamp_granularities=["word", "segment"], language="en"
    )
    assert (verbose.text, verbose.duration, verbose.language) == (text, 9.0, "en")
    assert verbose.segments is not None
    assert [segment.text for segment in verbose.segments] == [HELLO, BYE]
    assert verbose.words is not None
    assert " ".join(word.word for word in verbose.words) == text


async def test_subtitles(client: AsyncOpenAI) -> None:
    srt = await client.audio.transcriptions.create(model="whisper-1", file=("talk.wav", wav()), response_format="srt")
    assert srt.startswith("1\n00:00:0")
    vtt = await client.audio.transcriptions.create(model="whisper-1", file=("talk.wav", wav()), response_format="vtt")
    assert vtt.startswith("WEBVTT\n")


async def test_a_transcription_as_it_is_made(client: AsyncOpenAI) -> None:
    stream = await client.audio.transcriptions.create(
        model="gpt-4o-transcribe", file=("talk.wav", wav()), stream=True, chunking_strategy="auto"
    )
    events = [event async for event in stream]
    assert [type(event) for event in events] == [TranscriptionTextDeltaEvent] * 2 + [TranscriptionTextDoneEvent]
    assert isinstance(events[-1], TranscriptionTextDoneEvent)
    assert events[-1].text == f"{HELLO} {BYE}"
    assert events[-1].usage is not None


async def test_a_transcription_that_fails_on_the_way_is_an_error_of_the_client() -> None:
    assembly = FakeAssembly(stt=FakeStt([HELLO, EngineFailed("It broke", engine="fake")]))
    async with serving(create_app(Settings(), assembly)) as url, client_of(url) as client:
        stream = await client.audio.transcriptions.create(model="whisper-1", file=("talk.wav", wav()), stream=True)
        assert (await anext(stream)).type == "transcript.text.delta"
        with pytest.raises(openai.APIError, match="It broke"):
            await anext(stream)


async def test_models(client: AsyncOpenAI) -> None:
    models = await client.models.list()
    assert [model.id for model in models.data] == ["voice-agent", "script", "tone"]
    assert (await client.models.retrieve("tone")).owned_by == "fake"


# ---------------------------------------------------------------- embedded engines


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """In a process of its own, as a user runs it."""
    with agent(tmp_path_factory.mktemp("server"), LLM_ENGINES="local") as url:
        http = openai.DefaultHttpxClient(trust_env=False)
        with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=http) as client:
            yield client


@pytest.mark.engine
@pytest.mark.parametrize("audio_format", ["mp3", "opus"])
def test_what_is_spoken_is_understood(embedded: OpenAI, audio_format: Any) -> None:
    said = "Good morning. The weather is nice today, and the train to London leaves at seven."
    spoken = embedded.audio.speech.create(model="espeak-ng", voice="alloy", input=said, response_format=audio_format)
    assert 4.0 < seconds(spoken.content) < 9.0
    heard = embedded.audio.transcriptions.create(model="whisper-1", file=(f"talk.{audio_format}", spoken.content))
    assert jiwer.wer(plain(said), plain(heard.text)) <= 0.35, heard.text


@pytest.mark.engine
def test_a_recording_of_a_person(embedded: OpenAI) -> None:
    said = next(clip.transcript for clip in clips() if clip.file == "jfk.wav")
    file = ("jfk.wav", (AUDIO / "jfk.wav").read_bytes())
    srt = embedded.audio.transcriptions.create(model="moonshine-tiny-en", file=file, response_format="srt")
    cues = re.findall(r"(\d+)\n00:00:([\d,]+) --> 00:00:([\d,]+)\n(.+?)\n\n", srt, re.DOTALL)
    assert jiwer.wer(plain(said), plain(" ".join(cue[3] for cue in cues))) <= 0.1, srt
    assert [int(cue[0]) for cue in cues] == list(range(1, len(cues) + 1))
    times = [float(time.replace(",", ".")) for cue in cues for time in cue[1:3]]
    assert times == sorted(times)
    assert 0.0 <= times[0] < 1.0
    assert 9.5 < times[-1] <= 11.0


@pytest.mark.engine
@pytest.mark.parametrize(
    "text",
    ["\0\1\2", "a" * 4096, "<speak>&lt;&amp;", "שלום مرحبا 你好", "1/0 √2 5e300", "?!" * 2000, "🙂" * 100, "\u202e\ufeff x"],
    ids=["control", "one word", "markup", "scripts", "numbers", "marks", "emoji", "marks of direction"],
)
def test_no_text_breaks_the_voice(embedded: OpenAI, text: str) -> None:
    spoken = embedded.audio.speech.create(model="tts-1", voice="alloy", input=text, response_format="pcm")
    assert np.frombuffer(spoken.content, "<i2").size >= 0.1 * RATE


@pytest.mark.engine
def test_a_language_that_the_recogniser_lacks(embedded: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        embedded.audio.transcriptions.create(model="whisper-1", file=("talk.wav", wav()), language="es")
    assert caught.value.param == "language"
