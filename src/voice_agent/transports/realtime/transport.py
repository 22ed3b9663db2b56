"""Audio of a client that plays by itself: it is sent as soon as it is made, and what it has heard is reckoned by the clock.

Clients of the Realtime protocol buffer and tell, at an interruption, how far they had come. Until they do, playing is taken to
begin when the first audio leaves and to run at its rate.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Literal

import numpy as np

from voice_agent.audio import g711
from voice_agent.audio.pcm import Pcm16, Samples, to_float32
from voice_agent.audio.polyphase import PolyphaseResampler
from voice_agent.audio.resample import Resampler
from voice_agent.transports.base import AudioInput, Deferred, Input, Presence

SPEAKER = "user"
"""One connection is one person."""

INPUT_RATE = 16_000
OUTPUT_RATE = 24_000

INPUT_BLOCK_S = 0.1
"""What is decoded and what the session looks at in one go (0.2 ms of work), however much a client sends at once."""

WRITE_S = 0.2
"""Of audio in one event at most: 12.8 kB of base64, which small clients can take."""

INPUT_LIMIT = 2000
"""Blocks that may wait for the session; a client that sends faster than it is read waits."""

Codec = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]

CODEC_RATES: dict[Codec, int] = {"audio/pcm": OUTPUT_RATE, "audio/pcmu": g711.RATE, "audio/pcma": g711.RATE}

BYTES_PER_S: dict[Codec, int] = {"audio/pcm": 2 * OUTPUT_RATE, "audio/pcmu": g711.RATE, "audio/pcma": g711.RATE}


class AudioDecoder:
    """From the wire to 16 kHz samples. A byte that is half a sample waits for its other half."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._resampler = PolyphaseResampler(CODEC_RATES[codec], INPUT_RATE)
        self._half = b""

    def decode(self, data: bytes) -> Samples:
        match self.codec:
            case "audio/pcm":
                data = self._half + data if self._half else data
                whole = len(data) & ~1
                self._half = data[whole:]
                pcm = np.frombuffer(data, dtype="<i2", count=whole // 2)
            case "audio/pcmu":
                pcm = g711.decode_ulaw(data)
            case "audio/pcma":
                pcm = g711.decode_alaw(data)
        return self._resampler.push(to_float32(pcm))


class AudioEncoder:
    """From 24 kHz PCM to the wire. Holds back a few milliseconds until `finish`."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._resampler = Resampler(OUTPUT_RATE, CODEC_RATES[codec])

    def encode(self, pcm: Pcm16) -> bytes:
        match self.codec:
            case "audio/pcm":
                return pcm.astype("<i2", copy=False).tobytes()
            case "audio/pcmu":
                return g711.encode_ulaw(self._resampler.push(pcm))
            case "audio/pcma":
                return g711.encode_alaw(self._resampler.push(pcm))

    def finish(self) -> bytes:
        """The end of what was encoded; what comes next begins anew."""
        tail, self._resampler = self._resampler.flush(), Resampler(OUTPUT_RATE, CODEC_RATES[self.codec])
        match self.codec:
            case "audio/pcm":
                return b""
            case "audio/pcmu":
                return g711.encode_ulaw(tail)
            case "audio/pcma":
                return g711.encode_alaw(tail)


class RealtimeTransport:
    """`on_audio` gets the agent's audio in wire format, `on_end` is told when all of a reply has been written. Both run on the
    loop and must not block."""

    output_rate = OUTPUT_RATE
    write_s = WRITE_S

    def __init__(self, *, on_audio: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._on_audio = on_audio
        self._on_end = on_end
        self.received_s = 0.0
        """How much audio has come."""
        self._decoder = AudioDecoder("audio/pcm")
        self._encoder = AudioEncoder("audio/pcm")
        self._inputs: deque[Input] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._passed = asyncio.Event()
        self._held = False
        self._closed = False
        self._written = 0
        self._played = 0  # at _since
        self._since: float | None = None  # the client plays since then, None: it has nothing to play

    # ------------------------------------------------------------ the client's side

    def use(self, *, input_codec: Codec, output_codec: Codec) -> None:
        """The formats from now on."""
        if input_codec != self._decoder.codec:
            self._decoder = AudioDecoder(input_codec)
        if output_codec != self._encoder.codec:
            self._encoder = AudioEncoder(output_codec)

    @property
    def output_codec(self) -> Codec:
        return self._encoder.codec

    async def receive(self, data: bytes) -> None:
        """Audio in wire format. Waits while the session is behind."""
        step = round(INPUT_BLOCK_S * BYTES_PER_S[self._decoder.codec])
        for start in range(0, len(data), step):
            if start:
                await asyncio.sleep(0)  # others want to be heard too
            await self._room.wait()
            block = data[start : start + step]
            self.received_s += len(block) / BYTES_PER_S[self._decoder.codec]
            samples = self._decoder.decode(block)
            if samples.size:
                self._put(AudioInput(speaker=SPEAKER, samples=samples))

    async def do(self, run: Callable[[], None]) -> None:
        """Has `run` called in the session's own order: behind what came before, and before anything that comes after."""
        await self._room.wait()
        self._put(Deferred(run=partial(self._do, run)))

    def _do(self, run: Callable[[], None]) -> None:
        self._held = False
        try:
            run()
        finally:
            if not self._held:
                self._passed.set()

    def hold(self) -> None:
        """To be called within `run`: what comes after it waits until `release`, too."""
        self._held = True

    def release(self) -> None:
        self._held = False
        self._passed.set()

    def hang_up(self) -> None:
        """Ends `inputs`."""
        self._closed = True
        self._arrived.set()
        self._room.set()
        self._passed.set()

    def _put(self, item: Input) -> None:
        if self._closed:
            return
        self._inputs.append(item)
        self._arrived.set()
        if len(self._inputs) >= INPUT_LIMIT:
            self._room.clear()

    # ------------------------------------------------------------ the session's side

    async def inputs(self) -> AsyncIterator[Input]:
        yield Presence(speaker=SPEAKER, joined=True)
        while not self._closed:
            while self._inputs and not self._closed:
                item = self._inputs.popleft()
                if len(self._inputs) < INPUT_LIMIT:
                    self._room.set()
                if isinstance(item, Deferred):
                    self._passed.clear()
                    yield item
                    await self._passed.wait()
                else:
                    yield item
                    await asyncio.sleep(0)  # the session looks at it before it is given more
            self._arrived.clear()
            if not self._closed:
                await self._arrived.wait()

    async def write(self, pcm: Pcm16) -> None:
        position, now = self.position(), asyncio.get_running_loop().time()
        if self._since is None or position >= self._written:
            self._played, self._since = position, now
        self._written += pcm.size
        self._on_audio(self._encoder.encode(pcm))
        await asyncio.sleep(0)  # it leaves before more of the reply is encoded

    def end(self) -> None:
        if tail := self._encoder.finish():
            self._on_audio(tail)
        self._on_end()

    def position(self) -> int:
        if self._since is None:
            return self._played
        elapsed = asyncio.get_running_loop().time() - self._since
        return min(self._written, self._played + round(elapsed * OUTPUT_RATE))

    def clear(self) -> None:
        """The client drops what it holds when it is told of speech."""
        self._played = self._written = self.position()
        self._since = None
        self._encoder.finish()

    async def aclose(self) -> None:
        self.hang_up()
