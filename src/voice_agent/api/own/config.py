"""`/api/config`: what the web page has to know before it begins a conversation."""

from importlib.metadata import version
from typing import Literal, TypeAlias

from fastapi import APIRouter

from voice_agent.api.deps import AssemblyDep, SessionsDep, SettingsDep
from voice_agent.api.own.schemas import ConfigAnswer, Limits, RealtimeEntry, TurnModeAnswer, VoiceName
from voice_agent.api.security import REALTIME_PATH, keys_required
from voice_agent.api.server import MAX_FRAME
from voice_agent.api.voices import language_of
from voice_agent.assembly import Assembly
from voice_agent.engines.base import TtsModel
from voice_agent.errors import EngineUnavailable
from voice_agent.settings import Settings
from voice_agent.settings.tree import HOLDS_S, TurnMode
from voice_agent.transports.realtime.client_events import MAX_AUDIO_BASE64, MAX_TEXT
from voice_agent.transports.realtime.config import DEFAULT_MODEL, MAX_INSTRUCTIONS

Eagerness: TypeAlias = Literal["low", "medium", "high"]

EAGERNESS: dict[TurnMode, Eagerness] = {"patient": "low", "balanced": "medium", "eager": "high"}
"""What clients call our modes."""

SUBPROTOCOL = "realtime"

VERSION = version("voice-agent")
"""Asked for at the start: it looks at the disk."""

router = APIRouter(tags=["configuration"])


@router.get("/api/config", summary="What a web page needs to know")
async def read_config(assembly: AssemblyDep, sessions: SessionsDep, settings: SettingsDep) -> ConfigAnswer:
    """Where conversations are opened, voices, languages, modes, limits. Voices and languages are those of the engines in use;
    none are told while no engine is ready."""
    tts = await _synthesiser(assembly)
    return ConfigAnswer(
        version=VERSION,
        key_required=keys_required(settings.server),
        transports=["websocket"],
        realtime=RealtimeEntry(path=REALTIME_PATH, model=DEFAULT_MODEL, subprotocol=SUBPROTOCOL, extensions="extensions=1"),
        voices=[] if tts is None else [VoiceName(name=name, language=language_of(tts, name)) for name in tts.capabilities.voices],
        default_voice=settings.tts.voice,
        blends=tts is not None and tts.capabilities.blends,
        heard_languages=await _heard_languages(assembly, settings),
        spoken_languages=[] if tts is None else list(tts.capabilities.languages),
        turn_modes=[_mode(name, settings) for name in HOLDS_S],
        instructions=settings.conversation.instructions,
        greeting=settings.conversation.greeting,
        limits=Limits(
            sessions=sessions.limit,
            frame_bytes=MAX_FRAME,
            append_bytes=MAX_AUDIO_BASE64 // 4 * 3,
            text_characters=MAX_TEXT,
            instructions_characters=MAX_INSTRUCTIONS,
        ),
    )


def _mode(name: TurnMode, settings: Settings) -> TurnModeAnswer:
    low, high = HOLDS_S[name]
    return TurnModeAnswer(name=name, eagerness=EAGERNESS[name], min_hold_s=low, max_hold_s=high, default=name == settings.turn.mode)


async def _synthesiser(assembly: Assembly) -> TtsModel | None:
    try:
        return await assembly.synthesiser()
    except EngineUnavailable:
        return None


async def _heard_languages(assembly: Assembly, settings: Settings) -> list[str] | None:
    if settings.stt.language is not None:
        return [settings.stt.language]
    try:
        languages = (await assembly.recogniser()).capabilities.languages
    except EngineUnavailable:
        return []
    return list(languages) or None
