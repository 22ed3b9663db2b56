"""A session's configuration as clients send and see it, and how a partial update changes it.

An update is merged into what holds (objects deep, everything else replaced, null clears), then checked as a whole, so that it
takes effect completely or not at all. What is echoed is always the whole effective configuration with defaults filled in.
"""

import copy
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from voice_agent.errors import InputError

MAX_INSTRUCTIONS = 32_000
"""Characters; more would not fit any model's context beside a conversation."""

MAX_TOOLS = 128

MAX_CONFIG = 256 * 1024
"""Characters of a configuration as JSON: it is echoed whole with every update."""

DEFAULT_MODEL = "voice-agent"

MAX_SHOWN = 300
"""Characters of what a client has sent that come back in an error."""


class Part(BaseModel):
    """Unknown fields are ignored: newer clients may send what we do not know."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, allow_inf_nan=False)


class PcmFormat(Part):
    """16-bit little-endian mono at 24 kHz."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24000


class UlawFormat(Part):
    """G.711 µ-law, 8 kHz."""

    type: Literal["audio/pcmu"]


class AlawFormat(Part):
    """G.711 A-law, 8 kHz."""

    type: Literal["audio/pcma"]


AudioFormat: TypeAlias = Annotated[PcmFormat | UlawFormat | AlawFormat, Field(discriminator="type")]


class NoiseReduction(Part):
    type: Literal["near_field", "far_field"]


class Transcription(Part):
    model: str | None = Field(default=None, max_length=200)
    language: str | None = Field(default=None, max_length=20)
    prompt: str | None = Field(default=None, max_length=4000)


class ServerVad(Part):
    """Turns end after a fixed silence."""

    type: Literal["server_vad"]
    threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    prefix_padding_ms: int = Field(default=300, ge=0, le=5000)
    silence_duration_ms: int = Field(default=500, ge=0, le=30_000)
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = Field(default=None, ge=1000, le=3_600_000)


class SemanticVad(Part):
    """Turns end when they sound and read complete: our adaptive hold."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection: TypeAlias = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class AudioInputConfig(Part):
    format: AudioFormat = Field(default_factory=PcmFormat)
    noise_reduction: NoiseReduction | None = None
    transcription: Transcription | None = None
    turn_detection: TurnDetection | None = Field(default_factory=lambda: SemanticVad(type="semantic_vad"))


class AudioOutputConfig(Part):
    format: AudioFormat = Field(default_factory=PcmFormat)
    voice: str = Field(default="alloy", min_length=1, max_length=200)
    speed: float = Field(default=1.0, ge=0.25, le=1.5)

    @field_validator("voice", mode="before")
    @classmethod
    def _voice_by_id(cls, voice: object) -> object:
        """`{"id": "..."}` is another way to write a voice."""
        return voice.get("id") if isinstance(voice, dict) else voice


class AudioConfig(Part):
    input: AudioInputConfig = Field(default_factory=AudioInputConfig)
    output: AudioOutputConfig = Field(default_factory=AudioOutputConfig)


def _no_parameters() -> dict[str, JsonValue]:
    return {"type": "object", "properties": {}}


class FunctionTool(Part):
    type: Literal["function"]
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str = Field(default="", max_length=4000)
    parameters: dict[str, JsonValue] = Field(default_factory=_no_parameters)


class ToolChoiceFunction(Part):
    type: Literal["function"]
    name: str = Field(min_length=1, max_length=64)


ToolChoice: TypeAlias = Literal["none", "auto", "required"] | ToolChoiceFunction
Modality: TypeAlias = Literal["text", "audio"]
Modalities: TypeAlias = Annotated[list[Modality], Field(min_length=1, max_length=1)]
MaxTokens: TypeAlias = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]


class TokenLimits(Part):
    post_instructions: Annotated[int, Field(ge=0)]


class RetentionRatio(Part):
    """How much of a long conversation is kept when it is cut. Ours is cut by its number of items; this is only echoed."""

    type: Literal["retention_ratio"]
    retention_ratio: float = Field(ge=0.0, le=1.0)
    token_limits: TokenLimits | None = None


class Tracing(Part):
    """Only echoed."""

    workflow_name: str | None = Field(default=None, max_length=200)
    group_id: str | None = Field(default=None, max_length=200)
    metadata: dict[str, JsonValue] | None = None


def _spoken() -> list[Modality]:
    return ["audio"]


class RealtimeConfig(Part):
    """Of a conversation."""

    type: Literal["realtime"]
    model: str = Field(default=DEFAULT_MODEL, min_length=1, max_length=200)
    output_modalities: Modalities = Field(default_factory=_spoken)
    instructions: str = Field(default="", max_length=MAX_INSTRUCTIONS)
    audio: AudioConfig = Field(default_factory=AudioConfig)
    tools: list[FunctionTool] = Field(default_factory=list, max_length=MAX_TOOLS)
    tool_choice: ToolChoice = "auto"
    max_output_tokens: MaxTokens = "inf"
    truncation: Literal["auto", "disabled"] | RetentionRatio = "auto"
    tracing: Literal["auto"] | Tracing | None = None
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None

    @model_validator(mode="before")
    @classmethod
    def _only_functions(cls, data: object) -> object:
        """Tools that only OpenAI's own servers can run (MCP) are refused, not forgotten."""
        tools = data.get("tools") if isinstance(data, dict) else None
        for tool in tools if isinstance(tools, list) else []:
            if isinstance(tool, dict) and tool.get("type") not in (None, "function"):
                raise ValueError(f"tools of type {_shown(tool.get('type'))} are not supported; use functions")
        return data


