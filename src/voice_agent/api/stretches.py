"""A recording cut into stretches of speech, each short enough to be recognised at once. Cuts lie in pauses where there are any."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from voice_agent.audio.framing import Framer
from voice_agent.audio.pcm import Samples
from voice_agent.conversation.segmentation import End, Onset, SpeechSegmenter
from voice_agent.engines.base import INPUT_RATE, VadModel

LONGEST: Final = 20 * INPUT_RATE
"""Whisper looks at 30 s at once; Moonshine gets slower and worse beyond 20 s."""

SHORT: Final = 8 * INPUT_RATE
SHORT_PAUSE: Final = round(1.2 * INPUT_RATE)
"""A stretch that is shorter than this is continued over pauses of up to 1.2 s: recognisers guess where they have no context. On
the clips of tests/assets, cut at 0.7 s instead, Moonshine makes half as many mistakes again."""

JOINED_PAUSE: Final = round(0.5 * INPUT_RATE)
"""A longer one is continued over these only."""

PAD: Final = round(0.3 * INPUT_RATE)
"""Audio before and after that is recognised too: soft beginnings and ends are speech before the VAD says so."""

BLOCK: Final = 10 * INPUT_RATE
"""Looked at in one go in a thread: 20 to 60 ms."""

SEARCHED: Final = 8 * INPUT_RATE
QUIET: Final = round(0.1 * INPUT_RATE)
"""Speech without a pause is cut in the quietest 0.1 s of the last 8 s that are possible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Samples from the start of the recording. `voiced` are its utterances, `heard` what a recogniser should be given."""

    voiced: tuple[tuple[int, int], ...]
    heard: tuple[int, int]

    @property
    def start_s(self) -> float:
        return self.voiced[0][0] / INPUT_RATE

    @property
    def end_s(self) -> float:
        return self.voiced[-1][1] / INPUT_RATE


async def stretches(vad: VadModel, samples: Samples) -> AsyncGenerator[Stretch, None]:
    """In order, each as soon as it is known. `samples` are at 16 kHz."""
    scanner = _Scanner(vad, samples)
    while not scanner.done:
        for stretch in await asyncio.to_thread(scanner.advance):
            yield stretch


class _Scanner:
    def __init__(self, vad: VadModel, samples: Samples) -> None:
        self._samples = samples
        self._vad = vad.stream()
        self._framer = Framer(vad.window_samples)
        self._segmenter = SpeechSegmenter(vad.window_samples)
        self._position = 0
        self._onset: int | None = None
        self._packer = Packer(samples.size)

    @property
    def done(self) -> bool:
        return self._packer.finished

    def advance(self) -> list[Stretch]:
        """The next block; what it completed. Blocking."""
        block = self._samples[self._position : self._position + BLOCK]
        self._position += block.size
        found: list[Stretch] = []
        for window in self._framer.push(block):
            match self._segmenter.process(self._vad.probability(window)):
                case Onset(sample=sample):
                    self._onset = sample
                case End(sample=sample):
                    found += self._spoken(sample)
        if self._position >= self._samples.size:
            if self._onset is not None:
                found += self._spoken(self._samples.size)
            found += self._packer.finish()
        return found

    def _spoken(self, end: int) -> list[Stretch]:
        assert self._onset is not None  # an end follows an onset
        start, self._onset = self._onset, None
        return [stretch for piece in _cut(self._samples, start, end) for stretch in self._packer.add(*piece)]


def _cut(samples: Samples, start: int, end: int) -> Iterator[tuple[int, int]]:
    """An utterance in pieces of at most `LONGEST`."""
    while end - start > LONGEST:
        middle = _quietest(samples, start + LONGEST - SEARCHED, start + LONGEST)
        yield start, middle
        start = middle
    yield start, end


def _quietest(samples: Samples, start: int, end: int) -> int:
    """The middle of the quietest moment there."""
    count = (end - start) // QUIET
    moments = samples[start : start + count * QUIET].reshape(count, QUIET)
    return start + int(np.square(moments).sum(axis=1).argmin()) * QUIET + QUIET // 2


class Packer:
    """Joins utterances to stretches. Pure: knows only where they begin and end."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._open: list[tuple[int, int]] = []
        self._before = 0  # end of the utterance before the open stretch
        self.finished = False

    def add(self, start: int, end: int) -> Iterator[Stretch]:
        """The next utterance. Gives the stretch that it does not belong to any more, if it begins a new one."""
        if self._open and not self._joins(start, end):
            yield self._close(start)
        self._open.append((start, end))

    def finish(self) -> Iterator[Stretch]:
        self.finished = True
        if self._open:
            yield self._close(self._total + PAD)

    def _joins(self, start: int, end: int) -> bool:
        first, last = self._open[0][0], self._open[-1][1]
        if end - first > LONGEST:
            return False
        return start - last <= (SHORT_PAUSE if last - first < SHORT else JOINED_PAUSE)

    def _close(self, following: int) -> Stretch:
        """Half of a short pause belongs to each side."""
        voiced, self._open = tuple(self._open), []
        start, end = voiced[0][0], voiced[-1][1]
        heard_from = max(start - PAD, (self._before + start) // 2 if self._before else 0, 0)
        heard_to = min(end + PAD, (end + following) // 2, self._total)
        self._before = end
        return Stretch(voiced=voiced, heard=(heard_from, heard_to))
