"""Several recognisers as one: when one fails, the next transcribes the same turn from the audio that was kept.

A recogniser that failed rests, so that the next turns go straight to the other. The models belong to whoever loaded them:
closing the chain closes none of them.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence

from voice_agent.engines.base import INPUT_RATE, Samples, SttCapabilities, SttModel, SttStream, Transcript
from voice_agent.errors import EngineError

REST_S = 30.0
"""A failed recogniser is left alone for this long."""

KEPT_S = 60.0
"""So much of a turn's end can be transcribed again by another engine."""


class SttChain:
    """`engines` in order of preference, at least one. Name, model and capabilities are those of the one that serves now.
    `on_switch(engine, why)` is called when another engine is asked after a failure."""

    def __init__(
        self,
        engines: Sequence[SttModel],
        *,
        clock: Callable[[], float] = time.monotonic,
        on_switch: Callable[[str, str], None] | None = None,
    ) -> None:
        if not engines:
            raise ValueError("a chain needs an engine")
        self._engines = tuple(engines)
        self._rests_until = [0.0] * len(engines)
        self._clock = clock
        self._on_switch = on_switch

    @property
    def name(self) -> str:
        return self._engines[self.first()].name

    @property
    def model(self) -> str:
        return self._engines[self.first()].model

    @property
    def capabilities(self) -> SttCapabilities:
        return self._engines[self.first()].capabilities

    def stream(self, *, session: str, language: str | None = None, hint: str = "") -> SttStream:
        def open_stream(index: int) -> SttStream:
            return self._engines[index].stream(session=session, language=language, hint=hint)

        return _ChainStream(self, open_stream)

    def first(self) -> int:
        """The engine to ask now: the first that does not rest, or the one that has rested longest."""
        now = self._clock()
        order = range(len(self._engines))
        return next((index for index in order if self._rests_until[index] <= now), min(order, key=self._rests_until.__getitem__))

    def others(self, failed: Sequence[int]) -> list[int]:
        """Those that have not `failed` this turn, in order."""
        return [index for index in range(len(self._engines)) if index not in failed]

    def rest(self, index: int) -> None:
        self._rests_until[index] = self._clock() + REST_S

    def switched(self, index: int, why: str) -> None:
        if self._on_switch is not None:
            self._on_switch(self._engines[index].name, why)

    async def aclose(self) -> None:
        """Nothing to end here."""


class _ChainStream:
    """One turn: a stream of the engine that serves, and the audio for another."""

    def __init__(self, chain: SttChain, open_stream: Callable[[int], SttStream]) -> None:
        self._chain = chain
        self._open = open_stream
        self._index = chain.first()
        self._stream = open_stream(self._index)
        self._kept: deque[Samples] = deque()
        self._kept_samples = 0

    def accept(self, samples: Samples) -> None:
        self._stream.accept(samples)
        self._kept.append(samples.copy())
        self._kept_samples += samples.size
        while self._kept_samples > KEPT_S * INPUT_RATE:
            self._kept_samples -= self._kept.popleft().size

    async def partial(self) -> Transcript | None:
        """Not worth another engine's time: the final will find out."""
        return await self._stream.partial()

    async def final(self) -> Transcript:
        """Raises the last engine's error when all have failed."""
        failed: list[int] = []
        while True:
            try:
                return await self._stream.final()
            except EngineError as error:
                failed.append(self._index)
                self._chain.rest(self._index)
                left = self._chain.others(failed)
                if not left:
                    raise
                self._switch(left[0])
                self._chain.switched(left[0], str(error))

    def _switch(self, index: int) -> None:
        self._stream.close()
        self._index = index
        self._stream = self._open(index)
        for samples in self._kept:
            self._stream.accept(samples)

    def close(self) -> None:
        self._stream.close()
        self._kept.clear()
