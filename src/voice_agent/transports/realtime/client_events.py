"""What clients send. Parsed once at the border: a bad event becomes an `EventError`, never an exception of ours.

Audio is decoded here too, so that behind this border there are only samples.
"""

import binascii
from base64 import b64decode
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import orjson
from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from voice_agent.errors import InputError
from voice_agent.transports.realtime.config import FunctionTool, MaxTokens, Modalities, Part, ToolChoice

MAX_AUDIO_BASE64 = 20 * 1024 * 1024
"""Characters of one append: 15 MiB of audio in base64, as OpenAI allows."""

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

    def data(self) -> bytes:
        """The audio's bytes. Raises `EventError`."""
        try:
            return b64decode(self.audio, validate=True)
        except (binascii.Error, ValueError) as error:
            raise EventError(f"audio is not base64: {error}", param="audio", event_id=self.event_id) from None


class AudioCommit(ClientEvent):
    type: Literal["input_audio_buffer.commit"]


class AudioClear(ClientEvent):
    type: Literal["input_audio_buffer.clear"]


class InputText(Part):
    type: Literal["input_text"]
    text: Annotated[str, Field(max_length=MAX_TEXT)]


class InputAudio(Part):
    """Audio in an item: only its transcript is used."""

    type: Literal["input_audio"]
    audio: Annotated[str, Field(max_length=MAX_AUDIO_BASE64)] | None = None
    transcript: Annotated[str, Field(max_length=MAX_TEXT)] | None = None


class InputImage(Part):
    type: Literal["input_image"]


class OutputText(Part):
    type: Literal["output_text"]
    text: Annotated[str, Field(max_length=MAX_TEXT)]


class OutputAudio(Part):
    type: Literal["output_audio"]
    transcript: Annotated[str, Field(max_length=MAX_TEXT)] | None = None


Content: TypeAlias = Annotated[InputText | InputAudio | InputImage | OutputText | OutputAudio, Field(discriminator="type")]


def _text_of(part: InputText | InputAudio | InputImage | OutputText | OutputAudio) -> str | None:
    match part:
        case InputText() | OutputText():
            return part.text
        case InputAudio() | OutputAudio():
            return part.transcript
        case InputImage():
            return None


class MessageItem(Part):
    type: Literal["message"]
    id: Id | None = None
    role: Literal["user", "assistant", "system"]
    content: Annotated[list[Content], Field(max_length=64)]

    @property
    def text(self) -> str:
        """All its words."""
        said = (
            part.text if isinstance(part, InputText | OutputText) else getattr(part, "transcript", None) for part in self.content
        )
        return "\n".join(text for text in said if text)


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


class ResponseAudioOutput(Part):
    voice: JsonValue = None


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
    conversation: Literal["auto", "none"] = "auto"
    input: Annotated[list[Annotated[ItemInput | ItemReference, Field(discriminator="type")]], Field(max_length=1000)] | None = None
    audio: ResponseAudio | None = None


class ResponseCreate(ClientEvent):
    type: Literal["response.create"]
    response: ResponseParams = Field(default_factory=ResponseParams)


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
    try:
        data = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise EventError(f"The frame is not JSON: {error}", code="invalid_json") from None
    if not isinstance(data, dict):
        raise EventError("An event is a JSON object", code="invalid_json")
    raw_id, kind = data.get("event_id"), data.get("type")
    event_id = raw_id if isinstance(raw_id, str) and len(raw_id) <= 512 else None
    if not isinstance(kind, str):
        raise EventError("The event has no type", code="missing_required_parameter", param="type", event_id=event_id)
    if kind == "input_audio_buffer.append" and len(data) <= 4:  # the frequent one: no union to search
        return _checked(_APPEND, data, event_id)
    if _too_deep(data, MAX_DEPTH):
        raise EventError(f"The event is nested more than {MAX_DEPTH} deep", event_id=event_id)
    return _checked(_ADAPTER, data, event_id)


def _checked(adapter: TypeAdapter[E], data: dict[str, Any], event_id: str | None) -> E:
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "union_tag_invalid" and not first["loc"]:
            shown = str(data["type"])[:100]
            raise EventError(f"Invalid value: {shown!r} is no event type", param="type", event_id=event_id) from None
        path = ".".join(str(step) for step in first["loc"][1:] or first["loc"])
        code = "missing_required_parameter" if first["type"] == "missing" else None
        raise EventError(f"Invalid value for {path}: {first['msg']}", code=code, param=path, event_id=event_id) from None


def _too_deep(value: Any, left: int) -> bool:
    if left == 0:
        return True
    if isinstance(value, dict):
        return any(_too_deep(inner, left - 1) for inner in value.values())
    if isinstance(value, list):
        return any(_too_deep(inner, left - 1) for inner in value)
    return False
