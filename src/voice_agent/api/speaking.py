"""A text as audio, clause by clause: the first sound is there as soon as the first clause is spoken."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Final, cast

import numpy as np

from voice_agent.audio.encoding import AudioFormat, encoder
from voice_agent.audio.pcm import Pcm16
from voice_agent.audio.resample import Resampler
from voice_agent.conversation.clauses import ClauseCutter
from voice_agent.engines.base import SpeechChunk, SpeechRequest, TtsModel

RATE: Final = 24_000
"""Hz, of all formats: what OpenAI's pcm has, and Kokoro's own rate."""

NOTHING_S: Final = 0.1
"""Silence in place of a text with nothing to say, such as an emoji: players fail on a file without sound."""


@dataclass(slots=True)
class Speech:
    """`request` says how to speak; `samples` counts what has been spoken so far, at `RATE`."""

    engine: TtsModel
    request: SpeechRequest
    session: str
    samples: int = 0

    async def pcm(self) -> AsyncGenerator[Pcm16, None]:
        """All of `request.text` at `RATE`, in blocks. Closing it stops the synthesis."""
        joint = _Joint()
        for clause in clauses(self.request.text):
            speech = self.engine.speak(replace(self.request, text=clause), session=self.session)
            async with contextlib.aclosing(cast(AsyncGenerator[SpeechChunk, None], speech)) as chunks:
                async for chunk in chunks:
                    if (block := joint.push(chunk)).size:
                        self.samples += block.size
                        yield block
        rest = joint.flush()
        if not self.samples + rest.size:
            rest = np.zeros(round(NOTHING_S * RATE), dtype=np.int16)
        self.samples += rest.size
        if rest.size:
            yield rest

    async def encoded(self, audio_format: AudioFormat) -> AsyncGenerator[bytes, None]:
        """The same in `audio_format`; never an empty block."""
        coder = await asyncio.to_thread(encoder, audio_format, rate=RATE)
        async with contextlib.aclosing(self.pcm()) as blocks:
            async for block in blocks:
                data = await asyncio.to_thread(coder.push, block) if coder.blocks else coder.push(block)
                if data:
                    yield data
        data = await asyncio.to_thread(coder.finish) if coder.blocks else coder.finish()
        if data:
            yield data


def clauses(text: str) -> list[str]:
    cutter = ClauseCutter()
    return [*cutter.push(text), *cutter.finish()]


class _Joint:
    """Chunks of any rate in one stream of `RATE`. The rate changes when another engine takes over."""

    def __init__(self) -> None:
        self._rate = RATE
        self._resampler = Resampler(RATE, RATE)

    def push(self, chunk: SpeechChunk) -> Pcm16:
        if chunk.sample_rate == self._rate:
            return self._resampler.push(chunk.pcm)
        rest, self._rate = self.flush(), chunk.sample_rate
        self._resampler = Resampler(self._rate, RATE)
        return np.concatenate((rest, self._resampler.push(chunk.pcm)))

    def flush(self) -> Pcm16:
        return self._resampler.flush()
