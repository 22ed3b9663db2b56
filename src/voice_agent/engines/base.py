"""What the session needs of an engine, and nothing more.

Each kind has a shared *model* (loaded once per process, owns its threads, used by every session) and, where an engine keeps
something per turn or per session, a cheap *stream* made by the model. Vendor types stay behind these protocols; failures
leave as `EngineError` (errors.py). Fakes of all of them are in fakes.py and pass the same contract tests.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]
"""Mono PCM in [-1, 1], shape (n,). Into engines always at 16 kHz."""

Pcm16: TypeAlias = NDArray[np.int16]
"""Mono 16-bit PCM, shape (n,)."""

INPUT_RATE = 16_000
"""Hz of all audio that goes into an engine (Silero, Smart Turn, Whisper and Moonshine are all trained at 16 kHz)."""

EngineKind = Literal["vad", "stt", "turn", "llm", "tts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The engine can serve a session now. `detail` says what it runs on, such as "int8 on 2 CPU threads"."""

    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """Its weights are on their way. `progress` is in [0, 1]."""

    progress: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """It cannot be used; `remedy` is the command or setting that mends it."""

    reason: str
    remedy: str = ""


EngineState: TypeAlias = Ready | Fetching | Unavailable


class Engine(Protocol):
    """`name` as in the settings, such as "moonshine"; `model` is what it runs, such as "moonshine-tiny-en"."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str: ...

    async def aclose(self) -> None:
        """Ends its threads. Idempotent. Calls that are under way end with `EngineUnavailable` or are cancelled."""
        ...


# ---------------------------------------------------------------- voice activity


class VadStream(Protocol):
    """State of one speaker's audio. Not thread-safe; costs 0.1 to 0.3 ms per window, so it is called on the loop."""

    def probability(self, window: Samples) -> float:
        """Probability in [0, 1] that `window` (exactly `window_samples` long, never modified) holds speech."""
        ...

    def reset(self) -> None: ...


class VadModel(Engine, Protocol):
    @property
    def window_samples(self) -> int:
        """512 for Silero: 32 ms at 16 kHz."""
        ...

    def stream(self) -> VadStream: ...


# ---------------------------------------------------------------- speech to text


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word with its times in seconds from the start of the audio it belongs to."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What was recognised.

    `text` is "" when nothing was. `confidence` in [0, 1] is exp(mean token log-probability). `stable_words` counts the
    leading words of a partial that are not expected to change any more (all of them in a final). `language` is an ISO 639-1
    code. `words` is empty for an engine without word times. `queued_s` and `compute_s` tell where the time went.
    """

    text: str
    confidence: float
    language: str
    stable_words: int = 0
    words: tuple[Word, ...] = ()
    audio_s: float = 0.0
    queued_s: float = 0.0
    compute_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SttCapabilities:
    """`languages` empty means: detects the language itself and knows many."""

    languages: tuple[str, ...] = ()
    word_times: bool = False


class SttStream(Protocol):
    """One turn of one speaker. Methods are called on the loop; the work is done in the engine's threads."""

    def accept(self, samples: Samples) -> None:
        """Adds audio (any length, kept by copy). Cheap."""
        ...

    async def partial(self) -> Transcript | None:
        """The transcript so far, or None where this one was skipped because a final waits."""
        ...

    async def final(self) -> Transcript:
        """Transcript of all audio accepted so far, decoded from scratch, first in the queue.

        More audio may be accepted afterwards and `final` called again: the turn went on. Cancelling the awaiting task
        cancels the work where the engine can.
        """
        ...

    def close(self) -> None:
        """Forgets the audio; pending calls are cancelled. Idempotent."""
        ...


class SttModel(Engine, Protocol):
    @property
    def capabilities(self) -> SttCapabilities: ...

    def stream(self, *, session: str, language: str | None = None, hint: str = "") -> SttStream:
        """`session` is for fairness between sessions. `language` None: detect. `hint`: words to expect, if the engine can."""
        ...


