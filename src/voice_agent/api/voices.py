"""Voices by name: those of the engine in use, and OpenAI's names for them, which clients ask for without a choice.

An OpenAI name means a character, not a language: each engine's table says which of its voices comes closest, and in a language
other than English a voice of that language is taken.
"""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from voice_agent.api.deps import AssemblyDep, SettingsDep
from voice_agent.engines.base import TtsModel
from voice_agent.engines.tts.kokoro_voices import TONGUES, default_voice

Gender = Literal["f", "m"]

CHARACTERS: Final[dict[str, Gender]] = {
    "alloy": "f", "ash": "m", "ballad": "m", "coral": "f", "echo": "m", "fable": "m", "onyx": "m", "nova": "f", "sage": "f",
    "shimmer": "f", "verse": "m", "marin": "f", "cedar": "m",
}  # fmt: skip
"""OpenAI's voices, and how they sound to most people."""

KOKORO: Final[dict[str, str]] = {
    "alloy": "af_alloy", "ash": "am_michael", "ballad": "bm_george", "coral": "af_bella", "echo": "am_echo", "fable": "bm_fable",
    "onyx": "am_onyx", "nova": "af_nova", "sage": "af_sarah", "shimmer": "af_sky", "verse": "am_puck", "marin": "af_heart",
    "cedar": "am_fenrir",
}  # fmt: skip
"""Kokoro's own authors named several of their voices after OpenAI's."""

ESPEAK: Final[dict[str, str]] = {
    "alloy": "", "ash": "m3", "ballad": "m2", "coral": "f2", "echo": "m1", "fable": "m5", "onyx": "m7", "nova": "f3", "sage": "f4",
    "shimmer": "f5", "verse": "m4", "marin": "f1", "cedar": "m6",
}  # fmt: skip
"""Variants of any of espeak's languages; "" is its plain voice."""


def resolve_voice(engine: TtsModel, voice: str, *, language: str = "en") -> str | None:
    """What `engine` calls `voice`: one of its own (or a blend), or one of OpenAI's in any case of letters.

    None: the engine's usual voice of `language`, where it has none that comes closer. Raises `InputError` (code
    "tts.unknown_voice", with the list of voices) for a name that nobody has.
    """
    alias = voice.lower()
    if alias not in CHARACTERS:
        engine.check_voice(voice)
        return voice
    match engine.name:
        case "kokoro":
            return _kokoro_voice(engine, alias, language)
        case "espeak":
            variant = ESPEAK[alias]
            return f"{_espeak_tag(language)}+{variant}" if variant else _espeak_tag(language)
        case _:
            return None


def _kokoro_voice(engine: TtsModel, alias: str, language: str) -> str | None:
    known = engine.capabilities.voices
    usual = default_voice(language, known)
    if usual is None or usual[0] in "ab":
        return KOKORO[alias] if KOKORO[alias] in known else usual
    alike = usual[0] + CHARACTERS[alias]
    return next((name for name in known if name.startswith(alike)), usual)


def _espeak_tag(language: str) -> str:
    return "en-us" if language.lower() == "en" else language.lower()


def language_of(engine: TtsModel, voice: str) -> str:
    """BCP 47 tag of what `voice` speaks."""
    match engine.name:
        case "kokoro":
            return TONGUES[voice[0]].phonemes if voice[:1] in TONGUES else "en-us"
        case "espeak":
            return voice.partition("+")[0]
        case _:
            return engine.capabilities.languages[0]


# ---------------------------------------------------------------- the route


class Voice(BaseModel):
    """`id` is what requests name as `voice`."""

    id: str = Field(examples=["af_heart"])
    name: str = Field(examples=["af_heart"])
    language: str = Field(description="BCP 47 tag.", examples=["en-us"])
    alias_of: str | None = Field(
        default=None,
        description="For OpenAI's names: the voice that speaks. Empty for the engine's usual one.",
        examples=["af_alloy"],
    )


class VoiceList(BaseModel):
    object: Literal["list"] = "list"
    engine: str = Field(description="The speech synthesiser in use.", examples=["kokoro"])
    model: str = Field(examples=["kokoro-82m"])
    blends: bool = Field(description="Whether voices can be mixed, such as `af_heart:0.7+am_adam:0.3`.")
    voices: list[Voice] = Field(description="The engine's own voices, then OpenAI's names for them.")


router = APIRouter(tags=["audio"])


@router.get("/v1/audio/voices", summary="List the voices")
async def list_voices(
    assembly: AssemblyDep,
    settings: SettingsDep,
    model: Annotated[
        str | None, Query(max_length=200, description="A speech model of `/v1/models`; the one in use if not given.")
    ] = None,
) -> VoiceList:
    """Voices that speak now, with their languages. What OpenAI's names stand for changes with the engine."""
    engine = await assembly.synthesiser(model)
    own = [Voice(id=voice, name=voice, language=language_of(engine, voice)) for voice in engine.capabilities.voices]
    language = settings.tts.language or "en"
    return VoiceList(
        engine=engine.name,
        model=engine.model,
        blends=engine.capabilities.blends,
        voices=own + [_alias(engine, name, language) for name in CHARACTERS],
    )


def _alias(engine: TtsModel, name: str, language: str) -> Voice:
    voice = resolve_voice(engine, name, language=language)
    spoken = language_of(engine, voice) if voice is not None else language
    return Voice(id=name, name=name.capitalize(), language=spoken, alias_of=voice or "")
