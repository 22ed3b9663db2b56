"""A recording as text with times: stretch by stretch, so that the first words are there before the last are heard."""

import contextlib
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from voice_agent.api.stretches import Stretch, stretches
from voice_agent.audio.pcm import Samples
from voice_agent.engines.base import INPUT_RATE, SttModel, Transcript, VadModel, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Times in seconds from the start of the recording. `words` are all of its words; `estimated` says that their times follow
    from their lengths, because the engine tells none."""

    text: str
    start_s: float
    end_s: float
    confidence: float
    language: str
    words: tuple[Word, ...]
    estimated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """`language` None: detect. `hint`: words to expect."""

    samples: Samples
    session: str
    language: str | None = None
    hint: str = ""

    @property
    def duration_s(self) -> float:
        return self.samples.size / INPUT_RATE


async def segments(recording: Recording, *, vad: VadModel, stt: SttModel) -> AsyncGenerator[Segment, None]:
    """In order; a stretch without a word gives none. Raises `EngineError`. Closing it ends the work."""
    async with contextlib.aclosing(stretches(vad, recording.samples)) as found:
        async for stretch in found:
            transcript = await _transcript(recording, stretch, stt)
            if transcript.text:
                yield _segment(transcript, stretch)


async def _transcript(recording: Recording, stretch: Stretch, stt: SttModel) -> Transcript:
    """Each stretch waits in the engine's queue anew, so that turns of conversations come in between."""
    stream = stt.stream(session=recording.session, language=recording.language, hint=recording.hint)
    try:
        stream.accept(recording.samples[slice(*stretch.heard)])
        return await stream.final()
    finally:
        stream.close()


def _segment(transcript: Transcript, stretch: Stretch) -> Segment:
    text = " ".join(transcript.text.split())
    if transcript.words:
        words, estimated = _moved(transcript.words, stretch.heard[0] / INPUT_RATE), False
    else:
        words, estimated = estimated_words(text, stretch.voiced), True
    return Segment(
        text=text,
        start_s=stretch.start_s,
        end_s=stretch.end_s,
        confidence=transcript.confidence,
        language=transcript.language,
        words=words,
        estimated=estimated,
    )


def _moved(words: Sequence[Word], by_s: float) -> tuple[Word, ...]:
    return tuple(replace(word, text=word.text.strip(), start_s=word.start_s + by_s, end_s=word.end_s + by_s) for word in words)


def estimated_words(text: str, voiced: Sequence[tuple[int, int]]) -> tuple[Word, ...]:
    """The words of `text` spread over the time in which there was speech, longer ones longer; a pause lies between two of them."""
    words = text.split()
    if not words:
        return ()
    borders = _borders([len(word) + 1 for word in words], [end - start for start, end in voiced])
    spans = [(_at(voiced, start, opens=True), _at(voiced, end, opens=False)) for start, end in pairwise(borders)]
    # A word that was left no time at all begins after the pause at which it ends.
    return tuple(Word(text=word, start_s=start, end_s=max(start, end)) for word, (start, end) in zip(words, spans, strict=True))


def _borders(weights: Sequence[int], utterances: Sequence[int]) -> list[int]:
    """Where words end, in samples of speech: by weight, and where speech pauses the nearest such end."""
    speech, total = sum(utterances), sum(weights)
    borders = [speech * passed // total for passed in accumulate(weights, initial=0)]
    for pause in list(accumulate(utterances))[:-1]:
        after = bisect_right(borders, pause)
        inner = [index for index in (after - 1, after) if 0 < index < len(weights)]
        if inner:
            borders[min(inner, key=lambda index: abs(borders[index] - pause))] = pause
    return borders


def _at(voiced: Sequence[tuple[int, int]], spoken: int, *, opens: bool) -> float:
    """Seconds at which `spoken` samples of speech have passed; at a pause its end for a word that begins, else its start."""
    for start, end in voiced[:-1]:
        if spoken < end - start or (spoken == end - start and not opens):
            return (start + spoken) / INPUT_RATE
        spoken -= end - start
    start, end = voiced[-1]
    return min(start + spoken, end) / INPUT_RATE
