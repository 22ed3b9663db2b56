"""What clients send. Parsed once at the border: a bad event becomes an `EventError`, never an exception of ours.

Audio is decoded here too, so that behind this border there are only samples.
"""

import asyncio
import binascii
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import orjson
from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from voice_agent.errors import InputError
from voice_agent.transports.realtime.config import MAX_SHOWN, FunctionTool, MaxTokens, Modalities, Part, ToolChoice

MAX_AUDIO_BASE64 = 20 * 1024 * 1024
"""Characters of one append: 15 MiB of audio in base64, as OpenAI allows."""

BASE64_STEP = 192 * 1024
"""Characters that are decoded in one go (0.3 ms)."""

MAX_EVENT = 1024 * 1024
"""Characters or bytes of an event without its audio: instructions, tools and texts at their longest, and room to spare."""

MAX_VALUES = 20_000
"""Values in one event. Each costs some 0.3 µs to check, on the loop that all sessions share."""

MAX_TEXT = 100_000
"""Characters of one text part."""

MAX_DEPTH = 64
"""Of nested JSON. Deeper ones are refused before anything recursive sees them."""

Id: TypeAlias = Annotated[str, Field(min_length=1, max_length=512)]


class EventError(InputError):
    """Answered with an `error` event; `event_id` is the client's, where it could be read."""

    code = "invalid_value"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message, code=code)
        self.param = param
        self.event_id = event_id


class ClientEvent(Part):
    event_id: Annotated[str, Field(max_length=512)] | None = None


class SessionUpdate(ClientEvent):
    type: Literal["session.update"]
    session: dict[str, JsonValue]


class AudioAppend(ClientEvent):
    type: Literal["input_audio_buffer.append"]
    audio: Annotated[str, Field(max_length=MAX_AUDIO_BASE64)]

    async def decoded(self) -> list[bytes]:
        """The audio, in pieces: 15 MiB at once would stop everybody else for 75 ms. Raises `EventError`."""
        pieces = []
        try:
            for start in range(0, len(self.audio), BASE64_STEP):
                if start:
                    await asyncio.sleep(0)
                piece = self.audio[start : start + BASE64_STEP]
                if piece.endswith("=") and start + BASE64_STEP < len(self.audio):
                    raise ValueError("padding before the end")
                pieces.append(binascii.a2b_base64(piece, strict_mode=True))
        except ValueError as error:
            raise EventError(f"audio is not base64: {error}", param="audio", event_id=self.event_id) from None
        return pieces


class AudioCommit(ClientEvent):
    type: Literal["input_audio_buffer.commit"]


class AudioClear(ClientEvent):
    type: Literal["input_audio_buffer.clear"]


class InputText(Part):
    type: Literal["input_text"]
    text: Annotated[str, Field(max_length=MAX_TEXT)]

    @property
    def words(self) -> str:
        return self.text


class InputAudio(Part):
    """Audio in an item: only its transcript is used."""

    type: Literal["input_audio"]
    transcript: Annotated[str, Field(max_length=MAX_TEXT)] | None = None

    @property
    def words(self) -> str:
        return self.transcript or ""


class InputImage(Part):
    """Nobody looks at it."""

    type: Literal["input_image"]

    @property
    def words(self) -> str:
        return ""


class OutputText(Part):
    type: Literal["output_text"]
    text: Annotated[str, Field(max_length=MAX_TEXT)]

    @property
    def words(self) -> str:
        return self.text


class OutputAudio(Part):
    type: Literal["output_audio"]
    transcript: Annotated[str, Field(max_length=MAX_TEXT)] | None = None

    @property
    def words(self) -> str:
        return self.transcript or ""


Content: TypeAlias = Annotated[InputText | InputAudio | InputImage | OutputText | OutputAudio, Field(discriminator="type")]


class MessageItem(Part):
    type: Literal["message"]
    id: Id | None = None
    role: Literal["user", "assistant", "system"]
    content: Annotated[list[Content], Field(max_length=64)]

    @property
    def text(self) -> str:
        """All its words."""
        return "\n".join(part.words for part in self.content if part.words)


class FunctionCallItem(Part):
    type: Literal["function_call"]
    id: Id | None = None
    call_id: Id | None = None
    name: Annotated[str, Field(min_length=1, max_length=64)]
    arguments: Annotated[str, Field(max_length=MAX_TEXT)]


class FunctionOutputItem(Part):
    type: Literal["function_call_output"]
    id: Id | None = None
    call_id: Id
    output: Annotated[str, Field(max_length=MAX_TEXT)]


ItemInput: TypeAlias = Annotated[MessageItem | FunctionCallItem | FunctionOutputItem, Field(discriminator="type")]


class ItemReference(Part):
    type: Literal["item_reference"]
    id: Id


class ItemCreate(ClientEvent):
    type: Literal["conversation.item.create"]
    item: ItemInput
    previous_item_id: Annotated[str, Field(max_length=512)] | None = None


class ItemRetrieve(ClientEvent):
    type: Literal["conversation.item.retrieve"]
    item_id: Id


class ItemDelete(ClientEvent):
    type: Literal["conversation.item.delete"]
    item_id: Id


class ItemTruncate(ClientEvent):
    type: Literal["conversation.item.truncate"]
    item_id: Id
    content_index: Annotated[int, Field(ge=0, le=1024)]
    audio_end_ms: Annotated[int, Field(ge=0, le=86_400_000)]


