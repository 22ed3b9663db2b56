"""Puts one streamed answer together: chunks in, deltas out. Pure.

It is where every engine that speaks the chat-completion format decides what counts as a whole answer.
"""

import json
from dataclasses import dataclass, field

from voice_agent.engines.base import LlmDelta, LlmUsage, TextDelta, ToolCall
from voice_agent.engines.llm.reasoning import ThoughtFilter
from voice_agent.engines.llm.wire import Chunk, ToolFragment
from voice_agent.errors import EngineFailed


@dataclass(slots=True)
class _OpenCall:
    index: int
    call_id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)


class Answer:
    """`engine` is named in the errors."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._thoughts = ThoughtFilter()
        self._calls: list[_OpenCall] = []
        self._usage: LlmUsage | None = None
        self._finish = ""
        self._has_text = False

    @property
    def begun(self) -> bool:
        """Something that a person will notice has come: text, or the beginning of a tool call."""
        return self._has_text or bool(self._calls)

    @property
    def finish(self) -> str:
        """Why the model stopped, such as "stop" or "length"; "" as long as it has not."""
        return self._finish

    @property
    def finished(self) -> bool:
        """The model has said why it stopped; only the usage may still come."""
        return bool(self._finish)

    def add(self, chunk: Chunk) -> list[LlmDelta]:
        """What of this chunk can be told already: its text. Tool calls and usage come from `end`."""
        for fragment in chunk.fragments:
            self._collect(fragment)
        self._finish = chunk.finish or self._finish
        self._usage = chunk.usage or self._usage
        return self._spoken(self._thoughts.feed(chunk.text))

    def end(self) -> list[LlmDelta]:
        """The rest, once the stream has ended: held text, complete tool calls, usage last.

        Raises `EngineFailed`: "llm.cut" when the stream ended before the model did, "llm.bad_answer" for a tool call that
        is not JSON, "llm.empty_answer" when nothing but thinking came (gpt-oss does that when its tokens run out).
        """
        if not self.finished:
            raise self._failure("broke off in the middle of its answer", code="llm.cut")
        deltas: list[LlmDelta] = self._spoken(self._thoughts.end())
        deltas += [self._complete(call) for call in self._calls]
        if not self.begun:
            raise self._failure("answered nothing", code="llm.empty_answer", why=f"finish reason {self._finish[:40]!r}")
        if self._usage is not None:
            deltas.append(self._usage)
        return deltas

    def _spoken(self, text: str) -> list[LlmDelta]:
        if not self._has_text:
            text = text.lstrip()  # templates leave line breaks in front, above all after a thought
        if not text:
            return []
        self._has_text = True
        return [TextDelta(text=text)]

    def _collect(self, fragment: ToolFragment) -> None:
        call = next((call for call in reversed(self._calls) if call.index == fragment.index), None)
        # Some servers give every call of a parallel batch index 0; a second id tells them apart.
        if call is None or (fragment.call_id and call.call_id and fragment.call_id != call.call_id):
            call = _OpenCall(fragment.index)
            self._calls.append(call)
        call.call_id = call.call_id or fragment.call_id
        call.name = call.name or fragment.name
        call.pieces.append(fragment.arguments)

    def _complete(self, call: _OpenCall) -> ToolCall:
        arguments = "".join(call.pieces).strip() or "{}"
        if not call.name or not _is_json(arguments):
            why = "it ran out of tokens in a tool call" if self._finish == "length" else "a tool call is not valid"
            raise self._failure("gave an answer that cannot be used", code="llm.bad_answer", why=why)
        return ToolCall(call_id=call.call_id or f"call_{self._calls.index(call)}", name=call.name, arguments=arguments)

    def _failure(self, what: str, *, code: str, why: str = "") -> EngineFailed:
        return EngineFailed(f"The language model {self._engine} {what}", engine=self._engine, why=why, code=code, retryable=True)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
