"""`POST /v1/audio/transcriptions`: a recording as text, at once or as it is recognised."""

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from starlette.responses import PlainTextResponse, Response

from voice_agent.api.deps import AssemblyDep, SettingsDep
from voice_agent.api.fields import FieldError
from voice_agent.api.responses import JsonResponse
from voice_agent.api.streaming import EVENT_STREAM, ClientGone, begun, event_stream, sse, told, while_connected
from voice_agent.api.subtitles import srt, vtt
from voice_agent.api.transcribing import Recording, Segment, segments
from voice_agent.api.transcripts import (
    TranscriptDelta,
    TranscriptDone,
    Transcription,
    VerboseTranscription,
    done,
    transcription,
    verbose,
)
from voice_agent.api.turnstile import Turnstile
from voice_agent.audio.decoding import decode_audio
from voice_agent.engines.base import SttModel, VadModel
from voice_agent.errors import AudioInputError, EngineUnavailable

Format = Literal["json", "text", "srt", "verbose_json", "vtt"]
Granularity = Literal["word", "segment"]

CONTENT_TYPES: Final[dict[Format, str]] = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
}

MAX_PROMPT: Final = 4000
"""Characters; Whisper itself looks at 224 tokens."""

LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")

PLACES, QUEUE, RETRY_S = 2, 8, 10.0
"""Half an hour of audio is 115 MB while it is worked on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The form of a request, besides the file."""

    model: Annotated[
        str,
        Form(
            min_length=1,
            max_length=200,
            description="A recogniser of `/v1/models`. Any other name, such as `whisper-1`, takes the one in use.",
        ),
    ] = "voice-agent"
    language: Annotated[str | None, Form(max_length=20, description="ISO 639-1 code of the speech; detected if not given.")] = None
    prompt: Annotated[
        str, Form(max_length=MAX_PROMPT, description="Names and words to expect, for recognisers that take a hint.")
    ] = ""
    response_format: Annotated[Format, Form(description="`verbose_json` has times, `srt` and `vtt` are subtitles.")] = "json"
    temperature: Annotated[float, Form(ge=0.0, le=1.0, description="Accepted; recognition takes the likeliest words.")] = 0.0
    granularities: Annotated[
        list[Granularity] | None,
        Form(
            alias="timestamp_granularities[]", description="For `verbose_json`: `segment` unless told otherwise, `word`, or both."
        ),
    ] = None
    stream: Annotated[
        bool, Form(description="Answer with events while it is recognised: `transcript.text.delta`, then `.done`.")
    ] = False
    chunking_strategy: Annotated[
        str | None, Form(max_length=2000, description="Accepted; long recordings are always cut in pauses of the speech.")
    ] = None


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The text. A recording without speech has an empty one.",
        "model": Transcription | VerboseTranscription,
        "content": {
            "text/plain": {"schema": {"type": "string"}, "example": "Hello there.\n"},
            "application/x-subrip": {"schema": {"type": "string"}, "example": "1\n00:00:00,320 --> 00:00:01,120\nHello there.\n\n"},
            "text/vtt": {"schema": {"type": "string"}, "example": "WEBVTT\n\n00:00:00.320 --> 00:00:01.120\nHello there.\n\n"},
            EVENT_STREAM: event_stream(
                TranscriptDelta,
                TranscriptDone,
                example='data: {"type":"transcript.text.delta","delta":"Hello there."}\n\n'
                'data: {"type":"transcript.text.done","text":"Hello there.","usage":{"type":"tokens","input_tokens":12,'
                '"output_tokens":3,"total_tokens":15}}\n\n',
            ),
        },
    }
}

router = APIRouter(tags=["audio"])


async def _turnstile(request: Request) -> Turnstile:
    """The app's, made when it is first needed: its lock belongs to the loop."""
    state = request.app.state
    if not hasattr(state, "transcriptions"):
        state.transcriptions = Turnstile("transcriptions", places=PLACES, queue=QUEUE, retry_after_s=RETRY_S)
    turnstile = state.transcriptions
    assert isinstance(turnstile, Turnstile)
    return turnstile


