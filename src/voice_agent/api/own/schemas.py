"""What the routes under /api answer."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from voice_agent.engines.base import EngineKind
from voice_agent.models import FetchPhase

SESSION_ID = "sess_0f6c1d2e3a4b5c6d7e8f9a0b"

SessionState: TypeAlias = Literal["listening", "thinking", "speaking", "ended"]

WATERFALL = {"vad": 65.0, "stt": 34.1, "llm": 156.0, "clause": 128.2, "tts": 14.0, "hold": 0.0, "playout": 8.1}


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


# ---------------------------------------------------------------- sessions


class Client(Answer):
    """Who holds the session. The id of a key is not its secret."""

    address: str = Field(examples=["127.0.0.1"])
    key_id: str | None = Field(default=None, description="Null where no key was needed.", examples=["laptop-3f2a"])


class SessionSummary(Answer):
    id: str = Field(examples=[SESSION_ID])
    kind: Literal["realtime", "livekit"]
    created: float = Field(description="Unix time in seconds.", examples=[1767225600.5])
    seconds: float = Field(description="How long it has lasted, or did last.", examples=[42.5])
    turns: int = Field(description="Of the person.", examples=[3])
    replies: int = Field(description="Of the agent.", examples=[3])
    state: SessionState = Field(description="What the agent does; `ended` when the session is over.")
    engines: dict[str, str] = Field(
        description="Kind to name (model).", examples=[{"stt": "moonshine (moonshine-tiny-en)", "llm": "local (smollm2-135m)"}]
    )
    client: Client
    listeners: int = Field(default=0, description="Who follows its events now.")


class SessionList(Answer):
    """Running ones first, then the finished ones that are still remembered; the newest first."""

    sessions: list[SessionSummary]
    running: int
    limit: int = Field(description="Sessions that find room.")


class TranscriptItem(Answer):
    """One turn or reply. `text` of the agent is what was heard, `written` all that the model wrote."""

    id: str = Field(examples=["item_1"])
    role: Literal["user", "agent", "system", "tool_call", "tool_output"]
    text: str = Field(examples=["What is the capital of Italy?"])
    at: float = Field(description="Seconds since the session began.", examples=[3.2])
    confidence: float = Field(default=1.0, ge=0, le=1)
    language: str = ""
    by_text: bool = False
    interrupted: bool = False
    written: str = ""
    call_id: str = ""
    name: str = Field(default="", description="Of the function that is called.")


class SpeculationAnswer(Answer):
    hit: bool = Field(description="The reply had begun before the turn ended.")
    wasted_tokens: int
    drafts: int = Field(description="Replies that were dropped on the way.")


class ReplyTiming(Answer):
    """One reply without its words. The stages of the waterfall add up to `voice_to_voice_ms`."""

    turn: int
    reply_id: int
    confidence: float
    language: str
    interrupted: bool
    failed: str = Field(default="", description="Code of the error that ended it.")
    engines: dict[str, str]
    waterfall_ms: dict[str, float] = Field(examples=[WATERFALL])
    voice_to_voice_ms: float | None = Field(
        description="From the end of speech to the first sample; null if nothing was heard.", examples=[405.4]
    )
    speculation: SpeculationAnswer


class SessionDetail(SessionSummary):
    transcript: list[TranscriptItem] | None = Field(
        default=None, description="Null where the caller may not read it, and of a finished session, whose words are not kept."
    )
    timings: list[ReplyTiming] = Field(description="The newest replies, oldest first.")


class SessionEnded(Answer):
    id: str = Field(examples=[SESSION_ID])
    ended: Literal[True] = True


# ---------------------------------------------------------------- configuration


class RealtimeEntry(Answer):
    """How to open a conversation."""

    path: str = Field(description="Of the WebSocket, on this server.", examples=["/v1/realtime"])
    model: str = Field(description="For `?model=`.", examples=["voice-agent"])
    subprotocol: str = Field(description="What browsers ask for.", examples=["realtime"])
    extensions: str = Field(description="Query that switches our own events on.", examples=["extensions=1"])


class VoiceName(Answer):
    name: str = Field(examples=["af_heart"])
    language: str = Field(description="BCP 47 tag.", examples=["en-us"])


class TurnModeAnswer(Answer):
    """`eagerness` is what a client sends in `turn_detection` to get it."""

    name: Literal["patient", "balanced", "eager"]
    eagerness: Literal["low", "medium", "high"]
    min_hold_s: float
    max_hold_s: float
    default: bool


class Limits(Answer):
    sessions: int
    frame_bytes: int = Field(description="Of one WebSocket message.")
    append_bytes: int = Field(description="Of audio in one append, decoded.")
    text_characters: int = Field(description="Of one text.")
    instructions_characters: int


class ConfigAnswer(Answer):
    version: str = Field(examples=["0.1.0"])
    key_required: bool = Field(description="Whether requests need a key.")
    transports: list[Literal["websocket", "livekit"]]
    realtime: RealtimeEntry
    voices: list[VoiceName] = Field(description="Of the engine in use; OpenAI's names work too, see /v1/audio/voices.")
    default_voice: str | None
    blends: bool = Field(description="Whether voices can be blended, such as af_heart:0.7+am_adam:0.3.")
    heard_languages: list[str] | None = Field(description="ISO 639-1; null: the language is detected, among many.")
    spoken_languages: list[str]
    turn_modes: list[TurnModeAnswer]
    instructions: str = Field(description="Who the agent is, unless a session says otherwise.")
    greeting: str
    limits: Limits


# ---------------------------------------------------------------- status


class Queue(Answer):
    """Before the engine's threads."""

    threads: int
    running: int
    waiting: int
    oldest_s: float = Field(description="How long the job that waits longest has waited.")
    mean_wait_ms: float = Field(description="Of all jobs so far.")


