"""Sample rate conversion for a microphone's live stream: every block gives its share of samples at once.

soxr (resample.py) holds back up to 37 ms of a stream that comes in blocks of 20 ms, 21 ms on average, and gives it in lumps: an
end of speech is known that much later. This filter is 2 ms behind, always.
"""

import math

import numpy as np
from numpy.typing import NDArray

from voice_agent.audio.pcm import Samples

HALF_S = 0.002
"""Length of the filter to each side, and its delay."""

KAISER_BETA = 6.5
"""70 dB: below a 12-bit microphone's noise."""

CUTOFF = 0.95
"""Of the lower rate's half. At 16 kHz all below 7.1 kHz passes and all above 8.1 kHz is gone."""

BLOCK_GROUPS = 4096
"""Worked on in one go, for bounded memory."""


class PolyphaseResampler:
    """From `rate` to `to_rate`, both in Hz. Outputs are made in groups: `up` samples for each `down` inputs."""

    def __init__(self, rate: int, to_rate: int) -> None:
        divisor = math.gcd(rate, to_rate)
        up, self._down = to_rate // divisor, rate // divisor
        half = round(HALF_S * rate)
        self._width = self._down + 2 * half
        self._kernel = _kernel(self._width, up, self._down, half, CUTOFF * min(rate, to_rate) / 2 / rate)
        self._kept: Samples = np.zeros(self._width - self._down, dtype=np.float32)

    def push(self, samples: Samples) -> Samples:
        """The next block of any length. Inputs that do not fill a group wait for the next block."""
        joined = np.concatenate((self._kept, samples))
        groups = (joined.size - self._width + self._down) // self._down
        self._kept = joined[groups * self._down :].copy()
        if groups <= BLOCK_GROUPS:
            return self._filtered(joined, groups)
        starts = range(0, groups, BLOCK_GROUPS)
        parts = [self._filtered(joined[start * self._down :], min(BLOCK_GROUPS, groups - start)) for start in starts]
        return np.concatenate(parts)

    def _filtered(self, joined: Samples, groups: int) -> Samples:
        strides = (self._down * joined.itemsize, joined.itemsize)
        windows = np.ndarray((groups, self._width), dtype=np.float32, buffer=joined.data, strides=strides)
        made: Samples = (windows.copy() @ self._kernel).reshape(-1)  # copied: BLAS takes no rows that overlap
        return made


def _kernel(width: int, up: int, down: int, half: int, cutoff: float) -> NDArray[np.float32]:
    """Weights of shape (width, up): of each input of a window in each output of its group. `cutoff` in cycles a sample."""
    outputs = np.arange(up) * down / up + half
    distance = np.arange(width)[:, np.newaxis] - outputs[np.newaxis, :]
    inside = np.clip(1.0 - (distance / half) ** 2, 0.0, None)
    window = np.where(np.abs(distance) <= half, np.i0(KAISER_BETA * np.sqrt(inside)) / np.i0(KAISER_BETA), 0.0)
    weights = np.sinc(2.0 * cutoff * distance) * window
    return np.asarray(weights / weights.sum(axis=0), dtype=np.float32)