@router.post("/v1/audio/transcriptions", summary="Transcribe a recording", response_class=JsonResponse, responses=_ANSWERS)
async def create_transcription(
    request: Request,
    assembly: AssemblyDep,
    settings: SettingsDep,
    turnstile: Annotated[Turnstile, Depends(_turnstile)],
    file: Annotated[
        UploadFile, File(description="flac, m4a, mp3, mp4, mpeg, mpga, ogg, opus, wav or webm; 25 MiB and half an hour at most.")
    ],
    wish: Annotated[Wish, Depends(Wish)],
) -> Response:
    """Cut at pauses and recognised piece by piece; times are those of the recording."""
    language = _language(wish.language) or settings.stt.language
    stt = await assembly.recogniser(wish.model)
    _check_language(stt, language)
    vad = (await assembly.vad.choose(limit=1))[0]
    work = _Work(
        file=file, wish=wish, language=language, hint=wish.prompt or settings.stt.hint, vad=vad, stt=stt, turnstile=turnstile
    )
    if wish.stream:
        return await begun(request.receive, told(work.events()), media_type=EVENT_STREAM, headers={})
    try:
        return await while_connected(request.receive, work.answer())
    except ClientGone:
        return Response(status_code=499)


def _language(tag: str | None) -> str | None:
    """None also for the empty text that forms send where nothing was chosen."""
    if not tag:
        return None
    if LANGUAGE.fullmatch(tag) is None:
        raise FieldError(f"{tag!r} is no language", param="language", remedy="Give an ISO 639-1 code such as en")
    return tag.lower()


def _check_language(stt: SttModel, language: str | None) -> None:
    """Raises `FieldError` where the recogniser does not know it."""
    try:
        stt.stream(session="", language=language).close()
    except EngineUnavailable as error:
        if error.code != "stt.unknown_language":
            raise
        raise FieldError(error.what, param="language", why=error.why, remedy=error.remedy) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    file: UploadFile
    wish: Wish
    language: str | None
    hint: str
    vad: VadModel
    stt: SttModel
    turnstile: Turnstile

    async def answer(self) -> Response:
        async with self.turnstile.place():
            recording = await self._recording()
            async with contextlib.aclosing(segments(recording, vad=self.vad, stt=self.stt)) as found:
                return _rendered(self.wish, recording.duration_s, [segment async for segment in found], recording.language)

    async def events(self) -> AsyncGenerator[bytes, None]:
        async with self.turnstile.place():
            recording = await self._recording()
            said: list[str] = []
            async with contextlib.aclosing(segments(recording, vad=self.vad, stt=self.stt)) as found:
                async for segment in found:
                    yield sse(TranscriptDelta(delta=" " + segment.text if said else segment.text).model_dump())
                    said.append(segment.text)
            yield sse(done(" ".join(said), recording.duration_s).model_dump())

    async def _recording(self) -> Recording:
        data = await self.file.read()
        try:
            samples = await asyncio.to_thread(decode_audio, data)
        except AudioInputError as error:
            raise FieldError.of(error, "file") from error
        return Recording(samples=samples, session=f"transcription_{uuid.uuid4().hex[:12]}", language=self.language, hint=self.hint)


def _rendered(wish: Wish, duration_s: float, found: list[Segment], language: str | None) -> Response:
    kind = CONTENT_TYPES[wish.response_format]
    match wish.response_format:
        case "json":
            return JsonResponse(transcription(found, duration_s).model_dump())
        case "verbose_json":
            granularities = frozenset(wish.granularities or ["segment"])
            answer = verbose(found, duration_s, language=language, words="word" in granularities, parts="segment" in granularities)
            return JsonResponse(answer.model_dump(exclude_none=True))
        case "text":
            return PlainTextResponse(" ".join(segment.text for segment in found) + "\n", media_type=kind)
        case "srt":
            return PlainTextResponse(srt(found), media_type=kind)
        case "vtt":
            return PlainTextResponse(vtt(found), media_type=kind)
