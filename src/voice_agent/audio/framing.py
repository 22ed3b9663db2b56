"""Cutting a stream of samples into blocks of one size."""

from collections.abc import Iterator

import numpy as np

from voice_agent.audio.pcm import Samples


class Framer:
    """Collects blocks of any length and gives frames of exactly `size` samples (each a view that is valid until the next push)."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest: Samples = np.zeros(0, dtype=np.float32)

    def push(self, samples: Samples) -> Iterator[Samples]:
        joined = np.concatenate((self._rest, samples)) if self._rest.size else samples
        whole = joined.size // self._size * self._size
        self._rest = joined[whole:].copy()
        for start in range(0, whole, self._size):
            yield joined[start : start + self._size]

    def rest(self) -> Samples:
        """What has not filled a frame yet."""
        return self._rest
