"""What we tell beyond the protocol, to clients that asked for it (`?extensions=1`). docs/reference/realtime-extensions.md.

Each event is one of these models; their JSON Schema is what the web page's types are made from.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from voice_agent.session.report import TurnReport


class Extension(BaseModel):
    model_config = ConfigDict(frozen=True)


class AgentState(Extension):
    """What the agent is doing."""

    type: Literal["voice_agent.state"] = "voice_agent.state"
    state: Literal["listening", "thinking", "speaking"]


class PartialTranscript(Extension):
    """The person's turn so far, all of it, with each new partial. The first `stable_words` words will hardly change."""

    type: Literal["voice_agent.partial"] = "voice_agent.partial"
    item_id: str
    text: str
    stable_words: int
    confidence: float


class TurnTranscript(Extension):
    """How sure the recogniser is of a turn."""

    type: Literal["voice_agent.turn"] = "voice_agent.turn"
    item_id: str
    text: str
    confidence: float
    language: str


class HeardWord(Extension):
    """Times are in the item's audio."""

    text: str
    start_ms: int
    end_ms: int


class Heard(Extension):
    """The item's words that have been heard by the server's reckoning: all of them as text, the new ones with their times."""

    type: Literal["voice_agent.heard"] = "voice_agent.heard"
    response_id: str
    item_id: str
    text: str
    words: list[HeardWord]


class PlayoutPaused(Extension):
    """Someone talks over the agent: fall silent, it may go on."""

    type: Literal["voice_agent.playout.paused"] = "voice_agent.playout.paused"
    response_id: str


class PlayoutResumed(Extension):
    """It was no interruption: audio comes again from the word that was cut."""

    type: Literal["voice_agent.playout.resumed"] = "voice_agent.playout.resumed"
    response_id: str


class SpeculationReport(Extension):
    hit: bool
    wasted_tokens: int
    drafts: int


class ReplyReport(Extension):
    """Where the time of a reply went. The stages add up to `voice_to_voice_ms`."""

    type: Literal["voice_agent.reply"] = "voice_agent.reply"
    response_id: str
    turn: int
    user_text: str
    reply_text: str
    heard_text: str
    interrupted: bool
    failed: str
    engines: dict[str, str]
    waterfall_ms: dict[str, float]
    voice_to_voice_ms: float | None
    speculation: SpeculationReport


def reply_report(response_id: str, report: TurnReport) -> ReplyReport:
    """The session's report, as it is told."""
    speculation = report.speculation
    return ReplyReport(
        response_id=response_id,
        turn=report.turn,
        user_text=report.user_text,
        reply_text=report.reply_text,
        heard_text=report.heard_text,
        interrupted=report.interrupted,
        failed=report.failed,
        engines=report.engines,
        waterfall_ms=report.waterfall_ms,
        voice_to_voice_ms=report.voice_to_voice_ms,
        speculation=SpeculationReport(hit=speculation.hit, wasted_tokens=speculation.wasted_tokens, drafts=speculation.drafts),
    )


ExtensionEvent: TypeAlias = Annotated[
    AgentState | PartialTranscript | TurnTranscript | Heard | PlayoutPaused | PlayoutResumed | ReplyReport,
    Field(discriminator="type"),
]


def extension_schema() -> dict[str, Any]:
    """JSON Schema of every extension event."""
    return TypeAdapter(ExtensionEvent).json_schema()
