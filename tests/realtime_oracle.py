"""What every client of the Realtime protocol may rely on, checked event by event.

`Oracle.saw` takes each event that a server sends, in order: its shape must be one of openai's own union, null may stand only
where OpenAI sends null, and the order must be that of the protocol. It keeps what a client would keep: the list of items.
"""

from dataclasses import dataclass, field
from typing import Any

from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

EVENTS: TypeAdapter[RealtimeServerEvent] = TypeAdapter(RealtimeServerEvent)

MAY_BE_NULL = {
    "previous_item_id",
    "transcript",
    "status_details",
    "usage",
    "metadata",
    "conversation_id",
    "turn_detection",
    "transcription",
    "noise_reduction",
    "tracing",
    # of errors
    "code",
    "param",
    "event_id",
}

Event = dict[str, Any]


@dataclass
class Response:
    response_id: str
    in_conversation: bool
    open_items: dict[int, Event] = field(default_factory=dict)
    done_items: dict[int, Event] = field(default_factory=dict)
    open_parts: set[str] = field(default_factory=set)
    text: dict[str, str] = field(default_factory=dict)
    audio_deltas: int = 0
    audio_over: bool = False
    silenced: bool = False
    """Speech was told while it was open."""
    audio_after_speech: bool = False


@dataclass
class Oracle:
    items: list[str] = field(default_factory=list)
    """What a client has in its history, in order."""
    events: int = 0
    in_progress: set[str] = field(default_factory=set)
    """Items that were added and not done."""
    responses: dict[str, Response] = field(default_factory=dict)
    closed: dict[str, Event] = field(default_factory=dict)
    speech: str = ""
    """The item whose speech has begun and not ended."""
    heard_speech: set[str] = field(default_factory=set)
    deltas: dict[str, str] = field(default_factory=dict)
    transcribed: set[str] = field(default_factory=set)
    expected_previous: dict[str, str | None] = field(default_factory=dict)
    _event_ids: set[str] = field(default_factory=set)

    def saw(self, event: Event) -> None:
        """Raises `AssertionError` (or pydantic's error) for whatever a client might stumble over."""
        self.events += 1
        assert event["event_id"] not in self._event_ids, "an id twice"
        self._event_ids.add(event["event_id"])
        if event["type"].startswith("voice_agent."):
            return
        EVENTS.validate_python(event)
        if event["type"] != "error":
            _check_nulls(event, event["type"])
        name = event["type"].replace(".", "_")
        check = getattr(self, f"_{name}", None)
        if check is not None:
            check(event)
        elif event["type"].startswith("response."):
            self._of(event)

    # ------------------------------------------------------------ items

    def _conversation_item_added(self, event: Event) -> None:
        item, previous = event["item"], event["previous_item_id"]
        assert item["id"] not in self.items, f"{item['id']} was added twice"
        if item["id"] in self.expected_previous:
            assert self.expected_previous[item["id"]] == previous, "committed and added name different neighbours"
        assert previous is None or previous in self.items, f"{item['id']} comes behind {previous}, which nobody knows"
        self.items.insert(0 if previous is None else self.items.index(previous) + 1, item["id"])
        self.in_progress.add(item["id"])

    def _conversation_item_done(self, event: Event) -> None:
        assert event["item"]["id"] in self.in_progress, "done before it was added, or twice"
        self.in_progress.discard(event["item"]["id"])

    def _conversation_item_deleted(self, event: Event) -> None:
        self.items.remove(event["item_id"])
        self.in_progress.discard(event["item_id"])

    def _conversation_item_retrieved(self, event: Event) -> None:
        assert event["item"]["id"] in self.items

    def _conversation_item_truncated(self, event: Event) -> None:
        assert event["item_id"] in self.items
        assert event["audio_end_ms"] >= 0

    # ------------------------------------------------------------ the person

    def _input_audio_buffer_speech_started(self, event: Event) -> None:
        assert not self.speech, "speech within speech"
        assert event["item_id"] not in self.heard_speech, "a turn's speech is told once"
        self.speech = event["item_id"]
        self.heard_speech.add(self.speech)
        for response in self.responses.values():
            response.silenced, response.audio_after_speech = True, False  # of the latest speech

    def _input_audio_buffer_speech_stopped(self, event: Event) -> None:
        assert self.speech == event["item_id"]
        self.speech = ""

    def _input_audio_buffer_committed(self, event: Event) -> None:
        assert not self.speech, "committed while speech goes on"
        self.expected_previous[event["item_id"]] = event["previous_item_id"]

    def _conversation_item_input_audio_transcription_delta(self, event: Event) -> None:
        assert event["item_id"] not in self.transcribed
        self.deltas[event["item_id"]] = self.deltas.get(event["item_id"], "") + event["delta"]

    def _conversation_item_input_audio_transcription_completed(self, event: Event) -> None:
        assert event["item_id"] in self.items, "transcribed before it was added"
        assert event["item_id"] not in self.transcribed
        self.transcribed.add(event["item_id"])

    # ------------------------------------------------------------ responses

    def _response_created(self, event: Event) -> None:
        response = event["response"]
        assert response["status"] == "in_progress"
        assert response["id"] not in self.responses | self.closed.keys(), "a response is opened once"
        in_conversation = response["conversation_id"] is not None
        if in_conversation:
            assert not any(other.in_conversation for other in self.responses.values()), "one response at a time"
        self.responses[response["id"]] = Response(response["id"], in_conversation)

    def _response_done(self, event: Event) -> None:
        result = event["response"]
        response = self.responses.pop(result["id"])
        self.closed[result["id"]] = result
        assert result["status"] in {"completed", "cancelled", "failed", "incomplete"}
        assert not response.open_items, "an item was never done"
        assert [item["id"] for item in result["output"]] == [item["id"] for _, item in sorted(response.done_items.items())]
        assert result["usage"]["input_token_details"]["text_tokens"] == result["usage"]["input_tokens"]
        details = result["status_details"]
        if result["status"] == "cancelled":
            assert details["reason"] in {"turn_detected", "client_cancelled"}
            assert not (response.audio_after_speech and details["reason"] == "turn_detected"), "audio over the person"
        if result["status"] == "failed":
            assert details["error"]["code"]

    def _of(self, event: Event) -> Response:
        assert event["response_id"] in self.responses, f"{event['type']} of a response that is not open"
        return self.responses[event["response_id"]]

    def _response_output_item_added(self, event: Event) -> None:
        response = self._of(event)
        assert event["item"]["status"] == "in_progress"
        assert event["output_index"] == len(response.open_items) + len(response.done_items)
        response.open_items[event["output_index"]] = event["item"]

    def _response_output_item_done(self, event: Event) -> None:
        response, item = self._of(event), event["item"]
        begun = response.open_items.pop(event["output_index"])
        assert begun["id"] == item["id"]
        assert item["status"] in {"completed", "incomplete"}
        assert item["id"] not in response.open_parts
        response.done_items[event["output_index"]] = item
        if item["type"] == "function_call":
            assert response.text[item["id"]] == item["arguments"]
        elif response.in_conversation:
            assert item["id"] in self.items

    def _response_content_part_added(self, event: Event) -> None:
        response = self._of(event)
        assert response.open_items[event["output_index"]]["id"] == event["item_id"]
        response.open_parts.add(event["item_id"])

    def _response_content_part_done(self, event: Event) -> None:
        self._of(event).open_parts.remove(event["item_id"])

    def _add_text(self, event: Event) -> None:
        response = self._of(event)
        assert event["item_id"] in response.open_parts
        response.text[event["item_id"]] = response.text.get(event["item_id"], "") + event["delta"]

    def _response_output_text_delta(self, event: Event) -> None:
        self._add_text(event)

    def _response_output_audio_transcript_delta(self, event: Event) -> None:
        self._add_text(event)

    def _response_output_text_done(self, event: Event) -> None:
        assert self._of(event).text[event["item_id"]] == event["text"]

    def _response_output_audio_transcript_done(self, event: Event) -> None:
        told = self._of(event).text.get(event["item_id"], "")
        assert told.lstrip().startswith(event["transcript"]), "what was heard is the beginning of what was told"

    def _response_output_audio_delta(self, event: Event) -> None:
        response = self._of(event)
        assert event["item_id"] in response.open_parts
        assert not response.audio_over
        response.audio_deltas += 1
        response.audio_after_speech = response.audio_after_speech or response.silenced

    def _response_output_audio_done(self, event: Event) -> None:
        self._of(event).audio_over = True

    def _response_function_call_arguments_delta(self, event: Event) -> None:
        response = self._of(event)
        response.text[event["item_id"]] = response.text.get(event["item_id"], "") + event["delta"]

    def _response_function_call_arguments_done(self, event: Event) -> None:
        assert self._of(event).text[event["item_id"]] == event["arguments"]

    # ------------------------------------------------------------ the end

    def check_rest(self) -> None:
        """Nothing is left half told."""
        assert not self.responses, f"never done: {list(self.responses)}"
        assert not self.in_progress, f"never done: {self.in_progress}"
        assert not self.speech


def _check_nulls(value: Any, path: str) -> None:
    """Clients take absent and null for different things."""
    if isinstance(value, dict):
        for key, inner in value.items():
            assert inner is not None or key in MAY_BE_NULL, f"{path}.{key} is null"
            _check_nulls(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            _check_nulls(inner, f"{path}[]")
    if path.endswith("transcription.completed"):
        assert value["usage"] is not None