class VoiceId(Part):
    id: Annotated[str, Field(min_length=1, max_length=200)]


class ResponseAudioOutput(Part):
    voice: Annotated[str, Field(min_length=1, max_length=200)] | VoiceId | None = None


class ResponseAudio(Part):
    output: ResponseAudioOutput | None = None


class ResponseParams(Part):
    """Of one response; what is not given is the session's."""

    instructions: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    output_modalities: Modalities | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    max_output_tokens: MaxTokens | None = None
    metadata: Annotated[dict[str, Annotated[str, Field(max_length=512)]], Field(max_length=16)] | None = None
    conversation: Literal["auto", "none"] | None = "auto"
    input: Annotated[list[Annotated[ItemInput | ItemReference, Field(discriminator="type")]], Field(max_length=1000)] | None = None
    audio: ResponseAudio | None = None

    @property
    def voice(self) -> str | None:
        """Its name."""
        voice = self.audio.output.voice if self.audio is not None and self.audio.output is not None else None
        return voice.id if isinstance(voice, VoiceId) else voice


class ResponseCreate(ClientEvent):
    type: Literal["response.create"]
    response: ResponseParams | None = None


class ResponseCancel(ClientEvent):
    type: Literal["response.cancel"]
    response_id: Id | None = None


class OutputAudioClear(ClientEvent):
    type: Literal["output_audio_buffer.clear"]


Event: TypeAlias = (
    SessionUpdate
    | AudioAppend
    | AudioCommit
    | AudioClear
    | ItemCreate
    | ItemRetrieve
    | ItemDelete
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
    | OutputAudioClear
)

E = TypeVar("E")

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])
_APPEND: TypeAdapter[AudioAppend] = TypeAdapter(AudioAppend)


def parse(frame: str | bytes) -> Event:
    """One frame. Raises `EventError` for anything that is not an event we know."""
    if len(frame) > MAX_EVENT:
        return _parse_large(frame)
    data = _object(frame)
    raw_id, kind = data.get("event_id"), data.get("type")
    event_id = raw_id if isinstance(raw_id, str) and len(raw_id) <= 512 else None
    if not isinstance(kind, str):
        raise EventError("The event has no type", code="missing_required_parameter", param="type", event_id=event_id)
    if kind == "input_audio_buffer.append" and len(data) <= 4:  # the frequent one: no union to search
        return _checked(_APPEND, {key: data[key] for key in data.keys() & _APPEND_KEYS}, event_id)
    if _values(frame) > MAX_VALUES:
        raise EventError(f"The event holds more than {MAX_VALUES} values", event_id=event_id)
    if _too_deep(data, MAX_DEPTH):
        raise EventError(f"The event is nested more than {MAX_DEPTH} deep", event_id=event_id)
    return _checked(_ADAPTER, data, event_id)


_APPEND_KEYS = {"type", "event_id", "audio"}


def _object(frame: str | bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise EventError(f"The frame is not JSON: {error}", code="invalid_json") from None
    if not isinstance(data, dict):
        raise EventError("An event is a JSON object", code="invalid_json")
    return data


def _values(frame: str | bytes) -> int:
    """At least as many as are in it, without looking at each."""
    text = frame if isinstance(frame, bytes) else frame.encode()
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _parse_large(frame: str | bytes) -> Event:
    """Only audio can be this large. It is cut out before anything is parsed, because a parser would hold up the loop."""
    text = frame if isinstance(frame, bytes) else frame.encode()
    start = text.find(b'"', text.find(b":", text.find(b'"audio"') + 1)) + 1
    end = text.find(b'"', start)
    rest = text[:start] + text[end:]
    if b'"audio"' not in text or end < 0 or len(rest) > MAX_EVENT:
        raise EventError(f"An event without its audio is at most {MAX_EVENT} bytes long", code="event_too_large")
    event = parse(rest)
    if not isinstance(event, AudioAppend) or event.audio:
        raise EventError(f"An event without its audio is at most {MAX_EVENT} bytes long", code="event_too_large")
    if end - start > MAX_AUDIO_BASE64:
        raise EventError("audio is longer than 15 MiB", param="audio", event_id=event.event_id)
    audio = text[start:end].replace(b"\\/", b"/").decode("latin-1")  # some writers escape slashes
    return event.model_copy(update={"audio": audio})


def _checked(adapter: TypeAdapter[E], data: dict[str, Any], event_id: str | None) -> E:
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "union_tag_invalid" and not first["loc"]:
            shown = str(data["type"])[:100]
            raise EventError(f"Invalid value: {shown!r} is no event type", param="type", event_id=event_id) from None
        path = ".".join(str(step) for step in first["loc"][1:] or first["loc"])[:MAX_SHOWN]
        code = "missing_required_parameter" if first["type"] == "missing" else None
        raise EventError(
            f"Invalid value for {path}: {first['msg'][:MAX_SHOWN]}", code=code, param=path, event_id=event_id
        ) from None


def _too_deep(value: Any, left: int) -> bool:
    if left == 0:
        return True
    if isinstance(value, dict):
        return any(_too_deep(inner, left - 1) for inner in value.values())
    if isinstance(value, list):
        return any(_too_deep(inner, left - 1) for inner in value)
    return False
