"""The states of a conversation and every transition between them. All transition logic is in this file.

Two machines run side by side: one per speaker (what is known of their turn) and one for the agent's reply. They meet in
machine.py, which fires the triggers. The diagrams in docs/ are generated from these tables.
"""

from dataclasses import dataclass, field
from enum import Enum

from voice_agent.conversation.effects import PendingTurn
from voice_agent.conversation.endpointing import PauseModel
from voice_agent.conversation.events import ToolCalled
from voice_agent.conversation.interruption import Evidence


class Listening(Enum):
    """Of one speaker."""

    QUIET = "quiet"
    """No turn is open."""
    SPEAKING = "speaking"
    """Inside an utterance."""
    PAUSED = "paused"
    """Silence within a turn; the hold runs."""
    CLOSING = "closing"
    """The client has committed the turn; its final is awaited."""


class Hearing(Enum):
    """What moves a speaker's state."""

    ONSET = "speech started"
    END = "speech stopped"
    CLOSE = "input committed"
    OVER = "turn committed or discarded"


LISTENING: dict[tuple[Listening, Hearing], Listening] = {
    (Listening.QUIET, Hearing.ONSET): Listening.SPEAKING,
    (Listening.QUIET, Hearing.CLOSE): Listening.CLOSING,
    (Listening.SPEAKING, Hearing.END): Listening.PAUSED,
    (Listening.SPEAKING, Hearing.CLOSE): Listening.CLOSING,
    (Listening.SPEAKING, Hearing.OVER): Listening.QUIET,
    (Listening.PAUSED, Hearing.ONSET): Listening.SPEAKING,
    (Listening.PAUSED, Hearing.CLOSE): Listening.CLOSING,
    (Listening.PAUSED, Hearing.OVER): Listening.QUIET,
    (Listening.CLOSING, Hearing.ONSET): Listening.SPEAKING,
    (Listening.CLOSING, Hearing.OVER): Listening.QUIET,
}


class Replying(Enum):
    """Of the agent."""

    NONE = "none"
    DRAFT = "draft"
    """Speculative: generated, but its audio is held back."""
    COMMITTED = "committed"
    """Its turn has ended; nothing of it is audible yet."""
    PLAYING = "playing"
    HALTED = "halted"
    """Someone talks over it: silent until it is known whether it goes on."""


class Turning(Enum):
    """What moves the reply's state."""

    DRAFT = "draft started"
    ORDER = "reply started for a committed turn"
    COMMIT = "turn committed"
    AUDIBLE = "playout started"
    HALT = "someone talks over it"
    RESUME = "it was no interruption"
    RELEASE = "it was no interruption, nothing was audible yet"
    OVER = "finished, cancelled, interrupted or failed"


REPLYING: dict[tuple[Replying, Turning], Replying] = {
    (Replying.NONE, Turning.DRAFT): Replying.DRAFT,
    (Replying.NONE, Turning.ORDER): Replying.COMMITTED,
    (Replying.DRAFT, Turning.COMMIT): Replying.COMMITTED,
    (Replying.DRAFT, Turning.OVER): Replying.NONE,
    (Replying.COMMITTED, Turning.AUDIBLE): Replying.PLAYING,
    (Replying.COMMITTED, Turning.HALT): Replying.HALTED,
    (Replying.COMMITTED, Turning.OVER): Replying.NONE,
    (Replying.PLAYING, Turning.HALT): Replying.HALTED,
    (Replying.PLAYING, Turning.OVER): Replying.NONE,
    (Replying.HALTED, Turning.AUDIBLE): Replying.HALTED,
    (Replying.HALTED, Turning.RESUME): Replying.PLAYING,
    (Replying.HALTED, Turning.RELEASE): Replying.COMMITTED,
    (Replying.HALTED, Turning.OVER): Replying.NONE,
}


class IllegalTransition(AssertionError):
    """A bug in machine.py: nothing outside can cause it."""


@dataclass(slots=True)
class Speaker:
    """One person. Times are on the session's clock; ids are of utterances."""

    name: str
    state: Listening = Listening.QUIET
    utterance_id: int = 0
    started_at: float = 0.0
    """Onset of the current utterance."""
    stopped_at: float = 0.0
    """Acoustic end of the last utterance."""
    heard_until: float = 0.0
    """How far their audio has been looked at."""
    committed_at: float | None = None
    """When their last turn was committed by its hold, if nothing was said since."""
    final_deadline_at: float = 0.0
    item_id: str = ""
    """Of the open turn: where it will stand in the transcript."""
    text: str = ""
    """The turn's words as far as known."""
    confidence: float = 1.0
    language: str = ""
    began_as_filler: bool = False
    """A partial of the current utterance was only "mhm" or "um"."""
    humming: bool = False
    """Nothing but humming has been heard of it."""
    final: bool = False
    """`text` is the final up to the current utterance."""
    probability: float | None = None
    pauses: PauseModel = field(default_factory=PauseModel)

    def fire(self, trigger: Hearing) -> None:
        try:
            self.state = LISTENING[self.state, trigger]
        except KeyError:
            raise IllegalTransition(f"{self.state} does not take {trigger}") from None

    def evidence(self, until: float) -> Evidence:
        """What is known of the utterance that lasted `until` then."""
        return Evidence(
            speech_s=until - self.started_at,
            text=self.text,
            confidence=self.confidence,
            began_as_filler=self.began_as_filler,
            humming=self.humming,
        )

    @property
    def open(self) -> bool:
        return self.state is not Listening.QUIET


@dataclass(slots=True)
class Reply:
    """The agent's current reply; with state NONE there is none."""

    state: Replying = Replying.NONE
    reply_id: int = 0
    pending: tuple[PendingTurn, ...] = ()
    """The turns that a draft answers."""
    item_id: str = ""
    """Its place in the transcript, once committed."""
    notice: bool = False
    """A canned text: when it fails there is nothing better to say."""
    written: str = ""
    heard: str = ""
    calls: list[ToolCalled] = field(default_factory=list)
    """Calls of functions that a draft wants to make; they are made when it is committed."""
    audible: bool = False
    failed: str = ""
    committed_at: float = 0.0
    progress_at: float = 0.0
    """Last sign of life of its playout."""
    over_at: float = 0.0

    def fire(self, trigger: Turning) -> None:
        try:
            self.state = REPLYING[self.state, trigger]
        except KeyError:
            raise IllegalTransition(f"{self.state} does not take {trigger}") from None
