"""A sound card without hardware: a script of what people say goes in, what the agent says comes out, on one clock.

Every 20 ms one block of each speaker's audio goes to the session and one block is taken from the agent's buffer, like the two
halves of a full-duplex audio callback. So input, output and recording share one sample clock. Runs on the event loop's time:
real time in `talk`, virtual time in tests.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable

import numpy as np

from voice_agent.audio.pcm import Pcm16, Samples
from voice_agent.transports.base import AudioInput, Control, Input, Presence, TextInput

BLOCK_S = 0.02
INPUT_RATE = 16_000
OUTPUT_RATE = 24_000
INPUT_BLOCK = round(BLOCK_S * INPUT_RATE)
OUTPUT_BLOCK = round(BLOCK_S * OUTPUT_RATE)

BUFFER_BLOCKS = 3
"""60 ms of agent audio lie ready: enough for a late wake-up, little to lose at a barge-in."""

IDLE_AFTER_BLOCKS, IDLE_BLOCKS = 200, 5
"""After 4 s of silence on both sides (no hold is longer) blocks come five at a time."""

INPUT_LIMIT = 250
"""5 s of input may wait for the session; beyond that the oldest is dropped and counted."""

Tap = Callable[[Samples, Pcm16], None]
"""Called with each block: everybody's microphones mixed (16 kHz) and what of the agent was heard (24 kHz)."""


class InMemoryTransport:
    """Speakers say what is given to `say`, and silence otherwise."""

    output_rate = OUTPUT_RATE
    write_s = BLOCK_S

    def __init__(self, *, speakers: tuple[str, ...] = ("user",), tap: Tap | None = None) -> None:
        self.dropped_inputs = 0
        self._speakers = speakers
        self._tap = tap
        self._mouths: dict[str, Samples] = {speaker: np.zeros(0, dtype=np.float32) for speaker in speakers}
        self._inputs: deque[Input] = deque()
        self._arrived = asyncio.Event()
        self._buffer: deque[Pcm16] = deque()
        self._partial: Pcm16 = np.zeros(0, dtype=np.int16)
        self._taken = asyncio.Event()
        self._heard = 0
        self._blocks = 0
        self._silent_blocks = 0
        self._stirred = asyncio.Event()
        self._started_at: float | None = None
        self._closed = False
        self._ticker: asyncio.Task[None] | None = None
        self._silence_out: Pcm16 = np.zeros(OUTPUT_BLOCK, dtype=np.int16)
        self._silence_in: Samples = np.zeros(INPUT_BLOCK, dtype=np.float32)

    # ------------------------------------------------------------ what people do

    def say(self, samples: Samples, *, speaker: str = "user") -> None:
        """Speaks 16 kHz audio from now on, after what is being said."""
        self._mouths[speaker] = np.concatenate((self._mouths[speaker], samples))
        self._stir()

    def type_text(self, text: str, *, speaker: str = "user") -> None:
        self._put(TextInput(speaker=speaker, text=text))

    def control(self, control: Control) -> None:
        self._put(control)

    def hang_up(self) -> None:
        """Ends `inputs`."""
        self._closed = True
        self._stirred.set()
        self._arrived.set()
        self._taken.set()

    def is_speaking(self, speaker: str = "user") -> bool:
        """Some of what was given to `say` is still to be said."""
        return self._mouths[speaker].size > 0

    @property
    def clock_s(self) -> float:
        """Seconds of audio that have passed."""
        return self._blocks * BLOCK_S

    # ------------------------------------------------------------ the session's side

    async def inputs(self) -> AsyncIterator[Input]:
        for speaker in self._speakers:
            yield Presence(speaker=speaker, joined=True)
        self._ticker = asyncio.ensure_future(self._tick_on())
        try:
            while True:
                while self._inputs:
                    yield self._inputs.popleft()
                if self._closed:
                    return
                self._arrived.clear()
                await self._arrived.wait()
        finally:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)

    async def write(self, pcm: Pcm16) -> None:
        self._stir()
        self._partial = np.concatenate((self._partial, pcm)) if self._partial.size else pcm
        while self._partial.size >= OUTPUT_BLOCK:
            while len(self._buffer) >= BUFFER_BLOCKS and not self._closed:
                self._taken.clear()
                await self._taken.wait()
            if self._partial.size < OUTPUT_BLOCK:
                return  # cleared while waiting
            self._buffer.append(self._partial[:OUTPUT_BLOCK])
            self._partial = self._partial[OUTPUT_BLOCK:]

    def end(self) -> None:
        """Nothing to do: the sound card plays what is there."""

    def position(self) -> int:
        return self._heard

    def clear(self) -> None:
        self._buffer.clear()
        self._partial = self._silence_out[:0]
        self._taken.set()

    async def aclose(self) -> None:
        self.hang_up()

    # ------------------------------------------------------------ the clock

    def _stir(self) -> None:
        """The silence is over."""
        self._silent_blocks = 0
        self._stirred.set()

    async def _tick_on(self) -> None:
        """A late wake-up is made up for by the next, so the clock does not drift. In a long silence the blocks of 100 ms come
        together: a timer costs more than what there is to do then."""
        loop = asyncio.get_running_loop()
        self._started_at = loop.time()
        while not self._closed:
            at_once = IDLE_BLOCKS if self._silent_blocks >= IDLE_AFTER_BLOCKS else 1
            self._stirred.clear()
            await self._until(self._started_at + (self._blocks + at_once) * BLOCK_S, may_be_stirred=at_once > 1)
            due = int((loop.time() - self._started_at) / BLOCK_S + 1e-6) - self._blocks
            for _ in range(min(due, at_once)):
                self._tick()

    async def _until(self, due_at: float, *, may_be_stirred: bool) -> None:
        left_s = max(0.0, due_at - asyncio.get_running_loop().time())
        if not may_be_stirred:
            await asyncio.sleep(left_s)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._stirred.wait()

    def _tick(self) -> None:
        self._blocks += 1
        self._silent_blocks = 0 if self._lively() else self._silent_blocks + 1
        mixed = self._silence_in
        for speaker in self._speakers:
            block = self._next_words(speaker)
            mixed = block if len(self._speakers) == 1 else mixed + block
            self._put(AudioInput(speaker=speaker, samples=block))
        heard = self._next_output()
        if self._tap is not None:
            self._tap(mixed, heard)

    def _lively(self) -> bool:
        return bool(self._buffer) or self._partial.size > 0 or any(mouth.size for mouth in self._mouths.values())

    def _next_words(self, speaker: str) -> Samples:
        mouth = self._mouths[speaker]
        if not mouth.size:
            return self._silence_in
        block, self._mouths[speaker] = mouth[:INPUT_BLOCK], mouth[INPUT_BLOCK:]
        if block.size < INPUT_BLOCK:
            block = np.concatenate((block, self._silence_in[block.size :]))
        return block

    def _next_output(self) -> Pcm16:
        """A full block, or at the end of a reply what is left of it."""
        if self._buffer:
            block = self._buffer.popleft()
            self._taken.set()
        elif self._partial.size:
            block, self._partial = self._partial, self._silence_out[:0]
        else:
            return self._silence_out
        self._heard += block.size
        return block if block.size == OUTPUT_BLOCK else np.concatenate((block, self._silence_out[block.size :]))

    def _put(self, item: Input) -> None:
        if len(self._inputs) >= INPUT_LIMIT:
            self._inputs.popleft()
            self.dropped_inputs += 1
        self._inputs.append(item)
        self._arrived.set()
