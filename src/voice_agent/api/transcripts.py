"""Transcripts as OpenAI's API writes them."""

import math
import zlib
from collections.abc import Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from voice_agent.api.transcribing import Segment
from voice_agent.api.usage import heard_tokens, text_tokens

UNTOLD_LANGUAGE: Final = "en"
"""Of a recording in which nothing was said, when nobody told the language."""

LEAST_CONFIDENCE: Final = 1e-4
"""Its logarithm is -9.2; 0 has none."""


class DurationUsage(BaseModel):
    type: Literal["duration"] = "duration"
    seconds: float = Field(ge=0.0, description="Length of the recording.")


class Transcription(BaseModel):
    """The answer as `json`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "Hello there.", "usage": {"type": "duration", "seconds": 1.4}}]}
    )

    text: str
    usage: DurationUsage


class TimedWord(BaseModel):
    word: str
    start: float = Field(description="Seconds from the start of the recording.")
    end: float


class TimedSegment(BaseModel):
    """Speech between two pauses. `seek`, `tokens`, `temperature` and `no_speech_prob` are what Whisper tells of itself; they are
    constant here."""

    id: int
    seek: int = 0
    start: float = Field(description="Seconds from the start of the recording.")
    end: float
    text: str
    tokens: list[int] = Field(default_factory=list)
    temperature: float = 0.0
    avg_logprob: float = Field(description="Mean logarithm of the words' probability.")
    compression_ratio: float = Field(description="How well the text can be compressed; above 2.4 it repeats itself.")
    no_speech_prob: float = 0.0


class VerboseTranscription(BaseModel):
    """The answer as `verbose_json`. `segments` and `words` are there when they were asked for."""

    task: Literal["transcribe"] = "transcribe"
    language: str = Field(description="ISO 639-1 code.", examples=["en"])
    duration: float = Field(description="Seconds.")
    text: str
    segments: list[TimedSegment] | None = None
    words: list[TimedWord] | None = None
    words_estimated: bool | None = Field(
        default=None, description="True where the engine tells no times of words and they follow from their lengths (our addition)."
    )
    usage: DurationUsage


class TranscriptDelta(BaseModel):
    """Words that were recognised since the event before."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str


class TokenDetails(BaseModel):
    audio_tokens: int
    text_tokens: int


class TokenUsage(BaseModel):
    type: Literal["tokens"] = "tokens"
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_token_details: TokenDetails


class TranscriptDone(BaseModel):
    """The last event: all of the text."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str
    usage: TokenUsage


def transcription(found: Sequence[Segment], duration_s: float) -> Transcription:
    return Transcription(text=_text(found), usage=_usage(duration_s))


def verbose(found: Sequence[Segment], duration_s: float, *, language: str | None, words: bool, parts: bool) -> VerboseTranscription:
    """`language` as it was asked for; None: the one in which most was said."""
    return VerboseTranscription(
        language=language or _main_language(found),
        duration=round(duration_s, 3),
        text=_text(found),
        segments=[_segment(number, segment) for number, segment in enumerate(found)] if parts else None,
        words=[word for segment in found for word in _words(segment)] if words else None,
        words_estimated=any(segment.estimated for segment in found) if words else None,
        usage=_usage(duration_s),
    )


def done(text: str, duration_s: float) -> TranscriptDone:
    """Tokens are estimated from the lengths: OpenAI's event has no usage by duration."""
    heard, written = heard_tokens(duration_s), text_tokens(text)
    details = TokenDetails(audio_tokens=heard, text_tokens=0)
    usage = TokenUsage(input_tokens=heard, output_tokens=written, total_tokens=heard + written, input_token_details=details)
    return TranscriptDone(text=text, usage=usage)


def _text(found: Sequence[Segment]) -> str:
    return " ".join(segment.text for segment in found)


def _usage(duration_s: float) -> DurationUsage:
    return DurationUsage(seconds=round(duration_s, 3))


def _main_language(found: Sequence[Segment]) -> str:
    told: dict[str, float] = {}
    for segment in found:
        told[segment.language] = told.get(segment.language, 0.0) + segment.end_s - segment.start_s
    return max(told, key=lambda language: told[language], default=UNTOLD_LANGUAGE)


def _segment(number: int, segment: Segment) -> TimedSegment:
    data = segment.text.encode()
    return TimedSegment(
        id=number,
        start=round(segment.start_s, 3),
        end=round(segment.end_s, 3),
        text=segment.text,
        avg_logprob=round(math.log(max(segment.confidence, LEAST_CONFIDENCE)), 4),
        compression_ratio=round(len(data) / len(zlib.compress(data)), 4),
    )


def _words(segment: Segment) -> list[TimedWord]:
    return [TimedWord(word=word.text, start=round(word.start_s, 3), end=round(word.end_s, 3)) for word in segment.words]