class TranscriptionAudio(Part):
    input: AudioInputConfig = Field(default_factory=AudioInputConfig)


class TranscriptionConfig(Part):
    """Of a session that only writes down."""

    type: Literal["transcription"]
    audio: TranscriptionAudio = Field(default_factory=TranscriptionAudio)
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None


SessionConfig: TypeAlias = RealtimeConfig | TranscriptionConfig


class ConfigError(InputError):
    """`param` is the path of what is wrong, such as "session.audio.output.speed"."""

    code = "invalid_value"

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


def updated(current: SessionConfig, update: dict[str, Any]) -> SessionConfig:
    """`current` with `update` merged into it. Raises `ConfigError`; `current` is not changed.

    The kind of session cannot change: a conversation stays one.
    """
    kind = update.get("type", current.type)
    if kind != current.type:
        raise ConfigError(f"The session's type is {current.type!r} and cannot become {_shown(kind)}", "session.type")
    merged = _merge(current.model_dump(mode="json"), _known_aliases(update))
    try:
        config = type(current).model_validate(merged)
    except ValidationError as error:
        raise _config_error(error) from None
    if len(config.model_dump_json()) > MAX_CONFIG:
        raise ConfigError(f"The session's configuration is longer than {MAX_CONFIG} characters", "session")
    return config


def first_config(data: dict[str, Any]) -> SessionConfig:
    """From what a client or a client secret gives at the start, `{"type": "realtime", ...}`."""
    kind = data.get("type", "realtime")
    if kind not in ("realtime", "transcription"):
        raise ConfigError(f"A session's type is 'realtime' or 'transcription', not {_shown(kind)}", "session.type")
    start: SessionConfig = RealtimeConfig(type="realtime") if kind == "realtime" else TranscriptionConfig(type="transcription")
    return updated(start, {**data, "type": kind})


def echoed(config: SessionConfig, session_id: str, *, expires_at: int | None = None) -> dict[str, Any]:
    """The effective configuration as `session.created` and `session.updated` carry it.

    Parts are given without keys that are not set: clients refuse some of those that they do not know, and null for others.
    """
    data = config.model_dump(mode="json")
    listening = data["audio"]["input"]
    for part in ("transcription", "turn_detection"):
        if listening[part] is not None:
            listening[part] = _set_only(listening[part])
    for part in ("tracing", "truncation"):
        if isinstance(data.get(part), dict):
            data[part] = _set_only(data[part])
    if data.get("include") is None:
        data.pop("include", None)
    realtime = config.type == "realtime"
    head = {"type": data.pop("type"), "object": "realtime.session" if realtime else "realtime.transcription_session"}
    return {**head, "id": session_id, **({"expires_at": expires_at} if expires_at else {}), **data}


def _set_only(part: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if value is not None}


def _shown(value: Any) -> str:
    """Of whatever a client sent, so much that it knows it again."""
    return repr(value)[:100] if isinstance(value, str) else type(value).__name__


def _merge(base: Any, update: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(update, dict):
        return copy.deepcopy(update)
    if "type" in update and update["type"] != base.get("type"):
        return copy.deepcopy(update)  # another kind of thing: its fields do not mix
    merged = dict(base)
    for key, value in update.items():
        merged[key] = _merge(base.get(key), value)
    return merged


def _known_aliases(update: dict[str, Any]) -> dict[str, Any]:
    """`modalities` is what clients of the beta protocol call output_modalities; both at once meant: audio with its text."""
    if "modalities" not in update or "output_modalities" in update:
        return update
    modalities = update["modalities"]
    named = ["audio"] if isinstance(modalities, list) and "audio" in modalities else modalities
    return {**{key: value for key, value in update.items() if key != "modalities"}, "output_modalities": named}


def _config_error(error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    tags = {"audio/pcm", "audio/pcmu", "audio/pcma", "server_vad", "semantic_vad", "constrained-int", "ToolChoiceFunction"}
    path = ".".join(str(step) for step in ("session", *first["loc"]) if step not in tags)[:MAX_SHOWN]
    return ConfigError(f"Invalid value for {path}: {first['msg'][:MAX_SHOWN]}", path)
