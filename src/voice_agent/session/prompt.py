"""From the transcript to what the language model reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from voice_agent.conversation.effects import PendingTurn
from voice_agent.conversation.transcript import Item, Transcript
from voice_agent.engines.base import Message, ToolCall

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
    said = [item for item in transcript if item.text.strip() or item.call_id][-settings.history_items :]
    while said and said[0].role == "tool_output":
        said.pop(0)  # its call has been left behind
    speakers = {item.speaker for item in said if item.role == "user"} | {turn.speaker for turn in pending}
    several = len(speakers) > 1
    messages = [_message(item, several) for item in said]
    messages += [Message(role="user", content=_named(turn.speaker, turn.text, several)) for turn in pending]
    if idle:
        messages.append(Message(role="user", content=IDLE_NUDGE))
    return (Message(role="system", content=system), *_merged(messages))


def _message(item: Item, several: bool) -> Message:
    match item.role:
        case "agent":
            return Message(role="assistant", content=item.text + (CUT_OFF_MARK if item.interrupted else ""))
        case "system":
            return Message(role="system", content=item.text)
        case "user":
            return Message(role="user", content=_named(item.speaker, item.text, several))
        case "tool_call":
            call = ToolCall(call_id=item.call_id, name=item.name, arguments=item.text)
            return Message(role="assistant", content="", tool_calls=(call,))
        case "tool_output":
            return Message(role="tool", content=item.text, tool_call_id=item.call_id)
        case _:
            assert_never(item.role)


def _named(speaker: str, text: str, several: bool) -> str:
    return f"{speaker}: {text}" if several else text


def _merged(messages: Iterable[Message]) -> list[Message]:
    """Neighbours of one role become one message; calls of one reply, and the words before them, too."""
    merged: list[Message] = []
    for message in messages:
        last = merged[-1] if merged else None
        if last is None or last.role != message.role or message.role == "tool":
            merged.append(message)
            continue
        content = "\n".join(text for text in (last.content, message.content) if text)
        merged[-1] = Message(role=last.role, content=content, tool_calls=last.tool_calls + message.tool_calls)
    return merged
