"""Makes a conversation fit into a model's context before it is sent. Pure."""

from dataclasses import replace

from voice_agent.engines.base import LlmRequest, Message

BYTES_PER_TOKEN = 3
"""Carefully low: English has 4 to 4.5, Chinese one character of 3 bytes a token. What is sent must not be refused."""

MESSAGE_TOKENS = 8
"""Around each message: role, markers."""


def estimate_tokens(message: Message) -> int:
    """More than it is, mostly."""
    size = len(message.content.encode()) + sum(len(call.name) + len(call.arguments.encode()) for call in message.tool_calls)
    return MESSAGE_TOKENS + -(-size // BYTES_PER_TOKEN)


def fit(request: LlmRequest, context_tokens: int) -> LlmRequest:
    """The request without its oldest messages, as many as must go.

    System messages at the front and everything from the last user message on stay, even where they alone are too long: the
    engine counts exactly and then refuses. The answer gets `max_tokens`, at most half of the context.
    """
    max_tokens = min(request.max_tokens, context_tokens // 2)
    messages = request.messages
    head = next((place for place, message in enumerate(messages) if message.role != "system"), len(messages))
    newest = max((place for place, message in enumerate(messages) if message.role == "user"), default=head)
    room = context_tokens - max_tokens - sum(estimate_tokens(message) for message in (*messages[:head], *messages[newest:]))
    kept = _newest_that_fit(messages[head:newest], room)
    return replace(request, messages=(*messages[:head], *kept, *messages[newest:]), max_tokens=max_tokens)


def hopeless(request: LlmRequest, context_tokens: int) -> bool:
    """So long that counting its tokens would be a waste of time."""
    return sum(estimate_tokens(message) for message in request.messages) > 4 * context_tokens


def _newest_that_fit(messages: tuple[Message, ...], room: int) -> tuple[Message, ...]:
    start = len(messages)
    while start > 0 and (room := room - estimate_tokens(messages[start - 1])) >= 0:
        start -= 1
    # A history that begins with an answer (of a tool, above all) lacks what was answered.
    while start < len(messages) and messages[start].role != "user" and start > 0:
        start += 1
    return messages[start:]
