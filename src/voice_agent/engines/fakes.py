"""Engines that need no weights, for tests and for trying things out. They pass the contract tests of the real ones.

All are scripted by plain values and do their work at once unless given a delay; nothing here reads a clock.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

import numpy as np

from voice_agent.engines.base import (
    INPUT_RATE,
    LlmCapabilities,
    LlmDelta,
    LlmRequest,
    LlmUsage,
    Samples,
    SpeechChunk,
    SpeechRequest,
    SttCapabilities,
    TextDelta,
    Transcript,
    TtsCapabilities,
    Word,
)
from voice_agent.errors import InputError


class FakeVad:
    """Speech is what is loud: probability 1 above an RMS of 0.01 (-40 dBFS), 0 below."""

    name = "fake"
    model = "loudness"
    window_samples = 512

    def stream(self) -> "FakeVadStream":
        return FakeVadStream()

    async def aclose(self) -> None:
        return


class FakeVadStream:
    def probability(self, window: Samples) -> float:
        heard = np.nan_to_num(window, nan=0.0, posinf=0.0, neginf=0.0).clip(-1.0, 1.0)
        return 1.0 if float(np.sqrt(np.mean(np.square(heard)))) > 0.01 else 0.0

    def reset(self) -> None:
        return


class FakeStt:
    """Answers from a script: the n-th turn (stream) is `script[n]`, and the share of it that is heard grows with the loud
    audio accepted, one word per `word_s` seconds. A script entry that is an exception is raised by `final`."""

    name = "fake"
    model = "script"
    capabilities = SttCapabilities(languages=("en",))

    def __init__(self, script: Iterable[str | Exception], *, word_s: float = 0.3, delay_s: float = 0.0) -> None:
        self._script = list(script)
        self._next = 0
        self.word_s = word_s
        self.delay_s = delay_s
        self.finals = 0

    def stream(self, *, session: str, language: str | None = None, hint: str = "") -> "FakeSttStream":
        return FakeSttStream(self)

    def take(self) -> str | Exception:
        """The next turn of the script, taken when a stream hears its first loud sample; "" when the script is spent."""
        self._next += 1
        return self._script[self._next - 1] if self._next <= len(self._script) else ""

    async def aclose(self) -> None:
        return


class FakeSttStream:
    def __init__(self, model: FakeStt) -> None:
        self._model = model
        self._turn: str | Exception | None = None
        self._loud_samples = 0
        self._samples = 0

    def accept(self, samples: Samples) -> None:
        loud = int(np.count_nonzero(np.abs(samples) > 0.01))
        if loud and self._turn is None:
            self._turn = self._model.take()
        self._samples += samples.size
        self._loud_samples += loud

    async def partial(self) -> Transcript | None:
        return self._transcript()

    async def final(self) -> Transcript:
        self._model.finals += 1
        await asyncio.sleep(self._model.delay_s)
        if isinstance(self._turn, Exception):
            raise self._turn
        return self._transcript()

    def _transcript(self) -> Transcript:
        words = self._turn.split() if isinstance(self._turn, str) else []
        heard = min(len(words), 1 + int(self._loud_samples / INPUT_RATE / self._model.word_s)) if self._loud_samples else 0
        return Transcript(
            text=" ".join(words[:heard]),
            confidence=1.0,
            language="en",
            stable_words=heard,
            audio_s=self._samples / INPUT_RATE,
        )

    def close(self) -> None:
        self._turn = ""


class FakeTurnDetector:
    """The same probability every time."""

    name = "fake"
    model = "constant"

    def __init__(self, probability: float = 0.9) -> None:
        self._probability = probability

    async def probability(self, turn: Samples, *, session: str) -> float:
        return self._probability

    async def aclose(self) -> None:
        return


class FakeLlm:
    """Answers each request with `answer(request)`, a word at a time, `delay_s` before the first and `word_delay_s` before the
    others. An exception in place of a text is raised. `requests` keeps what was asked, `closed_early` how many answers
    were not read to their end."""

    name = "fake"
    model = "script"
    capabilities = LlmCapabilities(tools=False, context_tokens=8192)

    def __init__(
        self,
        answer: Callable[[LlmRequest], str | Exception] | str = "I hear you.",
        *,
        delay_s: float = 0.0,
        word_delay_s: float = 0.0,
    ) -> None:
        self._answer = (lambda _request: answer) if isinstance(answer, str) else answer
        self.delay_s = delay_s
        self.word_delay_s = word_delay_s
        self.requests: list[LlmRequest] = []
        self.closed_early = 0

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmDelta]:
        self.requests.append(request)
        answer = self._answer(request)
        done = False
        try:
            await asyncio.sleep(self.delay_s)
            if isinstance(answer, Exception):
                done = True
                raise answer
            words = answer.split()[: request.max_tokens]
            for index, word in enumerate(words):
                if index:
                    await asyncio.sleep(self.word_delay_s)
                yield TextDelta(text=word if index == 0 else " " + word)
            yield LlmUsage(prompt_tokens=len(request.messages), completion_tokens=len(words))
            done = True
        finally:
            if not done:
                self.closed_early += 1

    async def warm(self, request: LlmRequest) -> None:
        return

    async def aclose(self) -> None:
        return


class FakeTts:
    """A quiet tone, `word_s` seconds a word."""

    name = "fake"
    model = "tone"
    capabilities = TtsCapabilities(sample_rate=24_000, voices=("tone", "other"), languages=("en",))

    def __init__(self, *, word_s: float = 0.3, delay_s: float = 0.0, fail: Exception | None = None) -> None:
        self.word_s = word_s
        self.delay_s = delay_s
        self.fail = fail
        self.spoken: list[str] = []

    async def speak(self, request: SpeechRequest, *, session: str) -> AsyncIterator[SpeechChunk]:
        if request.voice is not None:
            self.check_voice(request.voice)
        await asyncio.sleep(self.delay_s)
        if self.fail is not None:
            raise self.fail
        if not any(char.isalnum() for char in request.text):
            return
        self.spoken.append(request.text)
        rate = self.capabilities.sample_rate
        seconds = self.word_s / request.speed
        samples = np.arange(round(seconds * rate))
        tone = np.asarray(3000.0 * np.sin(2.0 * np.pi * 220.0 * samples / rate), dtype=np.int16)
        for index, word in enumerate(request.text.split()):
            start = index * seconds
            yield SpeechChunk(pcm=tone, sample_rate=rate, words=(Word(text=word, start_s=start, end_s=start + seconds),))

    def check_voice(self, voice: str) -> None:
        voices: Sequence[str] = self.capabilities.voices
        if voice not in voices:
            raise InputError(f"Unknown voice {voice!r}", remedy="Choose one of: " + ", ".join(voices), code="tts.unknown_voice")

    async def aclose(self) -> None:
        return
