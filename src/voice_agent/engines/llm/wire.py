"""The chat-completion format that Groq, OpenAI-compatible servers and llama.cpp share: a request as JSON, a chunk as values.

Pure. Chunks come from the network, so nothing in them is trusted to have its documented type.
"""

from dataclasses import dataclass
from typing import Any

from voice_agent.engines.base import LlmRequest, LlmUsage, Message, Tool


class MalformedChunk(ValueError):
    """A chunk that is not of the format. Its text says what is wrong, and quotes nothing of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFragment:
    """A piece of a tool call; pieces of one call share `index`. `call_id` and `name` come with the first, mostly."""

    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One event of the stream. `finish` is the reason why the model stopped, in the last chunk that has a choice."""

    text: str = ""
    fragments: tuple[ToolFragment, ...] = ()
    finish: str = ""
    usage: LlmUsage | None = None


def request_fields(request: LlmRequest, *, tools: bool) -> dict[str, Any]:
    """Messages, temperature and (where `tools`) tools as JSON values. Model and token limit are named differently by each
    server, so its adapter adds them."""
    fields: dict[str, Any] = {
        "messages": [_message(message) for message in request.messages],
        "temperature": request.temperature,
    }
    if tools and request.tools:
        fields["tools"] = [_tool(tool) for tool in request.tools]
        fields["tool_choice"] = _tool_choice(request.tool_choice)
    return fields


def _message(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        # Servers want null, not "", where an assistant only called tools.
        fields["content"] = message.content or None
        fields["tool_calls"] = [
            {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _tool(tool: Tool) -> dict[str, Any]:
    return {"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters}}


def _tool_choice(choice: str) -> object:
    return choice if choice in ("auto", "none", "required") else {"type": "function", "function": {"name": choice}}


def read_chunk(data: object) -> Chunk:
    """Raises `MalformedChunk`."""
    chunk = _mapping(data, "the chunk")
    choices = chunk.get("choices") or []
    if not isinstance(choices, list):
        raise MalformedChunk("its choices are not a list")
    usage = _usage(chunk)
    if not choices:
        return Chunk(usage=usage)
    choice = _mapping(choices[0], "a choice")
    delta = _mapping(choice.get("delta") or {}, "a delta")
    return Chunk(
        text=_text(delta, "content"),
        fragments=_fragments(delta),
        finish=_text(choice, "finish_reason"),
        usage=usage,
    )


def _fragments(delta: dict[str, Any]) -> tuple[ToolFragment, ...]:
    calls = delta.get("tool_calls") or []
    if not isinstance(calls, list):
        raise MalformedChunk("its tool calls are not a list")
    return tuple(_fragment(_mapping(call, "a tool call"), place) for place, call in enumerate(calls))


def _fragment(call: dict[str, Any], place: int) -> ToolFragment:
    function = _mapping(call.get("function") or {}, "a function")
    index = call.get("index")
    return ToolFragment(
        index=index if isinstance(index, int) else place,  # some servers leave it out when they send a call whole
        call_id=_text(call, "id"),
        name=_text(function, "name"),
        arguments=_text(function, "arguments"),
    )


def _usage(chunk: dict[str, Any]) -> LlmUsage | None:
    """Groq puts it under `x_groq` unless asked for `stream_options`."""
    extra = chunk.get("x_groq")
    usage = chunk.get("usage") or (extra.get("usage") if isinstance(extra, dict) else None)
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    return LlmUsage(
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        cached_tokens=_count(details, "cached_tokens") if isinstance(details, dict) else 0,
    )


def _mapping(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedChunk(f"{what} is not an object")
    return value


def _text(values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MalformedChunk(f"{key} is not text")
    return value


def _count(values: dict[str, Any], key: str) -> int:
    value = values.get(key)
    return value if isinstance(value, int) else 0
