"""The stereo recording that everything is measured on, in memory."""

import asyncio
from pathlib import Path

import numpy as np

from voice_agent.audio.files import StereoWriter
from voice_agent.audio.pcm import Pcm16, Samples, to_int16
from voice_agent.audio.resample import resample
from voice_agent.transports.in_memory import BLOCK_S, INPUT_RATE, OUTPUT_RATE


class Tape:
    """`add` is an in-memory transport's tap: both sides, block by block, on one clock that begins at 0."""

    def __init__(self) -> None:
        self._user: list[Samples] = []
        self._agent: list[Pcm16] = []
        self._began_at = float("inf")

    def add(self, microphone: Samples, agent: Pcm16) -> None:
        self._user.append(microphone)
        self._agent.append(agent)
        # Wake-ups are late, never early: the earliest of these is the clock's true beginning.
        self._began_at = min(self._began_at, asyncio.get_running_loop().time() - self.now_s)

    @property
    def now_s(self) -> float:
        """Length so far."""
        return len(self._user) * BLOCK_S

    def time_of(self, loop_time: float) -> float:
        """A moment on the loop's clock, in seconds of the recording."""
        return loop_time - self._began_at

    @property
    def agent(self) -> Pcm16:
        """At 24 kHz."""
        return np.concatenate(self._agent) if self._agent else np.zeros(0, dtype=np.int16)

    def save(self, path: Path) -> None:
        """Speaker left, agent right. Blocking. Raises `AudioInputError`."""
        user = np.concatenate(self._user) if self._user else np.zeros(0, dtype=np.float32)
        with StereoWriter(path, OUTPUT_RATE) as writer:
            writer.place("left", 0, to_int16(resample(user, INPUT_RATE, OUTPUT_RATE)))
            writer.place("right", 0, self.agent)
