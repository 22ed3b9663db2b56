"""What every text-to-speech engine must do: the fake, espeak, Kokoro (on a stub of its signature) and a chain of the two."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from voice_agent.engines.base import SpeechChunk, SpeechRequest, TtsModel, Word
from voice_agent.engines.fakes import FakeTts
from voice_agent.engines.tts import espeak, kokoro
from voice_agent.engines.tts.chain import TtsChain
from voice_agent.errors import EngineUnavailable, InputError

STUB = Path(__file__).parents[1] / "assets" / "kokoro-stub"
AUDIBLE = 184
"""-45 dBFS."""


def load_kokoro() -> kokoro.Kokoro:
    return kokoro.load(STUB / "kokoro-stub.onnx", STUB / "voices-stub.bin", threads=1)


ENGINES: dict[str, Callable[[], TtsModel]] = {
    "fake": FakeTts,
    "espeak": espeak.load,
    "kokoro": load_kokoro,
    "chain": lambda: TtsChain([load_kokoro(), espeak.load()]),
}


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[TtsModel]:
    model = await asyncio.to_thread(ENGINES[request.param])
    yield model
    await model.aclose()


async def speak(
    engine: TtsModel, text: str, *, session: str = "s", voice: str | None = None, speed: float = 1.0
) -> list[SpeechChunk]:
    request = SpeechRequest(text=text, voice=voice, speed=speed)
    return [chunk async for chunk in engine.speak(request, session=session)]


def words_of(chunks: Sequence[SpeechChunk]) -> list[Word]:
    return [word for chunk in chunks for word in chunk.words]


def seconds_of(chunks: Sequence[SpeechChunk]) -> float:
    return sum(chunk.pcm.size / chunk.sample_rate for chunk in chunks)


TEXTS = [
    "Hello there.",
    "It costs $3.50, or 1,000 euros, at 10:30 a.m. on 2026-11-23!",
    "**Bold** text, a [link here](https://example.com/a) and an emoji 👍 — done.",
    "Of the people, in a house by the sea; I don't know it.",
    "# Title\n\n- first one\n- second one\n",
    "👍 Yes",
    "Sure, I can help you with that",
    "No " * 400,
    "Yes. " + "👍 " * 400,
]


@pytest.mark.parametrize("text", TEXTS)
async def test_words_join_to_the_text_and_their_times_lie_in_the_audio(engine: TtsModel, text: str) -> None:
    chunks = await speak(engine, text)
    words = words_of(chunks)
    assert [word.text for word in words] == text.split()
    total_s = seconds_of(chunks)
    at = 0.0
    for word in words:
        assert at - 1e-6 <= word.start_s <= word.end_s <= total_s + 1e-6
        at = word.start_s
    assert total_s > 0.2


async def test_words_come_with_the_chunk_in_which_their_audio_begins(engine: TtsModel) -> None:
    begins_s = 0.0
    for chunk in await speak(engine, "One two, three four. Five six"):
        ends_s = begins_s + chunk.pcm.size / chunk.sample_rate
        for word in chunk.words:
            assert begins_s - 1e-6 <= word.start_s <= ends_s + 1e-6
        begins_s = ends_s


async def test_audio_is_16_bit_mono_and_begins_within_20_ms(engine: TtsModel) -> None:
    chunks = await speak(engine, "Sure, I can help you.")
    audio = np.concatenate([chunk.pcm for chunk in chunks])
    assert audio.dtype == np.int16
    assert audio.ndim == 1
    loud = np.flatnonzero(np.abs(audio.astype(np.int32)) >= AUDIBLE)
    rate = chunks[0].sample_rate
    assert loud[0] <= 0.020 * rate
    assert audio.size - loud[-1] <= 0.2 * rate


@pytest.mark.parametrize("text", ["", "   \n", "!!!", "...", "👍 🎉", "— ** — #", "\x00"])
async def test_nothing_to_say_gives_no_chunk(engine: TtsModel, text: str) -> None:
    assert await speak(engine, text) == []


async def test_an_unknown_voice_is_an_input_error_that_names_what_is_allowed(engine: TtsModel) -> None:
    with pytest.raises(InputError) as raised:
        await speak(engine, "Hello.", voice="nobody")
    assert raised.value.code == "tts.unknown_voice"
    assert engine.capabilities.voices[0] in str(raised.value)
    with pytest.raises(InputError):
        engine.check_voice("nobody")


async def test_every_named_voice_speaks(engine: TtsModel) -> None:
    for voice in engine.capabilities.voices:
        engine.check_voice(voice)
        assert seconds_of(await speak(engine, "Hello.", voice=voice)) > 0.1, voice


async def test_speed_changes_the_duration(engine: TtsModel) -> None:
    text = "This is a sentence of a certain length for all"
    slow, normal, fast = [seconds_of(await speak(engine, text, speed=speed)) for speed in (0.6, 1.0, 1.6)]
    assert slow > 1.2 * normal > 1.2 * 1.2 * fast


async def test_several_sessions_at_once_get_the_same_as_alone(engine: TtsModel) -> None:
    texts = ["One and two.", "It is a quarter past ten, I think.", "No.", "We went to the park because the sun was out."]
    alone = [await speak(engine, text) for text in texts]
    together = await asyncio.gather(*(speak(engine, text, session=str(index)) for index, text in enumerate(texts)))
    for one, other in zip(alone, together, strict=True):
        assert [word.text for word in words_of(one)] == [word.text for word in words_of(other)]
        # espeak's own lengths differ by some milliseconds with what it spoke before.
        assert seconds_of(one) == pytest.approx(seconds_of(other), abs=0.03)


async def test_a_stopped_clause_ends_at_once_and_the_next_one_speaks(engine: TtsModel) -> None:
    stream = cast(AsyncGenerator[SpeechChunk, None], engine.speak(SpeechRequest(text="Word after word. " * 50), session="s"))
    async with asyncio.timeout(1.0):
        async with aclosing(stream):
            await anext(stream)
        assert await speak(engine, "Next.")


async def test_a_megabyte_of_text_begins_at_once_and_can_be_stopped(engine: TtsModel) -> None:
    for piece in ("word ", "a", "1,", "(", "[a]("):
        text = piece * (1_000_000 // len(piece))
        stream = cast(AsyncGenerator[SpeechChunk, None], engine.speak(SpeechRequest(text=text), session="s"))
        begun = asyncio.ensure_future(anext(stream, None))
        await asyncio.wait({begun}, timeout=0.5)
        begun.cancel()
        await asyncio.wait({begun})
        async with asyncio.timeout(2.0):
            await stream.aclose()


async def test_closing_the_engine_ends_a_clause_under_way(engine: TtsModel) -> None:
    stream = cast(AsyncGenerator[SpeechChunk, None], engine.speak(SpeechRequest(text="Word after word. " * 500), session="s"))
    await anext(stream)
    async with asyncio.timeout(2.0):
        await engine.aclose()
        with suppress(EngineUnavailable):
            async for _ in stream:
                pass


@pytest.mark.parametrize("make", ENGINES.values(), ids=ENGINES.keys())
async def test_closing_leaves_no_threads(make: Callable[[], TtsModel]) -> None:
    before = set(threading.enumerate())
    model = await asyncio.to_thread(make)
    assert await speak(model, "Hello.")
    await model.aclose()
    await model.aclose()
    left = [thread.name for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio_")]
    assert left == []
