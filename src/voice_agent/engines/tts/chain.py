"""Several engines as one: the next one speaks a clause when the one before it fails at its start."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from voice_agent.engines.base import SpeechChunk, SpeechRequest, SupportsWarmUp, TtsCapabilities, TtsModel
from voice_agent.engines.tts.voicing import UNKNOWN_LANGUAGE
from voice_agent.errors import EngineError, EngineTimeout, InputError

FIRST_CHUNK_S = 8.0
"""An engine that has given nothing after this long is passed over. A clause of 30 words takes Kokoro about 6 s on two cores."""

BACK_OFF_S = 5.0
LONGEST_BACK_OFF_S = 60.0
"""A failed engine is left alone for 5 s, then twice as long after each further failure."""


@dataclass(slots=True)
class _Health:
    failures: int = 0
    rests_until: float = 0.0


class TtsChain:
    """Itself a `TtsModel`, with name, model and capabilities of its first engine.

    `on_switch(engine, why)` is called when another engine than the first begins to speak after a failure, and again (why "")
    when the first is back; `clock` is in seconds.
    """

    def __init__(
        self,
        engines: Sequence[TtsModel],
        *,
        clock: Callable[[], float] = time.monotonic,
        on_switch: Callable[[str, str], None] | None = None,
        first_chunk_s: float = FIRST_CHUNK_S,
    ) -> None:
        if not engines:
            raise ValueError("a chain needs an engine")
        self._engines = tuple(engines)
        self._health = [_Health() for _ in engines]
        self._clock = clock
        self._on_switch = on_switch
        self._first_chunk_s = first_chunk_s
        self._serving = 0

    @property
    def name(self) -> str:
        return self._engines[0].name

    @property
    def model(self) -> str:
        return self._engines[0].model

    @property
    def capabilities(self) -> TtsCapabilities:
        return self._engines[0].capabilities

    def check_voice(self, voice: str) -> None:
        """Any engine's voice will do; the error is the first engine's."""
        if not any(_knows(engine, voice) for engine in self._engines):
            self._engines[0].check_voice(voice)

    async def warm_up(self) -> None:
        for engine in self._engines:
            if isinstance(engine, SupportsWarmUp):
                await engine.warm_up()

    async def speak(self, request: SpeechRequest, *, session: str) -> AsyncGenerator[SpeechChunk, None]:
        """A failure after the first chunk is not hidden: half a clause by one voice and half by another is worse than none."""
        if request.voice is not None:
            self.check_voice(request.voice)
        failure: EngineError | None = None
        for index in self._order():
            engine = self._engines[index]
            mine = request if request.voice is None or _knows(engine, request.voice) else replace(request, voice=None)
            stream = engine.speak(mine, session=session)
            try:
                try:
                    first = await self._first(stream, engine.name)
                except EngineError as error:
                    failure = error
                    self._failed(index, error)
                    continue
                self._works(index, failure)
                if first is not None:
                    yield first
                    async for chunk in stream:
                        yield chunk
                return
            finally:
                await _close(stream)
        assert failure is not None  # the order is never empty
        raise failure

    async def _first(self, stream: AsyncIterator[SpeechChunk], engine: str) -> SpeechChunk | None:
        try:
            async with asyncio.timeout(self._first_chunk_s):
                return await anext(stream, None)
        except TimeoutError as error:
            raise EngineTimeout(f"{engine} did not begin to speak within {self._first_chunk_s:g} s", engine=engine) from error

    def _order(self) -> list[int]:
        """Engines that do not rest, in order; all of them when all rest."""
        now = self._clock()
        awake = [index for index, health in enumerate(self._health) if health.rests_until <= now]
        return awake or list(range(len(self._engines)))

    def _failed(self, index: int, error: EngineError) -> None:
        if error.code == UNKNOWN_LANGUAGE:
            return  # it is well, and may know the next clause's language
        health = self._health[index]
        health.failures += 1
        rest_s = min(LONGEST_BACK_OFF_S, BACK_OFF_S * 2.0 ** (health.failures - 1))
        health.rests_until = self._clock() + rest_s

    def _works(self, index: int, failure: EngineError | None) -> None:
        self._health[index].failures = 0
        if index != self._serving and self._on_switch is not None:
            self._on_switch(self._engines[index].name, str(failure) if failure is not None else "")
        self._serving = index

    async def aclose(self) -> None:
        for engine in self._engines:
            await engine.aclose()


def _knows(engine: TtsModel, voice: str) -> bool:
    with contextlib.suppress(InputError):
        engine.check_voice(voice)
        return True
    return False


async def _close(stream: AsyncIterator[SpeechChunk]) -> None:
    if isinstance(stream, AsyncGenerator):
        await stream.aclose()
