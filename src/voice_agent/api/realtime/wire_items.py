"""Items of the transcript as the protocol writes them, and back."""

from typing import Any

from voice_agent.conversation.transcript import Item
from voice_agent.transports.realtime.client_events import FunctionCallItem, FunctionOutputItem, MessageItem


def wire_item(item: Item, *, name: str, text: str, as_text: bool, status: str) -> dict[str, Any]:
    """`text` stands for the item's; `as_text`: it was written, not spoken."""
    head = {"id": name, "object": "realtime.item"}
    match item.role:
        case "user":
            content = {"type": "input_text", "text": text} if as_text else heard_audio(text)
            return {**head, "type": "message", "status": status, "role": "user", "content": [content]}
        case "agent":
            content = {"type": "output_text", "text": text} if as_text else {"type": "output_audio", "transcript": text}
            return {**head, "type": "message", "status": status, "role": "assistant", "content": [content]}
        case "system":
            content = {"type": "input_text", "text": text}
            return {**head, "type": "message", "status": status, "role": "system", "content": [content]}
        case "tool_call":
            return {**head, **call_fields(item.call_id, item.name, text), "status": status}
        case "tool_output":
            return {**head, "type": "function_call_output", "status": status, "call_id": item.call_id, "output": text}


def call_fields(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def heard_audio(transcript: str | None) -> dict[str, Any]:
    """The key must be there, null until it is known: one client's parser dies without it."""
    return {"type": "input_audio", "transcript": transcript}


def spoken_item(item_id: str) -> dict[str, Any]:
    """A turn whose words are not known yet."""
    head = {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user"}
    return {**head, "content": [heard_audio(None)]}


def transcript_item(wire: MessageItem | FunctionCallItem | FunctionOutputItem, item_id: str) -> Item:
    """What a client has written, as an item of the transcript."""
    match wire:
        case MessageItem(role="user"):
            return Item(item_id=item_id, role="user", text=wire.text, at=0.0, speaker="user", by_text=True)
        case MessageItem():
            role = wire.role == "assistant"
            return Item(item_id=item_id, role="agent" if role else "system", text=wire.text, at=0.0, by_text=True)
        case FunctionCallItem():
            call_id = wire.call_id or item_id
            return Item(item_id=item_id, role="tool_call", text=wire.arguments, at=0.0, call_id=call_id, name=wire.name)
        case FunctionOutputItem():
            return Item(item_id=item_id, role="tool_output", text=wire.output, at=0.0, call_id=wire.call_id)
