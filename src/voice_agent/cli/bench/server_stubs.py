"""The engines of `bench server`: fixed delays and no work, so that what is left is the server's own. Voice activity is the real
Silero, because every session pays for it all the time.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from voice_agent.assembly import Assembly
from voice_agent.audio.pcm import Samples
from voice_agent.engines.base import (
    Engine,
    EngineKind,
    LlmRequest,
    Ready,
    SpeechChunk,
    SpeechRequest,
    SttCapabilities,
    Transcript,
    VadModel,
    Word,
)
from voice_agent.engines.fakes import FakeLlm, FakeTts
from voice_agent.engines.registry import EngineRegistry, EngineSpec
from voice_agent.engines.vad import silero
from voice_agent.models import ModelStore
from voice_agent.settings import Settings

E = TypeVar("E", bound=Engine)

STT_S, LLM_S, TTS_S = 0.150, 0.200, 0.080
"""Final transcript, first token, first audio: good engines on one machine."""

CHAIN_S = STT_S + LLM_S + TTS_S

HEARD = "My name is Jennifer Smith."
ANSWER = "Nice to meet you."
"""One clause, so that each reply has one first chunk."""

ANSWER_S = 0.9


class StubStt:
    """Hears the same in every turn. Looks at no sample."""

    name = "stub"
    model = f"{STT_S * 1000:.0f} ms"
    capabilities = SttCapabilities(languages=("en",))

    def stream(self, *, session: str, language: str | None = None, hint: str = "") -> "StubSttStream":
        return StubSttStream()

    async def aclose(self) -> None:
        return


class StubSttStream:
    def accept(self, samples: Samples) -> None:
        return

    async def partial(self) -> Transcript | None:
        await asyncio.sleep(STT_S)
        return Transcript(text="My name is", confidence=1.0, language="en", stable_words=3, audio_s=0.0)

    async def final(self) -> Transcript:
        await asyncio.sleep(STT_S)
        return Transcript(text=HEARD, confidence=1.0, language="en", stable_words=len(HEARD.split()), audio_s=0.0)

    def close(self) -> None:
        return


class StubLlm(FakeLlm):
    """The fake one, which keeps no requests here: memory is measured."""

    name = "stub"
    model = f"{LLM_S * 1000:.0f} ms"

    def __init__(self) -> None:
        super().__init__(self._forgetful, delay_s=LLM_S)

    def _forgetful(self, request: LlmRequest) -> str:
        self.requests.clear()
        return ANSWER


class StubTts(FakeTts):
    """A quiet tone that was made once. `take` tells when a session's newest audio was made."""

    name = "stub"
    model = f"{TTS_S * 1000:.0f} ms"

    def __init__(self) -> None:
        super().__init__(delay_s=TTS_S)
        rate, words = self.capabilities.sample_rate, ANSWER.split()
        word_s = ANSWER_S / len(words)
        samples = np.arange(round(word_s * rate))
        tone = np.asarray(3000.0 * np.sin(2.0 * np.pi * 220.0 * samples / rate), dtype=np.int16)
        starts = [index * word_s for index in range(len(words))]
        self._chunks = [
            SpeechChunk(pcm=tone, sample_rate=rate, words=(Word(text=word, start_s=start, end_s=start + word_s),))
            for word, start in zip(words, starts, strict=True)
        ]
        self._made_at: dict[str, float] = {}

    async def speak(self, request: SpeechRequest, *, session: str) -> AsyncIterator[SpeechChunk]:
        await asyncio.sleep(self.delay_s)
        self._made_at[session] = time.perf_counter()
        for chunk in self._chunks:
            yield chunk

    def take(self, session: str) -> float | None:
        """When its first audio was handed over, on `time.perf_counter`; once."""
        return self._made_at.pop(session, None)


class StubAssembly(Assembly):
    """As in the product around the engines. No end-of-turn model: the client asks for a fixed silence."""

    def __init__(self, settings: Settings) -> None:
        self.stub_tts = StubTts()
        super().__init__(settings, ModelStore(Path("unused"), offline=True))

    def __post_init__(self) -> None:
        vad: VadModel = silero.load()
        self.vad = EngineRegistry("vad", [_spec("vad", vad)])
        self.stt = EngineRegistry("stt", [_spec("stt", StubStt())])
        self.turn = None
        self.llm = EngineRegistry("llm", [_spec("llm", StubLlm())])
        self.tts = EngineRegistry("tts", [_spec("tts", self.stub_tts)])

    def missing_models(self) -> list[str]:
        return []


def _spec(kind: EngineKind, engine: E) -> EngineSpec[E]:
    async def load() -> E:
        return engine

    return EngineSpec(kind=kind, name=engine.name, probe=Ready, load=load)
