"""Every setting, with its unit, its default and what it may be.

A field `model` of the group `stt` is `stt.model` for flags and `STT_MODEL` in the environment and in .env. The tree is built
once (load.py), frozen, and passed down in slices.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from voice_agent.conversation.settings import EndpointingSettings
from voice_agent.settings.fields import AnyCase, ApiKey, HttpUrl, Items, ItemsOrOff, Language, Threads, UserPath, without_password

SttEngine: TypeAlias = Literal["faster-whisper", "moonshine"]
TurnEngine: TypeAlias = Literal["smart-turn"]
LlmEngine: TypeAlias = Literal["groq", "openai-compatible", "local"]
TtsEngine: TypeAlias = Literal["kokoro", "espeak"]
TurnMode: TypeAlias = Literal["patient", "balanced", "eager"]

WHISPER_MODELS = ("tiny", "base", "small", "medium", "large-v3", "large-v3-turbo")
"""With "whisper-" before them, those of the model catalogue (a test compares them)."""

LOCAL_MODELS = ("smollm2-135m", "qwen2.5-0.5b-instruct", "qwen2.5-1.5b-instruct")
"""The language models of the catalogue."""

_BALANCED = EndpointingSettings()
HOLDS_S: dict[TurnMode, tuple[float, float]] = {
    "patient": (0.5, 2.2),
    "balanced": (_BALANCED.min_hold_s, _BALANCED.max_hold_s),
    "eager": (0.2, 0.9),
}
"""Shortest and longest hold of each mode, in seconds. Below 200 ms people feel cut in on; past 2 s an agent seems absent."""


class Group(BaseModel):
    # No word of a value in pydantic's own messages: it might be a secret. load.py writes the messages.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, without_password(value) if isinstance(value, str) else value


class AudioSettings(Group):
    chunk_samples: int = Field(
        default=4096, ge=512, le=65_536, description="New speech per partial transcript, in samples at 16 kHz (4096 are 256 ms)"
    )


class VadSettings(Group):
    threshold: float = Field(default=0.5, gt=0, lt=1, description="Speech begins when its probability reaches this")
    release: float = Field(default=0.35, gt=0, lt=1, description="Speech goes on until its probability falls below this")

    @model_validator(mode="after")
    def _release_below_threshold(self) -> Self:
        if self.release > self.threshold:
            raise ValueError(f"VAD_RELEASE ({self.release}) must not lie above VAD_THRESHOLD ({self.threshold})")
        return self


class SttSettings(Group):
    engines: Annotated[tuple[SttEngine, ...], Items] = Field(
        default=("faster-whisper", "moonshine"), min_length=1, description="Speech recognisers; the first that is ready serves"
    )
    model: str = Field(
        default="base",
        min_length=1,
        description="Whisper model of faster-whisper",
        json_schema_extra={"allowed": f"{', '.join(WHISPER_MODELS)} or the path of a folder, with a / in it"},
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where Whisper runs; auto takes a GPU when there is one"
    )
    compute_type: Literal["auto", "int8", "int8_float16", "float16", "float32"] = Field(
        default="auto", description="Number format of Whisper; auto is int8 on a CPU and float16 on a GPU"
    )
    language: Language = Field(default=None, description="Language of the speech; auto detects it")
    threads: Threads = Field(default=None, description="Threads of one recognition; as many as suit the machine when not set")
    workers: Threads = Field(default=None, description="Recognitions at the same time; as many as suit the machine when not set")
    hint: str = Field(default="", max_length=2000, description="Names and words to expect, for engines that take a hint")

    @field_validator("model")
    @classmethod
    def _name_or_folder(cls, model: str) -> str:
        if model not in WHISPER_MODELS and "/" not in model:
            raise ValueError("neither a name nor a folder")
        return model

    @property
    def folder(self) -> Path | None:
        """Of Whisper weights that are not the catalogue's. A name is a name, even where a folder is called the same."""
        return None if self.model in WHISPER_MODELS else Path(self.model).expanduser()

    @model_validator(mode="after")
    def _format_fits_device(self) -> Self:
        if self.device == "cpu" and "float16" in self.compute_type:
            raise ValueError(f"STT_COMPUTE_TYPE={self.compute_type} needs a GPU, and STT_DEVICE is cpu")
        return self


