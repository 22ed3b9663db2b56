"""How to talk to a language model of 135 million parameters, so that it is of some use by voice. Pure.

Found by trying 14 ways over 15 turns (offline-engines reference): one plain instruction, four examples, at most one earlier turn,
temperature 0. A long system prompt takes seconds to compute and is not followed; with the whole history the model falls
into repeating one sentence for ever; penalties against that damage its facts ("the sky is red"). So the caller's system prompt
and tools are left out, and what stands first is the same in every request, for the prompt cache.
"""

import re
from dataclasses import replace
from difflib import SequenceMatcher

from voice_agent.engines.base import LlmRequest, Message

INSTRUCTION = "You are a friendly voice assistant. Answer in one short sentence."

EXAMPLES = (
    ("Hello, how are you?", "I am fine, thank you, and how are you?"),
    ("What is the capital of Italy?", "The capital of Italy is Rome."),
    ("How many legs does a spider have?", "A spider has eight legs."),
    ("Can you help me with something?", "Of course, what can I do for you?"),
)

GREETING = "Hello!"
"""Stands for the user where the agent is to speak first."""

MAX_TOKENS = 60
"""Two short sentences; its answers have 9 words at the median."""

MAX_CHARACTERS = 600
"""Of one message, about 150 tokens: what is computed at 150 tokens a second cannot be interrupted."""

CONTEXT_TOKENS = 1024
"""Enough for the longest request that `shape` makes, and 47 MB less than 2048."""

SENTENCES = 2

_SAME = 0.85
"""Two replies more alike than this (difflib's ratio) are a loop."""


def shape(request: LlmRequest) -> LlmRequest:
    """The request as the small model is asked it."""
    users = [index for index, message in enumerate(request.messages) if message.role == "user"]
    newest = users[-1] if users else len(request.messages)
    question = request.messages[newest] if users else Message(role="user", content=GREETING)
    asked = Message(role="user", content=question.content.strip()[-MAX_CHARACTERS:] or GREETING)
    return _request(request, (*opening(), *_earlier_turn(request.messages[:newest]), asked))


def shape_beginning(request: LlmRequest) -> LlmRequest:
    """What the session's next request will begin with, when the user's words are not known yet."""
    if request.messages and request.messages[-1].role == "user":
        return shape(request)
    return _request(request, (*opening(), *_earlier_turn(request.messages)))


def opening() -> tuple[Message, ...]:
    """Instruction and examples: the same in every request."""
    messages = [Message(role="system", content=INSTRUCTION)]
    for question, answer in EXAMPLES:
        messages += [Message(role="user", content=question), Message(role="assistant", content=answer)]
    return tuple(messages)


def _request(request: LlmRequest, messages: tuple[Message, ...]) -> LlmRequest:
    return replace(
        request, messages=messages, temperature=0.0, max_tokens=min(request.max_tokens, MAX_TOKENS), tools=(), tool_choice="auto"
    )


def _earlier_turn(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The last question and its reply, unless that reply is a loop."""
    spoken = [message for message in messages if message.role in ("user", "assistant") and message.content.strip()]
    if len(spoken) < 2 or (spoken[-2].role, spoken[-1].role) != ("user", "assistant"):
        return ()
    reply = spoken[-1].content
    if any(alike(reply, message.content) for message in spoken[:-2] if message.role == "assistant") or _repeats_itself(reply):
        return ()
    return tuple(Message(role=message.role, content=message.content.strip()[:MAX_CHARACTERS]) for message in spoken[-2:])


def alike(one: str, other: str) -> bool:
    """Whether two replies are the same but for a few letters."""
    one, other = one.strip().lower(), other.strip().lower()
    if len(one) > MAX_CHARACTERS or len(other) > MAX_CHARACTERS:
        return one == other  # the comparison takes quadratic time
    return SequenceMatcher(None, one, other, autojunk=False).ratio() > _SAME


def _repeats_itself(reply: str) -> bool:
    sentences = [part.strip().lower() for part in re.split(r"[.!?\n]+", reply) if part.strip()]
    return len(set(sentences)) < len(sentences)


class SentenceLimit:
    """Lets the first sentence through as it comes and the second when it is whole; then it is `done`.

    The small model stops in the middle when its tokens run out; half a second sentence is worse than none. A second sentence
    that repeats the first is dropped.
    """

    # Not after an abbreviation, and not after the number of a list.
    _END = re.compile(r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!^\d)[.!?][\"')\]]*(?=\s)|\n+", re.MULTILINE)

    def __init__(self) -> None:
        self._first = ""
        self._second = ""
        self._sentences = 0
        self.done = False

    def feed(self, text: str) -> str:
        """What of `text` may be spoken now."""
        if self.done:
            return ""
        if self._sentences == 1:
            return self._feed_second(text)
        before = len(self._first)
        self._first += text
        end = self._END.search(self._first)
        if end is None:
            return text
        self._sentences = 1
        rest = self._first[end.end() :]
        self._first = self._first[: end.end()]
        return self._first[before:] + self._feed_second(rest)

    def end(self, *, complete: bool) -> str:
        """The rest. `complete`: the model stopped by itself, not for want of tokens."""
        if self.done or not complete:
            return ""
        return self._release(self._second)

    def _feed_second(self, text: str) -> str:
        self._second += text
        end = self._END.search(self._second.lstrip())
        if end is None:
            return ""
        return self._release(self._second[: len(self._second) - len(self._second.lstrip()) + end.end()])

    def _release(self, sentence: str) -> str:
        self.done = True
        return "" if not sentence.strip() or alike(sentence, self._first) else sentence.rstrip()
