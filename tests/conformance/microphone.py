"""A person at a microphone: what a client sends in real time, speech when there is some, silence otherwise."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np

from voice_agent.audio.files import read_audio

AUDIO = Path(__file__).parents[1] / "assets" / "audio"

RATE = 24_000
BLOCK = 960
"""40 ms, as browsers send it."""

LOUD = 0.02

Send = Callable[[bytes], Awaitable[None]]

NAME = "aiewf_turn_010"  # "My name is Jennifer Smith."
SECOND = "aiewf_turn_021"  # "Where is the second one?"
LAMP = "turn_on_lamp"  # "Turn on the living room lamp."


@functools.cache
def speech(clip: str) -> bytes:
    """A recording as the protocol's 24 kHz PCM, from its first to its last loud sample."""
    samples = read_audio(AUDIO / f"{clip}.wav", rate=RATE)
    loud = np.flatnonzero(np.abs(samples) > LOUD)
    return (samples[loud[0] : loud[-1]] * 32767).astype("<i2").tobytes()


class Microphone:
    """`run` sends until it is cancelled. `say` returns the loop's time at which the last word had been sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._queue: list[tuple[bytes, asyncio.Future[float]]] = []

    async def say(self, clip: str) -> float:
        said: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        pcm = await asyncio.to_thread(speech, clip)
        self._queue.append((pcm, said))
        return await said

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due, silence = loop.time(), bytes(2 * BLOCK)
        while True:
            block, said = silence, None
            if self._queue:
                pcm, done = self._queue[0]
                block, rest = pcm[: 2 * BLOCK], pcm[2 * BLOCK :]
                self._queue[0] = (rest, done)
                if not rest:
                    self._queue.pop(0)
                    said = done
            await self._send(block)
            due += len(block) / 2 / RATE
            await asyncio.sleep(max(0.0, due - loop.time()))
            if said is not None:
                said.set_result(loop.time())
