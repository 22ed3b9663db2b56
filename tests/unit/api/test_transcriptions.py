"""`POST /v1/audio/transcriptions` with a recogniser that answers from a script, one entry a stretch."""

import asyncio
import io
import math
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
import soundfile
from fastapi import FastAPI

from tests.fake_assembly import FakeAssembly, fake_assembly
from tests.unit.api.asgi import http
from tests.unit.api.slow_client import Exchange
from voice_agent.api.app import create_app
from voice_agent.api.turnstile import Turnstile
from voice_agent.audio.encoding import AudioFormat, encoder
from voice_agent.engines.base import INPUT_RATE, Samples, SttCapabilities, Transcript, Word
from voice_agent.engines.fakes import FakeStt, FakeSttStream
from voice_agent.errors import EngineFailed, EngineUnavailable, OverloadedError
from voice_agent.settings import Settings

HELLO = "Hello there my friend."
BYE = "Good bye then, see you."


def speech(*parts: tuple[float, bool]) -> Samples:
    """(seconds, whether there is sound)."""
    return np.concatenate([np.full(round(s * INPUT_RATE), 0.2 if loud else 0.0, dtype=np.float32) for s, loud in parts])


TWO_STRETCHES = speech((1.0, False), (2.0, True), (2.0, False), (3.0, True), (1.0, False))


def wav(samples: Samples = TWO_STRETCHES, kind: str = "WAV") -> bytes:
    data = io.BytesIO()
    soundfile.write(data, samples, INPUT_RATE, format=kind, subtype="PCM_16")
    return data.getvalue()


def app_of(*heard: str | Exception, stt: FakeStt | None = None) -> FastAPI:
    return create_app(Settings(), FakeAssembly(stt=stt) if stt else fake_assembly(heard=heard or (HELLO, BYE)))


async def post(app: FastAPI, file: bytes | None = None, /, **form: Any) -> httpx.Response:
    async with http(app) as client:
        return await client.post(
            "/v1/audio/transcriptions",
            files={"file": ("talk.wav", wav() if file is None else file)},
            data={"model": "whisper-1", **form},
        )


def granular(*names: str) -> dict[str, Any]:
    return {"timestamp_granularities[]": list(names)}


# ---------------------------------------------------------------- formats


async def test_json() -> None:
    answer = await post(app_of())
    assert answer.json() == {"text": f"{HELLO} {BYE}", "usage": {"type": "duration", "seconds": 9.0}}


async def test_text() -> None:
    answer = await post(app_of(), response_format="text")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == f"{HELLO} {BYE}\n"


async def test_srt() -> None:
    answer = await post(app_of(), response_format="srt")
    assert answer.headers["content-type"] == "application/x-subrip"
    first, second = answer.text.strip().split("\n\n")
    assert first.startswith("1\n00:00:00,9") or first.startswith("1\n00:00:01,0")
    assert first.endswith(HELLO)
    assert second.splitlines()[2] == BYE


async def test_vtt() -> None:
    answer = await post(app_of(), response_format="vtt")
    assert answer.headers["content-type"] == "text/vtt; charset=utf-8"
    assert answer.text.startswith("WEBVTT\n\n00:00:0")


async def test_verbose_json() -> None:
    found = (await post(app_of(), response_format="verbose_json")).json()
    assert (found["task"], found["language"], found["duration"], found["text"]) == ("transcribe", "en", 9.0, f"{HELLO} {BYE}")
    assert "words" not in found
    assert [segment["text"] for segment in found["segments"]] == [HELLO, BYE]
    assert [segment["id"] for segment in found["segments"]] == [0, 1]
    times = [time for segment in found["segments"] for time in (segment["start"], segment["end"])]
    assert times == pytest.approx([1.0, 3.0, 5.0, 8.0], abs=0.1)
    assert found["segments"][0]["avg_logprob"] == 0.0


@pytest.mark.parametrize(
    ("granularities", "keys"), [(["word"], {"words"}), (["word", "segment"], {"words", "segments"}), ([], {"segments"})]
)
async def test_granularities(granularities: list[str], keys: set[str]) -> None:
    found = (await post(app_of(), response_format="verbose_json", **granular(*granularities))).json()
    assert {"words", "segments"} & set(found) == keys
    assert found.get("words_estimated") is (True if "words" in keys else None)


async def test_estimated_words_lie_in_the_speech() -> None:
    found = (await post(app_of(), response_format="verbose_json", **granular("word"))).json()
    assert " ".join(word["word"] for word in found["words"]) == f"{HELLO} {BYE}"
    for word in found["words"]:
        assert 0.9 <= word["start"] < word["end"] <= 3.1 or 4.9 <= word["start"] < word["end"] <= 8.1


