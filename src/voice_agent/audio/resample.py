"""Sample rate conversion, whole and streaming (soxr)."""

import numpy as np
import soxr

from voice_agent.audio.pcm import Pcm16, Samples


def resample(samples: Samples, rate: int, to_rate: int) -> Samples:
    """A whole signal; "HQ" quality."""
    if rate == to_rate:
        return samples
    return np.asarray(soxr.resample(samples, rate, to_rate, quality="HQ"), dtype=np.float32)


class Resampler:
    """A stream of 16-bit blocks. Holds back a few milliseconds until `flush`."""

    def __init__(self, rate: int, to_rate: int) -> None:
        self._stream = soxr.ResampleStream(rate, to_rate, 1, dtype="int16", quality="HQ") if rate != to_rate else None

    def push(self, pcm: Pcm16) -> Pcm16:
        return pcm if self._stream is None else np.asarray(self._stream.resample_chunk(pcm), dtype=np.int16)

    def flush(self) -> Pcm16:
        """The tail; the stream is spent afterwards."""
        empty = np.zeros(0, dtype=np.int16)
        return empty if self._stream is None else np.asarray(self._stream.resample_chunk(empty, last=True), dtype=np.int16)
