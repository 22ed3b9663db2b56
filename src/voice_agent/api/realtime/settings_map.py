"""A client's session configuration as the settings of a session."""

from dataclasses import replace
from typing import Literal

from voice_agent.conversation.settings import EndpointingSettings
from voice_agent.engines.base import Tool
from voice_agent.session.settings import SessionSettings
from voice_agent.settings.tree import HOLDS_S
from voice_agent.transports.realtime.config import (
    FunctionTool,
    RealtimeConfig,
    SemanticVad,
    ServerVad,
    SessionConfig,
    ToolChoice,
    TranscriptionConfig,
)

EAGERNESS_HOLDS_S: dict[str, tuple[float, float]] = {
    "low": HOLDS_S["patient"],
    "medium": HOLDS_S["balanced"],
    "high": HOLDS_S["eager"],
}
"""Shortest and longest hold. "auto" takes those of the server's settings."""


def session_settings_of(base: SessionSettings, config: SessionConfig, *, voice: str | None) -> SessionSettings:
    """`base` as the server's settings give it, changed as the client asks. `voice` is the engine's name for the client's."""
    audio = config.audio.input
    turns = audio.turn_detection
    transcribes_only = isinstance(config, TranscriptionConfig)
    conversation = replace(
        base.conversation,
        automatic_turns=turns is not None,
        automatic_replies=turns is not None and turns.create_response and not transcribes_only,
        endpointing=_endpointing(base.conversation.endpointing, turns),
        interruption=replace(base.conversation.interruption, enabled=turns is None or turns.interrupt_response),
        idle_timeout_s=_idle_timeout_s(turns),
        idle_reply=_idle_timeout_s(turns) is not None and not transcribes_only,
        keep_unheard=True,
    )
    wanted = audio.transcription
    segmentation = base.listening.segmentation
    if isinstance(turns, ServerVad):
        release = max(0.01, turns.threshold - (segmentation.threshold - segmentation.release))
        segmentation = replace(segmentation, threshold=turns.threshold, release=min(release, turns.threshold))
    listening = replace(
        base.listening,
        manual=turns is None,
        language=(wanted.language or None) if wanted is not None and wanted.language else base.listening.language,
        hint=wanted.prompt if wanted is not None and wanted.prompt else base.listening.hint,
        segmentation=segmentation,
    )
    settings = replace(base, conversation=conversation, listening=listening)
    return settings if isinstance(config, TranscriptionConfig) else _with_replies(settings, config, voice)


def _with_replies(settings: SessionSettings, config: RealtimeConfig, voice: str | None) -> SessionSettings:
    prompt = replace(settings.prompt, instructions=config.instructions) if config.instructions else settings.prompt
    limit = config.max_output_tokens
    return replace(
        settings,
        prompt=prompt,
        voice=replace(settings.voice, voice=voice, speed=config.audio.output.speed),
        max_tokens=settings.max_tokens if limit == "inf" else limit,
        tools=tools_of(config.tools),
        tool_choice=tool_choice_of(config.tool_choice),
        spoken=config.output_modalities == ["audio"],
    )


def _endpointing(base: EndpointingSettings, turns: ServerVad | SemanticVad | None) -> EndpointingSettings:
    match turns:
        case ServerVad():  # what it promises: a fixed silence
            silence_s = turns.silence_duration_ms / 1000.0
            return EndpointingSettings(min_hold_s=silence_s, max_hold_s=silence_s, learn=False)
        case SemanticVad() if turns.eagerness in EAGERNESS_HOLDS_S:
            low, high = EAGERNESS_HOLDS_S[turns.eagerness]
            return replace(base, min_hold_s=low, max_hold_s=high)
        case SemanticVad() | None:
            return base


def _idle_timeout_s(turns: ServerVad | SemanticVad | None) -> float | None:
    if not isinstance(turns, ServerVad) or turns.idle_timeout_ms is None:
        return None
    return turns.idle_timeout_ms / 1000.0


def tools_of(tools: list[FunctionTool]) -> tuple[Tool, ...]:
    return tuple(Tool(name=tool.name, description=tool.description, parameters=dict(tool.parameters)) for tool in tools)


def tool_choice_of(choice: ToolChoice) -> str:
    """A function's name, where one is demanded."""
    return choice if isinstance(choice, str) else choice.name


def modality_of(config: SessionConfig) -> Literal["audio", "text"]:
    return config.output_modalities[0] if isinstance(config, RealtimeConfig) else "text"