class TimedStt(FakeStt):
    """Tells when words are said."""

    capabilities = SttCapabilities(languages=("en",), word_times=True)

    def stream(self, *, session: str, language: str | None = None, hint: str = "") -> "TimedStream":
        return TimedStream(self)


class TimedStream(FakeSttStream):
    async def final(self) -> Transcript:
        words = (Word(text=" Hello", start_s=0.3, end_s=0.8),)
        return Transcript(text="Hello", confidence=0.5, language="de", words=words)


async def test_words_that_the_engine_tells_count_from_the_start_of_the_recording() -> None:
    found = (await post(app_of(stt=TimedStt([])), response_format="verbose_json", **granular("word", "segment"))).json()
    assert found["words_estimated"] is False
    assert found["language"] == "de"
    assert found["words"][0] == {"word": "Hello", "start": pytest.approx(1.0, abs=0.1), "end": pytest.approx(1.5, abs=0.1)}
    assert found["words"][1]["start"] == pytest.approx(5.0, abs=0.1)
    assert found["segments"][0]["avg_logprob"] == pytest.approx(math.log(0.5), abs=1e-4)


async def test_events() -> None:
    answer = await post(app_of(), stream="true")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = [orjson.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    assert [event["type"] for event in events] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    assert "".join(event["delta"] for event in events[:-1]) == events[-1]["text"] == f"{HELLO} {BYE}"
    usage = events[-1]["usage"]
    assert (usage["type"], usage["input_tokens"]) == ("tokens", 90)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


@pytest.mark.parametrize("audio_format", ["wav", "mp3", "opus", "aac", "flac"])
async def test_every_kind_of_file(audio_format: AudioFormat) -> None:
    coder = encoder(audio_format, rate=16_000)
    rng = np.random.default_rng(0)
    noise = (TWO_STRETCHES * rng.standard_normal(TWO_STRETCHES.size) * 8000).astype(np.int16)
    answer = await post(app_of(), coder.push(noise) + coder.finish())
    assert answer.json()["text"] == f"{HELLO} {BYE}"


# ---------------------------------------------------------------- what may be wrong


@pytest.mark.parametrize("response_format", ["json", "verbose_json", "text", "srt", "vtt"])
async def test_ten_minutes_of_silence_are_an_empty_text(response_format: str) -> None:
    stt = FakeStt([HELLO])
    answer = await post(app_of(stt=stt), wav(speech((600.0, False))), response_format=response_format)
    assert answer.status_code == 200
    assert stt.finals == 0
    if "json" in response_format:
        assert answer.json()["text"] == ""
    else:
        assert answer.text in ("\n", "", "WEBVTT\n\n")


async def test_silence_as_events() -> None:
    answer = await post(app_of(), wav(speech((1.0, False))), stream="true")
    assert orjson.loads(answer.text.removeprefix("data: "))["text"] == ""


@pytest.mark.parametrize("stream", ["true", "false"])
@pytest.mark.parametrize(
    ("file", "code"),
    [
        (b"this is not sound", "audio.unreadable"),
        (b"", "audio.empty"),
        (wav()[:44], "audio.empty"),
        (b"RIFF" + bytes(100), "audio.unreadable"),
        (wav(speech((1801.0, False)), "FLAC"), "audio.too_long"),
    ],
)
async def test_a_file_that_is_no_recording(file: bytes, code: str, stream: str) -> None:
    answer = await post(app_of(), file, stream=stream)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "file", code)


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"response_format": "xml"}, "response_format"),
        ({"temperature": "2"}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"timestamp_granularities[]": ["letter"]}, "timestamp_granularities[].0"),
        ({"language": "English please"}, "language"),
        ({"language": "../etc"}, "language"),
        ({"stream": "perhaps"}, "stream"),
        ({"prompt": "x" * 4001}, "prompt"),
    ],
)
async def test_fields_are_checked(form: dict[str, Any], param: str) -> None:
    answer = await post(app_of(), **form)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_fields_that_are_not_known_are_ignored() -> None:
    new = {
        "include[]": ["logprobs"],
        "chunking_strategy": "auto",
        "chunking_strategy[type]": "server_vad",
        "language": "",
        "keywords[]": ["x"],
    }
    assert (await post(app_of(), **new)).status_code == 200


async def test_the_file_is_needed() -> None:
    async with http(app_of()) as client:
        answer = await client.post("/v1/audio/transcriptions", data={"model": "whisper-1"})
        as_text = await client.post("/v1/audio/transcriptions", data={"model": "whisper-1", "file": "talk.wav"})
        as_json = await client.post("/v1/audio/transcriptions", json={"file": "talk.wav"})
    for refused in (answer, as_text, as_json):
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "file"


async def test_a_damaged_form_is_refused() -> None:
    async with http(app_of()) as client:
        answer = await client.post(
            "/v1/audio/transcriptions", content=b"--x\r\nbad", headers={"content-type": "multipart/form-data; boundary=y"}
        )
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


