"""Items of the transcript as the protocol writes them, and back."""

from typing import Any

from voice_agent.conversation.transcript import Item
from voice_agent.transports.realtime.client_events import (
    FunctionCallItem,
    FunctionOutputItem,
    MessageItem,
)


def wire_item(item: Item, *, transcript: str | None = None, status: str = "completed") -> dict[str, Any]:
    """`transcript` replaces the text of what was spoken, where that is not to be told (yet)."""
    head = {"id": item.item_id, "object": "realtime.item"}
    match item.role:
        case "user":
            return {**head, "type": "message", "status": status, "role": "user", "content": [_said(item, transcript)]}
        case "agent":
            return {**head, "type": "message", "status": status, "role": "assistant", "content": [_replied(item)]}
        case "system":
            content = [{"type": "input_text", "text": item.text}]
            return {**head, "type": "message", "status": status, "role": "system", "content": content}
        case "tool_call":
            return {
                **head,
                "type": "function_call",
                "status": status,
                "call_id": item.call_id,
                "name": item.name,
                "arguments": item.text,
            }
        case "tool_output":
            return {**head, "type": "function_call_output", "status": status, "call_id": item.call_id, "output": item.text}


def _said(item: Item, transcript: str | None) -> dict[str, Any]:
    if item.by_text:
        return {"type": "input_text", "text": item.text}
    # The key must be there, null until it is known: one client's parser dies without it.
    return {"type": "input_audio", "transcript": transcript}


def _replied(item: Item) -> dict[str, Any]:
    if item.by_text:
        return {"type": "output_text", "text": item.text}
    return {"type": "output_audio", "transcript": item.text}


def transcript_item(wire: MessageItem | FunctionCallItem | FunctionOutputItem, item_id: str) -> Item:
    """What a client has written, as an item of the transcript."""
    match wire:
        case MessageItem():
            role = {"user": "user", "assistant": "agent", "system": "system"}[wire.role]
            return Item(item_id=item_id, role=role, text=wire.text, at=0.0, speaker="user", by_text=True)  # type: ignore[arg-type]
        case FunctionCallItem():
            call_id = wire.call_id or item_id
            return Item(item_id=item_id, role="tool_call", text=wire.arguments, at=0.0, call_id=call_id, name=wire.name)
        case FunctionOutputItem():
            return Item(item_id=item_id, role="tool_output", text=wire.output, at=0.0, call_id=wire.call_id)
