"""The machine's own microphone and loudspeaker, through PortAudio (extra `mic`).

PortAudio calls back in a thread of its own: input blocks go to the loop, output blocks come from a small buffer under a lock.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from voice_agent.audio.pcm import Pcm16
from voice_agent.errors import TransportError
from voice_agent.transports.base import AudioInput, Input, Presence

INPUT_RATE = 16_000
OUTPUT_RATE = 24_000
BLOCK_S = 0.02

BUFFER_S = 0.06
"""Agent audio that lies ready for the sound card."""

INPUT_LIMIT = 250
"""5 s of blocks; beyond that the oldest is dropped."""

REMEDY = "Give a file with --input or a turn with --text"

INSTALL = f"{REMEDY}, or install PortAudio: apt-get install libportaudio2, and pip install sounddevice"


class MicrophoneTransport:
    """Raises `TransportError` (code "transport.no_sound_device") where there is none."""

    output_rate = OUTPUT_RATE
    write_s = BLOCK_S

    def __init__(self, *, speaker: str = "user") -> None:
        self.dropped_inputs = 0
        self._speaker = speaker
        self._sounddevice = _library()
        self._loop = asyncio.get_running_loop()
        self._inputs: deque[Input] = deque()
        self._arrived = asyncio.Event()
        self._lock = threading.Lock()
        self._buffer: Pcm16 = np.zeros(0, dtype=np.int16)
        self._heard = 0
        self._room = asyncio.Event()
        self._closed = False
        self._streams: list[Any] = []

    async def inputs(self) -> AsyncIterator[Input]:
        self._open()
        yield Presence(speaker=self._speaker, joined=True)
        while not self._closed:
            while self._inputs:
                yield self._inputs.popleft()
            self._arrived.clear()
            await self._arrived.wait()

    async def write(self, pcm: Pcm16) -> None:
        while not self._closed:
            with self._lock:
                if self._buffer.size < BUFFER_S * OUTPUT_RATE:
                    self._buffer = np.concatenate((self._buffer, pcm))
                    return
                self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """Nothing to do: the sound card plays what is there."""

    def position(self) -> int:
        return self._heard

    def clear(self) -> None:
        with self._lock:
            self._buffer = self._buffer[:0]
        self._room.set()

    async def aclose(self) -> None:
        self._closed = True
        self._arrived.set()
        self._room.set()
        for stream in self._streams:
            await asyncio.to_thread(stream.close)
        self._streams.clear()

    def _open(self) -> None:
        try:
            for make, rate, callback in (
                (self._sounddevice.InputStream, INPUT_RATE, self._recorded),
                (self._sounddevice.OutputStream, OUTPUT_RATE, self._wanted),
            ):
                kind = "float32" if rate == INPUT_RATE else "int16"
                stream = make(samplerate=rate, channels=1, dtype=kind, blocksize=round(rate * BLOCK_S), callback=callback)
                stream.start()
                self._streams.append(stream)
        except self._sounddevice.PortAudioError as error:
            raise TransportError(
                "The sound device cannot be opened", why=str(error), remedy=REMEDY, code="transport.no_sound_device"
            ) from error

    def _recorded(self, block: Any, frames: int, time: Any, status: Any) -> None:
        """In PortAudio's thread."""
        self._loop.call_soon_threadsafe(self._put, AudioInput(speaker=self._speaker, samples=block[:, 0].copy()))

    def _put(self, item: AudioInput) -> None:
        if len(self._inputs) >= INPUT_LIMIT:
            self._inputs.popleft()
            self.dropped_inputs += 1
        self._inputs.append(item)
        self._arrived.set()

    def _wanted(self, block: Any, frames: int, time: Any, status: Any) -> None:
        """In PortAudio's thread: fills the sound card's block."""
        with self._lock:
            ready = self._buffer[:frames]
            self._buffer = self._buffer[frames:]
        block[: ready.size, 0] = ready
        block[ready.size :, 0] = 0
        self._heard += int(ready.size)
        self._loop.call_soon_threadsafe(self._room.set)


def _library() -> Any:
    """sounddevice with at least one device."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: PortAudio itself is missing
        raise TransportError(
            "There is no microphone to talk through", why=str(error), remedy=INSTALL, code="transport.no_sound_device"
        ) from error
    if not sounddevice.query_devices():
        raise TransportError(
            "There is no microphone to talk through",
            why="this machine has no sound device",
            remedy=REMEDY,
            code="transport.no_sound_device",
        )
    return sounddevice