class EnglishOnly(FakeStt):
    def stream(self, *, session: str, language: str | None = None, hint: str = "") -> FakeSttStream:
        self.hint = hint
        if language not in (None, "en"):
            raise EngineUnavailable(f"fake does not know {language!r}", engine="fake", code="stt.unknown_language")
        return super().stream(session=session, language=language, hint=hint)


async def test_a_language_that_nobody_knows_is_the_clients_fault() -> None:
    stt = EnglishOnly([HELLO])
    answer = await post(app_of(stt=stt), language="es")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "language"
    assert (await post(app_of(stt=stt), language="EN", prompt="Kubernetes")).json()["text"] == HELLO
    assert stt.hint == "Kubernetes"


@pytest.mark.parametrize("stream", ["true", "false"])
async def test_a_recogniser_that_fails(stream: str) -> None:
    answer = await post(app_of(EngineFailed("It broke", engine="fake")), stream=stream)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "engine.failed"


async def test_a_recogniser_that_fails_in_the_middle_is_an_event() -> None:
    answer = await post(app_of(HELLO, EngineFailed("It broke", engine="fake")), stream="true")
    assert answer.status_code == 200
    last = orjson.loads(answer.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert (last["type"], last["error"]["code"]) == ("error", "engine.failed")


# ---------------------------------------------------------------- while it is made


class HeldStt(FakeStt):
    """A final waits for a step. `cancelled` counts those that were given up."""

    def __init__(self) -> None:
        super().__init__([])
        self.steps = asyncio.Semaphore(0)
        self.asked = asyncio.Event()
        self.cancelled = 0

    def stream(self, *, session: str, language: str | None = None, hint: str = "") -> "HeldStream":
        return HeldStream(self)


class HeldStream(FakeSttStream):
    def __init__(self, model: HeldStt) -> None:
        super().__init__(model)
        self._held = model

    async def final(self) -> Transcript:
        self._held.asked.set()
        try:
            await self._held.steps.acquire()
        except asyncio.CancelledError:
            self._held.cancelled += 1
            raise
        return Transcript(text="Word", confidence=1.0, language="en")


def upload(**form: str) -> Exchange:
    built = httpx.Request("POST", "http://x/", files={"file": ("talk.wav", wav())}, data=form)
    return Exchange(built.read(), path="/v1/audio/transcriptions", headers=(("content-type", built.headers["content-type"]),))


async def test_the_first_words_leave_before_the_last_are_heard() -> None:
    stt = HeldStt()
    exchange = upload(stream="true")
    async with asyncio.TaskGroup() as group, asyncio.timeout(10):
        group.create_task(exchange.run(app_of(stt=stt)))
        stt.steps.release()
        await exchange.piece.wait()
        assert b'"delta":"Word"' in exchange.data
        assert (b"done" in exchange.data, exchange.complete) == (False, False)
        stt.steps.release()
    assert exchange.complete


@pytest.mark.parametrize("form", [{}, {"stream": "true"}])
async def test_a_client_that_goes_stops_the_recognition(form: dict[str, str]) -> None:
    stt = HeldStt()
    exchange = upload(**form)
    async with asyncio.TaskGroup() as group, asyncio.timeout(10):
        group.create_task(exchange.run(app_of(stt=stt)))
        await stt.asked.wait()
        exchange.goes.set()
    assert stt.cancelled == 1


async def test_a_turnstile_lets_a_few_in_and_a_few_wait() -> None:
    turnstile = Turnstile("things", places=1, queue=1, retry_after_s=3.0)
    order: list[str] = []

    async def second() -> None:
        async with turnstile.place():
            order.append("second")

    async with asyncio.TaskGroup() as group:
        async with turnstile.place():
            waiting = group.create_task(second())
            await asyncio.sleep(0)  # until it waits
            assert turnstile.inside == 2
            with pytest.raises(OverloadedError) as caught:
                async with turnstile.place():
                    order.append("third")
            assert caught.value.retry_after_s == 3.0
            order.append("first")
        await waiting
    assert order == ["first", "second"]
    async with turnstile.place():
        order.append("again")


async def test_the_page_has_schemas_and_examples() -> None:
    async with http(app_of()) as client:
        page = (await client.get("/openapi.json")).json()
    operation = page["paths"]["/v1/audio/transcriptions"]["post"]
    assert set(operation["responses"]["200"]["content"]) == {
        "application/json", "text/plain", "application/x-subrip", "text/vtt", "text/event-stream",
    }  # fmt: skip
    schemas = operation["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"]
    assert {schema["$ref"].rsplit("/")[-1] for schema in schemas} == {"Transcription", "VerboseTranscription"}
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["$ref"].rsplit("/")[-1]
    assert "timestamp_granularities[]" in page["components"]["schemas"][form]["properties"]
