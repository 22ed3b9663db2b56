"""From the transcript to what the language model reads."""

from collections.abc import Iterable
from dataclasses import dataclass

from voice_agent.conversation.effects import PendingTurn
from voice_agent.conversation.transcript import Item, Transcript
from voice_agent.engines.base import Message

DEFAULT_INSTRUCTIONS = (
    "You are a friendly voice assistant in a spoken conversation. Your words are read aloud: answer in one to three short "
    "sentences of plain speech, without lists, markdown, links or emoji. Speak the language that the person speaks. Ask back "
    "when something is unclear, and say so when you do not know."
)

CUT_OFF_MARK = " …"
"""Ends a reply that was interrupted, so that the model knows that the person did not hear the rest."""

IDLE_NUDGE = "(The person has been silent for a while. Say one short, friendly sentence to see whether they are still there.)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSettings:
    """`history_items`: so many turns and replies of this session are given, the latest ones."""

    instructions: str = DEFAULT_INSTRUCTIONS
    history_items: int = 40


def build_messages(
    transcript: Transcript,
    settings: PromptSettings,
    *,
    pending: tuple[PendingTurn, ...] = (),
    instructions: str = "",
    idle: bool = False,
) -> tuple[Message, ...]:
    """System prompt, history as it was heard, the turns that are not committed yet. Neighbours of one role are merged."""
    system = settings.instructions if not instructions else f"{settings.instructions}\n\n{instructions}"
    said = [item for item in transcript if item.text.strip()][-settings.history_items :]
    speakers = {item.speaker for item in said if item.role == "user"} | {turn.speaker for turn in pending}
    several = len(speakers) > 1
    lines = [_line(item, several) for item in said]
    lines += [("user", _named(turn.speaker, turn.text, several)) for turn in pending]
    if idle:
        lines.append(("user", IDLE_NUDGE))
    return (Message(role="system", content=system), *_merged(lines))


def _line(item: Item, several: bool) -> tuple[str, str]:
    if item.role == "agent":
        return "assistant", item.text + (CUT_OFF_MARK if item.interrupted else "")
    if item.role == "system":
        return "system", item.text
    return "user", _named(item.speaker, item.text, several)


def _named(speaker: str, text: str, several: bool) -> str:
    return f"{speaker}: {text}" if several else text


def _merged(lines: Iterable[tuple[str, str]]) -> list[Message]:
    messages: list[Message] = []
    for role, text in lines:
        if messages and messages[-1].role == role:
            messages[-1] = Message(role=messages[-1].role, content=f"{messages[-1].content}\n{text}")
        else:
            messages.append(Message(role=role, content=text))  # type: ignore[arg-type]
    return messages
