"""What has happened: the inputs of the machine, in the past tense.

Times (`at`) are seconds on the session's clock; for audio they are counted in samples of that speaker's stream. Ids:
`utterance_id` counts one speaker's utterances, `reply_id` the session's replies; an answer that names an older one is stale.
"""

from dataclasses import dataclass
from typing import TypeAlias

from voice_agent.conversation.settings import ConversationSettings
from voice_agent.conversation.transcript import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerJoined:
    speaker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerLeft:
    speaker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted:
    """VAD onset: utterance `utterance_id` began at `at` (its acoustic start, a little before now)."""

    speaker: str
    utterance_id: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStopped:
    """The first silent window after speech; `at` is the acoustic end of the utterance."""

    speaker: str
    utterance_id: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioAdvanced:
    """The speaker's audio has been looked at up to `at`. Sent with every VAD window while a turn of theirs is open.

    `humming`: the utterance has had nothing but the sound of a closed mouth so far (only told over the agent's voice).
    """

    speaker: str
    at: float
    humming: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptPartial:
    """The turn so far, up to somewhere in utterance `utterance_id`. The first `stable_words` words will hardly change."""

    speaker: str
    utterance_id: int
    text: str
    stable_words: int = 0
    confidence: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptFinal:
    """The whole turn up to the end of utterance `utterance_id`. `text` is empty when nothing was said."""

    speaker: str
    utterance_id: int
    text: str
    confidence: float = 1.0
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptFailed:
    speaker: str
    utterance_id: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnProbability:
    """How likely it is, from the sound, that the turn ended with utterance `utterance_id`."""

    speaker: str
    utterance_id: int
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TextReceived:
    """A turn by text. Without `reply` it is only written down."""

    speaker: str
    text: str
    reply: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InputCommitted:
    """Manual mode: the client says that the turn has ended."""

    speaker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputCleared:
    """The client withdraws what was said in the open turn."""

    speaker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRequested:
    """The client asks for a reply to the transcript as it is. `instructions` hold for this reply only; `request_id` is handed
    on in `StartReply`, for whoever keeps more about the request."""

    instructions: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SayRequested:
    """The agent shall say this (a greeting). Dropped if somebody speaks or a reply is on its way."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyCancelled:
    """The client (or the person, by a button) wants the agent to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyTextAdded:
    """The language model has written more of the reply."""

    reply_id: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCalled:
    """The language model calls a function as part of the reply; `arguments` is JSON."""

    reply_id: int
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyGenerated:
    """Text and audio of the reply are complete; playout may lie behind."""

    reply_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyFailed:
    """No more will come. `code` is the error's. `partly`: some of it has been or will be played, `PlayoutFinished` follows."""

    reply_id: int
    code: str
    partly: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayoutStarted:
    """The first audible sample of the reply has left."""

    reply_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayoutAdvanced:
    """`heard` is the reply's text up to the playout position: whole words, a prefix of what was written."""

    reply_id: int
    heard: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayoutFinished:
    """Everything has been played; `heard` is all of it."""

    reply_id: int
    heard: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemInserted:
    """The client has put `item` into the transcript: at its end, or behind `after` ("" for the head). Dropped if it has no id, its
    id is taken (also by a turn that is still open) or `after` is not there."""

    item: Item
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRemoved:
    """The client has taken an item out of the transcript. A reply that is playing ends."""

    item_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemTruncated:
    """The client tells what was heard of a reply. If it is playing, it ends there."""

    item_id: str
    heard: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChanged:
    """They hold from now on."""

    settings: ConversationSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """The transport is gone: the conversation ends."""

    reason: str = ""


Event: TypeAlias = (
    SpeakerJoined
    | SpeakerLeft
    | SpeechStarted
    | SpeechStopped
    | AudioAdvanced
    | TranscriptPartial
    | TranscriptFinal
    | TranscriptFailed
    | TurnProbability
    | TextReceived
    | InputCommitted
    | InputCleared
    | ReplyRequested
    | SayRequested
    | ReplyCancelled
    | ReplyTextAdded
    | ToolCalled
    | ReplyGenerated
    | ReplyFailed
    | PlayoutStarted
    | PlayoutAdvanced
    | PlayoutFinished
    | ItemInserted
    | ItemRemoved
    | ItemTruncated
    | SettingsChanged
    | Disconnected
)
