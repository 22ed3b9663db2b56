"""espeak: voices and their names, streaming, what it knows about words."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from voice_agent.engines.base import SpeechChunk, SpeechRequest
from voice_agent.engines.tts import espeak
from voice_agent.errors import EngineUnavailable, InputError


@pytest.fixture
async def engine() -> AsyncIterator[espeak.Espeak]:
    model = await asyncio.to_thread(espeak.load)
    yield model
    await model.aclose()


async def speak(engine: espeak.Espeak, text: str, *, voice: str | None = None, language: str = "en") -> list[SpeechChunk]:
    return [chunk async for chunk in engine.speak(SpeechRequest(text=text, voice=voice, language=language), session="s")]


@pytest.mark.parametrize(
    "voice", ["en-us", "EN-GB", "en_us", "en-us+f3", "es+F2", "fr", "fr-be", "en-us+Annie", "pt-br", "cmn", "zh"]
)
async def test_voices_that_it_knows(engine: espeak.Espeak, voice: str) -> None:
    engine.check_voice(voice)
    assert await speak(engine, "Hello 123.", voice=voice)


@pytest.mark.parametrize("voice", ["", "en-us+", "en-us+nobody", "xx", "../en", "gmw/en", "en-us\x00", "af_heart", "+f3"])
async def test_voices_that_it_does_not_know(engine: espeak.Espeak, voice: str) -> None:
    with pytest.raises(InputError, match="en-us"):
        engine.check_voice(voice)


@pytest.mark.parametrize("language", ["en", "es", "fr", "de", "it", "pt", "ja", "zh", "pt-BR", "en-GB", "de-CH", "hi", "ru"])
async def test_languages(engine: espeak.Espeak, language: str) -> None:
    assert await speak(engine, "Hello, 12 3,50 €.", language=language)


async def test_an_unknown_language_is_for_another_engine(engine: espeak.Espeak) -> None:
    with pytest.raises(EngineUnavailable) as raised:
        await speak(engine, "Hello", language="qq")
    assert raised.value.code == "tts.unknown_language"


async def test_a_clause_leaves_word_by_word(engine: espeak.Espeak) -> None:
    chunks = await speak(engine, "One two three four")
    assert [[word.text for word in chunk.words] for chunk in chunks] == [["One"], ["two"], ["three"], ["four"]]


async def test_a_word_of_several_spoken_words_has_their_whole_time(engine: espeak.Espeak) -> None:
    chunks = await speak(engine, "Pay $3.50 now")
    pay, price, now = [word for chunk in chunks for word in chunk.words]
    assert price.end_s - price.start_s > 3 * (pay.end_s - pay.start_s)
    assert price.end_s == pytest.approx(now.start_s)


async def test_a_pause_follows_the_punctuation(engine: espeak.Espeak) -> None:
    lengths = [sum(chunk.pcm.size for chunk in await speak(engine, text)) / 22_050 for text in ("Hello", "Hello,", "Hello.")]
    assert lengths[0] < lengths[1] - 0.03 < lengths[2] - 0.06


async def test_two_models_share_the_library(engine: espeak.Espeak) -> None:
    other = await asyncio.to_thread(espeak.load)
    one, two = await asyncio.gather(speak(engine, "Hello there.", voice="es"), speak(other, "Hello there.", voice="en-us"))
    await other.aclose()
    assert one
    assert two


async def test_it_refuses_after_closing(engine: espeak.Espeak) -> None:
    await engine.aclose()
    with pytest.raises(EngineUnavailable):
        await speak(engine, "Hello")
