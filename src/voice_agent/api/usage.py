"""Numbers of tokens for clients that insist on them. Nothing is billed and engines that count differently are in use, so they
follow from the length alone, as OpenAI describes its own."""

import math

USER_TOKENS_PER_S = 10
AGENT_TOKENS_PER_S = 20
"""One token for 100 ms of what is heard and for 50 ms of what is spoken (OpenAI's guide to Realtime costs)."""

CHARS_PER_TOKEN = 4
"""Of English text, by OpenAI's rule of thumb."""


def text_tokens(text: str) -> int:
    return math.ceil(len(text) / CHARS_PER_TOKEN)


def heard_tokens(seconds: float) -> int:
    return math.ceil(seconds * USER_TOKENS_PER_S)


def spoken_tokens(seconds: float) -> int:
    return math.ceil(seconds * AGENT_TOKENS_PER_S)