# ---------------------------------------------------------------- end of turn


class TurnDetector(Engine, Protocol):
    async def probability(self, turn: Samples, *, session: str) -> float:
        """Probability in [0, 1] that the speaker has finished, given all audio of the turn up to the pause."""
        ...


# ---------------------------------------------------------------- language model


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call; `parameters` is its JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A complete call; `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of the context. `tool_calls` on an assistant message, `tool_call_id` on a tool's answer."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmRequest:
    """`session` lets an engine keep that session's prompt cache. `tool_choice` is "auto", "none", "required" or a tool's name."""

    messages: tuple[Message, ...]
    session: str
    max_tokens: int = 300
    temperature: float = 0.6
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmUsage:
    """Comes last, once, where the engine tells it."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmSwitched:
    """Told by a chain of engines before the first text: `engine` serves this request because another failed (`why`)."""

    engine: str
    model: str
    why: str


LlmDelta: TypeAlias = TextDelta | ToolCall | LlmUsage | LlmSwitched


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmCapabilities:
    """`small` marks a demo model that needs short prompts and short history (offline-default); `tools`: it can call functions;
    `caches_prompts`: `warm` with the history as it is makes the next answer come sooner."""

    tools: bool
    context_tokens: int
    small: bool = False
    caches_prompts: bool = False


class LlmModel(Engine, Protocol):
    @property
    def capabilities(self) -> LlmCapabilities: ...

    def stream(self, request: LlmRequest) -> AsyncIterator[LlmDelta]:
        """The answer as it is generated. An async generator: closing it (or cancelling its consumer) ends the generation.

        Raises `EngineTimeout` when the first token is too late, `EngineFailed`/`EngineUnavailable` otherwise.
        """
        ...

    async def warm(self, request: LlmRequest) -> None:
        """Prepares for a request that will begin with these messages (prompt cache, connection). Best effort, never raises."""
        ...


# ---------------------------------------------------------------- text to speech


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRequest:
    """One clause. `text` is plain text as a person would write it; the engine makes it speakable."""

    text: str
    voice: str | None = None
    language: str = "en"
    speed: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechChunk:
    """Audio of a clause, in order. `words` are the words whose audio begins in this chunk, as they stand in the request's
    text (so that joining them gives the text back, up to white space), with times from the start of the clause."""

    pcm: Pcm16
    sample_rate: int
    words: tuple[Word, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class TtsCapabilities:
    sample_rate: int
    voices: tuple[str, ...]
    languages: tuple[str, ...]
    blends: bool = False


class TtsModel(Engine, Protocol):
    @property
    def capabilities(self) -> TtsCapabilities: ...

    def speak(self, request: SpeechRequest, *, session: str) -> AsyncIterator[SpeechChunk]:
        """Audio of the clause as it is made. An async generator; closing it stops the synthesis as soon as the engine can.

        Leading silence is trimmed to at most 20 ms. Text with nothing to say ends without a chunk. An unknown voice raises
        `InputError` that names what is allowed.
        """
        ...

    def check_voice(self, voice: str) -> None:
        """Raises `InputError` (code "tts.unknown_voice") if `voice` (a name, or a blend where `blends`) cannot be spoken."""
        ...


@runtime_checkable
class SupportsWarmUp(Protocol):
    """An engine whose first use is slow."""

    async def warm_up(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """The engines of one session. `stt`, `llm` and `tts` may be chains (registry.py) that fall to the next one."""

    vad: VadModel
    stt: SttModel
    turn: TurnDetector | None
    llm: LlmModel
    tts: TtsModel

    def names(self) -> dict[str, str]:
        """Kind to "name (model)", for people."""
        chosen: Sequence[tuple[str, Engine | None]] = [
            ("vad", self.vad), ("stt", self.stt), ("turn", self.turn), ("llm", self.llm), ("tts", self.tts),
        ]  # fmt: skip
        return {kind: f"{engine.name} ({engine.model})" for kind, engine in chosen if engine is not None}
