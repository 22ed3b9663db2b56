import asyncio

import pytest

from voice_agent.api.voices import CHARACTERS, ESPEAK, KOKORO, language_of, resolve_voice
from voice_agent.engines.base import TtsCapabilities
from voice_agent.engines.fakes import FakeTts
from voice_agent.engines.tts.espeak import Espeak, load
from voice_agent.errors import InputError

KOKORO_VOICES = (*KOKORO.values(), "bf_emma", "ef_dora", "em_alex", "ff_siwis")


class KokoroLike(FakeTts):
    """With Kokoro's name and some of its voices."""

    name = "kokoro"
    capabilities = TtsCapabilities(sample_rate=24_000, voices=KOKORO_VOICES, languages=("en", "es", "fr"), blends=True)


@pytest.fixture
async def espeak() -> Espeak:
    return await asyncio.to_thread(load)


def test_every_table_knows_every_openai_voice() -> None:
    assert set(KOKORO) == set(ESPEAK) == set(CHARACTERS)
    assert len(set(KOKORO.values())) == len(set(ESPEAK.values())) == len(CHARACTERS), "two names would sound the same"


@pytest.mark.parametrize(
    ("name", "language", "voice"),
    [
        ("alloy", "en", "af_alloy"),
        ("Fable", "en", "bm_fable"),
        ("alloy", "es", "ef_dora"),
        ("onyx", "es", "em_alex"),
        ("onyx", "fr", "ff_siwis"),  # there is no man's voice for French
        ("nova", "de", "af_nova"),  # nor any for German
        ("af_heart", "es", "af_heart"),
    ],
)
def test_kokoro(name: str, language: str, voice: str) -> None:
    assert resolve_voice(KokoroLike(), name, language=language) == voice


def test_a_voice_that_the_file_lacks_becomes_the_usual_one() -> None:
    engine = KokoroLike()
    engine.capabilities = TtsCapabilities(sample_rate=24_000, voices=("bf_emma",), languages=("en",))
    assert resolve_voice(engine, "alloy") == "bf_emma"
    engine.capabilities = TtsCapabilities(sample_rate=24_000, voices=("xx_test",), languages=("en",))
    assert resolve_voice(engine, "alloy") is None


@pytest.mark.parametrize("language", ["en", "de", "pt-BR", "zh", "no"])
async def test_espeak_speaks_every_alias_in_every_language(espeak: Espeak, language: str) -> None:
    voices = [resolve_voice(espeak, name, language=language) for name in CHARACTERS]
    for voice in voices:
        assert voice is not None
        espeak.check_voice(voice)
        assert language_of(espeak, voice).split("-")[0] in language
    await espeak.aclose()


def test_an_unknown_name_tells_the_known_ones() -> None:
    with pytest.raises(InputError, match="tone, other") as caught:
        resolve_voice(FakeTts(), "bob")
    assert caught.value.code == "tts.unknown_voice"


def test_an_engine_without_a_table_takes_its_usual_voice() -> None:
    assert resolve_voice(FakeTts(), "alloy") is None
    assert resolve_voice(FakeTts(), "other") == "other"


def test_languages_of_voices() -> None:
    assert language_of(KokoroLike(), "bf_emma") == "en-gb"
    assert language_of(FakeTts(), "tone") == "en"
