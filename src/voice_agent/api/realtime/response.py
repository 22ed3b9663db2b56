"""One response as the client is told of it: opened once, closed once, everything in between in the protocol's order."""

from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from voice_agent.api.realtime.outbox import Outbox

Status = Literal["completed", "cancelled", "failed", "incomplete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHead:
    """What does not change while it runs. `modality` is what is said: "audio" (with its transcript) or "text". Without a
    conversation its items are in no conversation either."""

    response_id: str
    conversation_id: str | None
    modality: Literal["audio", "text"]
    voice: str
    output_format: dict[str, Any]
    max_output_tokens: int | Literal["inf"]
    metadata: dict[str, str] | None


@dataclass(slots=True)
class _Message:
    """The item that is being spoken. `head` is the fields of its deltas, as JSON without braces; `previous` is the item before."""

    item_id: str
    output_index: int
    head: str
    previous: str | None
    text: str = ""


@dataclass(slots=True)
class OpenResponse:
    """Emits `response.created` when made; `finish` emits everything that ends it. Afterwards nothing more is emitted."""

    outbox: Outbox
    head: ResponseHead
    open: bool = True
    _output: list[dict[str, Any]] = field(default_factory=list)
    _message: _Message | None = None

    def __post_init__(self) -> None:
        self.outbox.send("response.created", response=self._object("in_progress", None, None))

    # ------------------------------------------------------------ what is said

    def begin_message(self, item_id: str, previous_item_id: str | None) -> None:
        """The item that text and audio belong to."""
        index = len(self._output)
        ids = {"response_id": self.head.response_id, "item_id": item_id, "output_index": index, "content_index": 0}
        self._message = _Message(item_id, index, orjson.dumps(ids).decode()[1:-1], previous_item_id)
        item = self._item("in_progress", [])
        self._output.append(item)
        self._send("response.output_item.added", output_index=index, item=item)
        self._send_item("added", item, previous_item_id)
        self._send("response.content_part.added", item_id=item_id, output_index=index, content_index=0, part=self._part(""))

    def say(self, text: str, *, start_s: float | None = None) -> None:
        """More of the text. `start_s` is where its audio begins, for clients that make captions of it."""
        message = self._message
        if not self.open or message is None or not text:
            return
        message.text += text
        extra = {} if start_s is None else {"start_time": start_s}
        kind = "response.output_audio_transcript.delta" if self.head.modality == "audio" else "response.output_text.delta"
        self._send(kind, **self._place(message), delta=text, **extra)

    def play(self, data: bytes) -> None:
        """More of the audio, in the client's format."""
        if self.open and self._message is not None and data:
            self.outbox.send_audio(self.head.response_id, self._message.head, data)

    def call(self, item: dict[str, Any], previous_item_id: str | None) -> None:
        """A call of a function, all of it."""
        if not self.open:
            return
        index = len(self._output)
        ids = {"item_id": item["id"], "output_index": index, "call_id": item["call_id"]}
        begun = {**item, "status": "in_progress", "arguments": ""}
        self._send("response.output_item.added", output_index=index, item=begun)
        self._send_item("added", begun, previous_item_id)
        self._send("response.function_call_arguments.delta", **ids, delta=item["arguments"])
        self._send("response.function_call_arguments.done", **ids, name=item["name"], arguments=item["arguments"])
        self._output.append(item)
        self._send("response.output_item.done", output_index=index, item=item)
        self._send_item("done", item, previous_item_id)

    # ------------------------------------------------------------ the end

    def finish(
        self,
        status: Status,
        *,
        details: dict[str, Any] | None = None,
        heard: str | None = None,
        input_tokens: int = 0,
        output_tokens: int = 0,
    ) -> None:
        """`heard` replaces what was spoken where not all of it was heard; what was written has been read."""
        if not self.open:
            return
        if self._message is not None:
            self._finish_message(self._message, status, heard if self.head.modality == "audio" else None)
        self.open = False
        usage = _usage(input_tokens, output_tokens)
        self.outbox.send("response.done", response=self._object(status, details, usage))

    def _finish_message(self, message: _Message, status: Status, heard: str | None) -> None:
        text = message.text if heard is None else heard
        place = self._place(message)
        if self.head.modality == "audio":
            self._send("response.output_audio.done", **place)
            self._send("response.output_audio_transcript.done", **place, transcript=text)
        else:
            self._send("response.output_text.done", **place, text=text)
        self._send("response.content_part.done", **place, part=self._part(text))
        kind = "output_audio" if self.head.modality == "audio" else "output_text"
        content = [{"type": kind, ("transcript" if kind == "output_audio" else "text"): text}]
        item = self._item("completed" if status == "completed" else "incomplete", content)
        self._output[message.output_index] = item
        self._send("response.output_item.done", output_index=message.output_index, item=item)
        self._send_item("done", item, message.previous)

    @property
    def item_id(self) -> str | None:
        """Of the message, once it has begun."""
        return self._message.item_id if self._message is not None else None

    # ------------------------------------------------------------ pieces

    def _send(self, kind: str, **fields: Any) -> None:
        self.outbox.send(kind, response_id=self.head.response_id, **fields)

    def _send_item(self, what: Literal["added", "done"], item: dict[str, Any], previous_item_id: str | None) -> None:
        if self.head.conversation_id is not None:
            self.outbox.send(f"conversation.item.{what}", item=item, previous_item_id=previous_item_id)

    @staticmethod
    def _place(message: _Message) -> dict[str, Any]:
        return {"item_id": message.item_id, "output_index": message.output_index, "content_index": 0}

    def _item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        assert self._message is not None
        return {
            "id": self._message.item_id,
            "object": "realtime.item",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def _part(self, text: str) -> dict[str, Any]:
        """Parts are called "audio" and "text", unlike the contents of items."""
        return {"type": "audio", "transcript": text} if self.head.modality == "audio" else {"type": "text", "text": text}

    def _object(self, status: str, details: dict[str, Any] | None, usage: dict[str, Any] | None) -> dict[str, Any]:
        head = self.head
        return {
            "id": head.response_id,
            "object": "realtime.response",
            "status": status,
            "status_details": details,
            "output": list(self._output),
            "conversation_id": head.conversation_id,
            "output_modalities": [head.modality],
            "max_output_tokens": head.max_output_tokens,
            "audio": {"output": {"format": head.output_format, "voice": head.voice}},
            "metadata": head.metadata,
            "usage": usage,
        }


def _usage(input_tokens: int, output_tokens: int) -> dict[str, Any]:
    """Complete, since one client drops an event whose details are missing."""
    return {
        "total_tokens": input_tokens + output_tokens,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "input_token_details": {"text_tokens": input_tokens, "audio_tokens": 0, "cached_tokens": 0},
        "output_token_details": {"text_tokens": output_tokens, "audio_tokens": 0},
    }
