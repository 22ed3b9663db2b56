"""The way between the people and a session: audio and controls in, audio out.

A transport knows nothing of the conversation. What people see of it (transcripts, states) they get from an observer of the
session, because each protocol says it in its own words.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from voice_agent.audio.pcm import Pcm16, Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioInput:
    """A block of one speaker's microphone: mono, 16 kHz, any length (20 ms is usual)."""

    speaker: str
    samples: Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class TextInput:
    speaker: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    speaker: str
    joined: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What a client does by hand: end its turn, withdraw it, ask for a reply (`text`: instructions for it), stop the agent."""

    kind: Literal["commit", "clear", "reply", "cancel"]
    speaker: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """Something to be done in the session's own order, when everything that came before has been taken."""

    run: Callable[[], None]


Input: TypeAlias = AudioInput | TextInput | Presence | Control | Deferred


class Transport(Protocol):
    @property
    def output_rate(self) -> int:
        """Hz of the audio that `write` takes."""
        ...

    @property
    def write_s(self) -> float:
        """How much audio `write` is given at a time, in seconds: the grain of a pause. Less comes when less is there."""
        ...

    def inputs(self) -> AsyncIterator[Input]:
        """Ends when the person is gone for good."""
        ...

    async def write(self, pcm: Pcm16) -> None:
        """Plays after what was written before. Returns when it is buffered; waits while the buffer is full (it holds little,
        so that `clear` loses little)."""
        ...

    def end(self) -> None:
        """All audio of a reply has been written."""
        ...

    def position(self) -> int:
        """Samples heard so far, of all that were written and not cleared."""
        ...

    def clear(self) -> None:
        """Drops what was written and not heard yet."""
        ...

    async def aclose(self) -> None: ...
