"""`POST /v1/audio/speech`: text to speech, streamed as it is spoken."""

import base64
import contextlib
import uuid
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from voice_agent.api.deps import AssemblyDep, SettingsDep
from voice_agent.api.fields import FieldError
from voice_agent.api.speaking import RATE, Speech
from voice_agent.api.streaming import EVENT_STREAM, begun, event_stream, sse, told
from voice_agent.api.usage import spoken_tokens, text_tokens
from voice_agent.api.voices import resolve_voice
from voice_agent.audio.encoding import CONTENT_TYPES, AudioFormat
from voice_agent.engines.base import SpeechRequest, TtsModel
from voice_agent.engines.tts.voicing import FASTEST, SLOWEST
from voice_agent.errors import InputError
from voice_agent.settings import Settings

MAX_INPUT: Final = 4096
"""Characters, as OpenAI has it: about five minutes of speech."""

SPEED_HEADER: Final = "Voice-Agent-Speed"


class VoiceById(BaseModel):
    """Another way to name a voice."""

    id: str = Field(min_length=1, max_length=200, examples=["af_heart"])


class SpeechBody(BaseModel):
    """Fields that are not known are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [
                {"model": "tts-1", "input": "Hello! How can I help you today?", "voice": "alloy", "response_format": "mp3"},
                {"model": "kokoro", "input": "Streamed as events.", "voice": {"id": "af_heart"}, "stream_format": "sse"},
            ]
        },
    )

    input: str = Field(min_length=1, max_length=MAX_INPUT, description="What to say.", examples=["Hello!"])
    model: str = Field(
        default="voice-agent",
        min_length=1,
        max_length=200,
        description="A speech model of `/v1/models`. Any other name, such as `tts-1`, takes the one in use.",
        examples=["tts-1"],
    )
    voice: Annotated[str, Field(min_length=1, max_length=200)] | VoiceById | None = Field(
        default=None,
        description="A voice of `/v1/audio/voices`, or one of OpenAI's names; the server's usual voice if not given.",
        examples=["alloy"],
    )
    instructions: str | None = Field(
        default=None, max_length=MAX_INPUT, description="Accepted, and without effect: no engine here takes directions."
    )
    response_format: AudioFormat = Field(
        default="mp3",
        description="`pcm` is 16-bit little-endian mono at 24 kHz without a header; `opus` comes in Ogg, `aac` as ADTS.",
    )
    speed: float = Field(
        default=1.0,
        ge=0.25,
        le=4.0,
        description=f"Voices stay clear from {SLOWEST:g} to {FASTEST:g}; what lies beyond is brought to the nearest of these, "
        f"and the header `{SPEED_HEADER}` tells what was spoken.",
    )
    stream_format: Literal["audio", "sse"] = Field(
        default="audio", description="`sse`: events `speech.audio.delta` with base64 audio, then `speech.audio.done`."
    )


class SpeechUsage(BaseModel):
    input_tokens: int
    output_tokens: int
    total_tokens: int


class SpeechDelta(BaseModel):
    """A piece of the audio file, in order."""

    type: Literal["speech.audio.delta"] = "speech.audio.delta"
    audio: str = Field(description="Base64.")


class SpeechDone(BaseModel):
    """The last event. Tokens are estimated from the lengths of text and audio."""

    type: Literal["speech.audio.done"] = "speech.audio.done"
    usage: SpeechUsage


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The audio, in pieces as it is spoken.",
        "headers": {SPEED_HEADER: {"description": "The speed that was spoken.", "schema": {"type": "number"}}},
        "content": {
            **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in CONTENT_TYPES.values()},
            EVENT_STREAM: event_stream(
                SpeechDelta,
                SpeechDone,
                example='data: {"type":"speech.audio.delta","audio":"//OExAAAAAAAAAAA"}\n\n'
                'data: {"type":"speech.audio.done","usage":{"input_tokens":2,"output_tokens":20,"total_tokens":22}}\n\n',
            ),
        },
    }
}

router = APIRouter(tags=["audio"])


@router.post("/v1/audio/speech", summary="Speak a text", response_class=Response, responses=_ANSWERS)
async def create_speech(body: SpeechBody, request: Request, assembly: AssemblyDep, settings: SettingsDep) -> Response:
    """The first bytes leave when the first clause is spoken. Closing the connection ends the synthesis."""
    engine = await assembly.synthesiser(body.model)
    spoken = min(FASTEST, max(SLOWEST, body.speed))
    speech = Speech(engine, _request(body, engine, settings, spoken), session=f"speech_{uuid.uuid4().hex[:12]}")
    audio = speech.encoded(body.response_format)
    headers = {SPEED_HEADER: f"{spoken:g}"}
    if body.stream_format == "sse":
        return await begun(request.receive, told(_events(speech, audio)), media_type=EVENT_STREAM, headers=headers)
    return await begun(request.receive, audio, media_type=CONTENT_TYPES[body.response_format], headers=headers)


def _request(body: SpeechBody, engine: TtsModel, settings: Settings, speed: float) -> SpeechRequest:
    language = settings.tts.language or "en"
    name = body.voice.id if isinstance(body.voice, VoiceById) else body.voice or settings.tts.voice
    try:
        voice = None if name is None else resolve_voice(engine, name, language=language)
    except InputError as error:
        raise FieldError.of(error, "voice") from error
    return SpeechRequest(text=body.input, voice=voice, language=language, speed=speed)


async def _events(speech: Speech, audio: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(audio):
        async for block in audio:
            yield sse(SpeechDelta(audio=base64.b64encode(block).decode()).model_dump())
    heard, spoken = text_tokens(speech.request.text), spoken_tokens(speech.samples / RATE)
    usage = SpeechUsage(input_tokens=heard, output_tokens=spoken, total_tokens=heard + spoken)
    yield sse(SpeechDone(usage=usage).model_dump())
