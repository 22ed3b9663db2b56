"""Turns that are not committed yet, as a draft answers them."""

from collections.abc import Sequence

from voice_agent.conversation.effects import PendingTurn
from voice_agent.conversation.state import Speaker
from voice_agent.conversation.words import same_words


def pending_of(speakers: Sequence[Speaker]) -> tuple[PendingTurn, ...]:
    """In the order of `speakers`."""
    return tuple(PendingTurn(speaker=speaker.name, text=speaker.text) for speaker in speakers)


def same_turns(one: tuple[PendingTurn, ...], other: tuple[PendingTurn, ...]) -> bool:
    """The same people have said the same words."""
    return len(one) == len(other) and all(
        a.speaker == b.speaker and same_words(a.text, b.text) for a, b in zip(one, other, strict=True)
    )