class TurnSettings(Group):
    engines: Annotated[tuple[TurnEngine, ...], ItemsOrOff] = Field(
        default=("smart-turn",),
        description="Acoustic end-of-turn models; off leaves it to silence and words",
        json_schema_extra={"allowed": "smart-turn or off"},
    )
    mode: Annotated[TurnMode, AnyCase] = Field(default="balanced", description="How soon silence counts as the end of a turn")
    min_hold_s: float | None = Field(
        default=None, ge=0, le=10, description="Silence that ends a turn which sounds complete, in s; else by turn.mode"
    )
    max_hold_s: float | None = Field(
        default=None, ge=0, le=30, description="Silence that ends a turn which sounds unfinished, in s; else by turn.mode"
    )
    learn: bool = Field(
        default=True, description="Lengthen the hold for speakers who pause long, shorten it for those who never do"
    )
    speculate: bool = Field(default=True, description="Begin the reply while it is not yet sure that the turn has ended")
    barge_in: bool = Field(default=True, description="Speech over the agent interrupts it")
    interruption_guard_s: float = Field(
        default=0.4, ge=0, le=5, description="Speech of this length interrupts the agent before any word of it is recognised, in s"
    )

    @property
    def holds_s(self) -> tuple[float, float]:
        """Shortest and longest hold."""
        low, high = HOLDS_S[self.mode]
        return low if self.min_hold_s is None else self.min_hold_s, high if self.max_hold_s is None else self.max_hold_s

    @model_validator(mode="after")
    def _holds_in_order(self) -> Self:
        low, high = self.holds_s
        if low > high:
            raise ValueError(f"TURN_MIN_HOLD_S ({low:g}) must not lie above TURN_MAX_HOLD_S ({high:g} in mode {self.mode})")
        return self


class LlmSettings(Group):
    engines: Annotated[tuple[LlmEngine, ...], Items] = Field(
        default=("groq", "openai-compatible", "local"), min_length=1, description="Language models; the first that is ready serves"
    )
    temperature: float = Field(
        default=0.6, ge=0, le=2, description="0 gives the most likely answer; does not apply to the small demo model"
    )
    max_tokens: int = Field(default=300, ge=16, le=8192, description="Longest answer, in tokens")
    first_token_timeout_s: float = Field(
        default=5.0, gt=0, le=120, description="When no word of the answer has come after this, in s, the next engine is asked"
    )


class GroqSettings(Group):
    api_key: ApiKey = Field(default=None, description="Key for Groq")
    model: str = Field(default="llama-3.3-70b-versatile", min_length=1, description="Model at Groq")
    base_url: HttpUrl | None = Field(default=None, description="Another address for Groq's interface")


class OpenaiSettings(Group):
    api_key: ApiKey = Field(default=None, description="Key for the OpenAI-compatible server, if it wants one")
    base_url: HttpUrl | None = Field(default=None, description="Address of an OpenAI-compatible server, with its /v1")
    model: str = Field(default="gpt-4o-mini", min_length=1, description="Model at the OpenAI-compatible server")


class LocalSettings(Group):
    model: str = Field(
        default="smollm2-135m",
        min_length=1,
        description="Language model in this process",
        json_schema_extra={"allowed": f"{', '.join(LOCAL_MODELS)} or the path of a .gguf file"},
    )
    threads: Threads = Field(
        default=None, description="Threads of the local language model; as many as suit the machine when not set"
    )
    context_tokens: int = Field(default=2048, ge=512, le=131_072, description="Context of one session, in tokens")

    @field_validator("model")
    @classmethod
    def _name_or_file(cls, model: str) -> str:
        if model not in LOCAL_MODELS and not model.endswith(".gguf"):
            raise ValueError("neither a name nor a file")
        return model

    @property
    def file(self) -> Path | None:
        """A model that is not the catalogue's."""
        return None if self.model in LOCAL_MODELS else Path(self.model).expanduser()


class TtsSettings(Group):
    engines: Annotated[tuple[TtsEngine, ...], Items] = Field(
        default=("kokoro", "espeak"), min_length=1, description="Speech synthesisers; the first that is ready serves"
    )
    voice: str | None = Field(
        default=None, min_length=1, max_length=200, description="Voice, or a blend such as af_heart:0.7+am_adam:0.3"
    )
    speed: float = Field(default=1.0, ge=0.5, le=2, description="1 is the voice's own pace")
    language: Language = Field(default=None, description="Language that the agent speaks; auto is English")


