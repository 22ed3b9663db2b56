"""What is to be done: the outputs of the machine, in the imperative. The session carries them out in order."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

AgentState = Literal["listening", "thinking", "speaking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFinal:
    """Transcribe the speaker's turn up to the end of this utterance, first in the queue; judge the end of turn by its sound."""

    speaker: str
    utterance_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitTurn:
    """The turn has ended and stands in the transcript as item `item_id`. The speaker's audio starts afresh."""

    speaker: str
    item_id: str
    text: str
    confidence: float
    language: str
    by_text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardTurn:
    """What was heard was no turn (noise, a backchannel, withdrawn, not recognised); the speaker's audio starts afresh."""

    speaker: str
    reason: Literal["empty", "backchannel", "echo", "cleared", "failed", "left"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingTurn:
    """A turn that is not committed yet."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReply:
    """Generate the reply to the transcript plus `pending`. While `speculative` its audio waits for `CommitReply`.

    `instructions` hold for this reply only; `request_id` is that of the `ReplyRequested` it answers; `idle` marks a reply to
    silence.
    """

    reply_id: int
    pending: tuple[PendingTurn, ...] = ()
    speculative: bool = False
    instructions: str = ""
    request_id: str = ""
    idle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SayText:
    """Speak a text as reply `reply_id`, without the language model: `text`, or the notice of that name in the person's language
    (an apology for a reply that was lost, or for words that were not understood)."""

    reply_id: int
    notice: Literal["reply_lost", "not_understood"] | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitReply:
    """The turn it answers has been committed: let its audio out."""

    reply_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelReply:
    """Stop generating; none of it was audible, nobody will know."""

    reply_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTool:
    """Have the client carry out this call of a committed reply; it stands in the transcript as `item_id`."""

    reply_id: int
    item_id: str
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PausePlayout:
    """Someone talks over the agent: fall silent at once and keep what is left, it may go on."""

    reply_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumePlayout:
    """It was no interruption: go on from the word where it stopped."""

    reply_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopPlayout:
    """The agent was interrupted: drop the rest of this reply's text and audio."""

    reply_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReply:
    """The reply is over and stands in the transcript (as `item_id`) as what was heard. `written` is all the model wrote;
    `failed` holds an error code."""

    reply_id: int
    item_id: str
    heard: str
    written: str
    interrupted: bool
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportIdle:
    """Nobody has said anything for the idle time."""

    silent_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportState:
    """What the agent is doing, for people to see."""

    state: AgentState


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSession:
    reason: str


Effect: TypeAlias = (
    RequestFinal
    | CommitTurn
    | DiscardTurn
    | StartReply
    | SayText
    | CommitReply
    | CancelReply
    | CallTool
    | PausePlayout
    | ResumePlayout
    | StopPlayout
    | RecordReply
    | ReportIdle
    | ReportState
    | EndSession
)