class EngineStatus(Answer):
    name: str = Field(examples=["moonshine"])
    model: str | None = Field(description="Null while it is not loaded.", examples=["moonshine-tiny-en"])
    state: Literal["ready", "fetching", "unavailable"]
    detail: str = ""
    progress: float | None = Field(default=None, ge=0, le=1, description="While its weights are being fetched.")
    reason: str = Field(default="", description="Why it is unavailable.")
    remedy: str = Field(default="", description="What mends it.", examples=["voice-agent models fetch whisper-base"])
    weights: str | None = Field(default=None, description="Name for POST /api/models/{name}/fetch, where it has weights.")
    serves: bool = Field(description="New sessions begin with it.")
    sessions: int = Field(description="Running sessions that began with it.")
    queue: Queue | None = Field(default=None, description="Null for an engine without threads of its own.")


class KindStatus(Answer):
    kind: EngineKind
    engines: list[EngineStatus] = Field(description="In order of preference.")


class Latency(Answer):
    """Means over the newest replies of all sessions."""

    replies: int
    voice_to_voice_ms: float | None
    stages_ms: dict[str, float] = Field(examples=[WATERFALL])


class Hardware(Answer):
    system: str = Field(examples=["Linux-6.8-x86_64"])
    processors: float = Field(description="That this process may use; a container's share counts.")
    memory_bytes: int
    memory_available_bytes: int
    process_bytes: int = Field(description="Resident memory of this process.")
    load_average: float | None = Field(description="Of the last minute; null where the system has none.")


class FetchStatus(Answer):
    """`failed` holds why the last attempt ended without the weights."""

    model: str = Field(examples=["whisper-base"])
    state: Literal["present", "fetching", "failed"]
    phase: FetchPhase | None = None
    progress: float | None = Field(default=None, ge=0, le=1)
    bytes_done: int = 0
    bytes_total: int = 0
    source: str = ""
    failed: str = ""


class StatusAnswer(Answer):
    version: str
    uptime_s: float
    sessions: int
    limit: int
    draining: bool
    engines: list[KindStatus]
    latency: Latency
    fetches: list[FetchStatus]
    hardware: Hardware


ModelName: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]