class KokoroSettings(Group):
    threads: Threads = Field(default=None, description="Threads of Kokoro; as many as suit the machine when not set")
    model: UserPath = Field(default=None, description="Kokoro's ONNX file, if not the catalogue's")
    voices: UserPath = Field(default=None, description="Kokoro's voices file, if not the catalogue's")

    @model_validator(mode="after")
    def _both_files_or_none(self) -> Self:
        if (self.model is None) != (self.voices is None):
            raise ValueError("KOKORO_MODEL and KOKORO_VOICES belong together: set both or neither")
        return self


class ConversationSettings(Group):
    instructions: str = Field(
        default="You are a friendly voice assistant. Answer in one or two short spoken sentences.",
        max_length=32_000,
        description="Who the agent is and how it answers",
    )
    greeting: str = Field(default="", max_length=2000, description="What the agent says first; nothing when empty")
    idle_timeout_s: float | None = Field(
        default=None, ge=1, le=86_400, description="Silence of everybody that ends the session, in s"
    )
    history_turns: int = Field(default=20, ge=0, le=1000, description="Turns of the conversation that the language model is shown")


class ModelsSettings(Group):
    dir: UserPath = Field(default=None, description="Where weights are kept; a folder in the user's cache when not set")
    hub_url: HttpUrl | None = Field(
        default=None, description="Address of a model hub or of a mirror; HF_ENDPOINT or the public hub when not set"
    )
    offline: bool = Field(default=False, description="Never fetch weights; use what is there")
    auto_fetch: bool = Field(default=True, description="Fetch missing weights when a command needs them")


class LogSettings(Group):
    level: Annotated[Literal["debug", "info", "warning", "error"], AnyCase] = Field(default="warning", description="What is logged")
    content: bool = Field(default=False, description="Logs and event logs may hold what was said")
    events_dir: UserPath = Field(default=None, description="Folder for one event log per session; none is written when not set")


class ServerSettings(Group):
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        max_length=255,
        description="Address that the server binds; others than this machine need keys",
    )
    port: int = Field(default=8000, ge=0, le=65_535, description="Port of the server; 0 takes a free one")
    require_key: bool = Field(default=False, description="Ask for a key on this machine's own address too")
    keys_file: UserPath = Field(default=None, description="File of the keys; one in the user's configuration when not set")
    allowed_origins: Annotated[tuple[str, ...], ItemsOrOff] = Field(
        default=(),
        description="Web pages of other origins that may use the server, such as https://app.example.com",
        json_schema_extra={"allowed": "a comma-separated list of origins, or off"},
    )
    allowed_hosts: Annotated[tuple[str, ...], ItemsOrOff] = Field(
        default=(),
        description="Names that the server may be addressed by, besides those of its own address",
        json_schema_extra={"allowed": "a comma-separated list of host names, or off"},
    )
    trusted_proxies: Annotated[tuple[str, ...], ItemsOrOff] = Field(
        default=(),
        description="Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto count",
        json_schema_extra={"allowed": "a comma-separated list of addresses, or off"},
    )
    max_sessions: int | None = Field(
        default=None, ge=1, le=10_000, description="Sessions at the same time; from processors and memory when not set"
    )
    sessions_per_client: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Sessions of one key or address; when not set a quarter of the server's, without limit for this machine",
    )
    requests_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Requests of one key or address; when not set 600, without limit for this machine",
    )
    drain_s: float = Field(
        default=30.0, ge=0, le=3600, description="How long running sessions may go on when the server stops, in s"
    )
    tls_cert: UserPath = Field(default=None, description="Certificate (PEM, with its chain) for https and wss")
    tls_key: UserPath = Field(default=None, description="Private key (PEM) of the certificate")

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("SERVER_TLS_CERT and SERVER_TLS_KEY belong together: set both or neither")
        return self


class Settings(Group):
    """All settings. Each group goes to the part that it is for."""

    audio: AudioSettings = AudioSettings()
    vad: VadSettings = VadSettings()
    stt: SttSettings = SttSettings()
    turn: TurnSettings = TurnSettings()
    llm: LlmSettings = LlmSettings()
    groq: GroqSettings = GroqSettings()
    openai: OpenaiSettings = OpenaiSettings()
    local: LocalSettings = LocalSettings()
    tts: TtsSettings = TtsSettings()
    kokoro: KokoroSettings = KokoroSettings()
    conversation: ConversationSettings = ConversationSettings()
    models: ModelsSettings = ModelsSettings()
    server: ServerSettings = ServerSettings()
    log: LogSettings = LogSettings()
