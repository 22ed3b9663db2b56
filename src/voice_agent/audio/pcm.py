"""PCM values: conversions and levels. Pure functions on numpy arrays."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]
"""Mono, in [-1, 1], shape (n,)."""

Pcm16: TypeAlias = NDArray[np.int16]
"""Mono, 16 bit, shape (n,)."""

SILENCE_DBFS = -100.0
"""What a level of digital silence is reported as."""


def to_int16(samples: Samples) -> Pcm16:
    """Clips to full scale; rounds."""
    clipped: Samples = np.clip(np.rint(samples * np.float32(32767.0)), -32768, 32767)
    return clipped.astype(np.int16)


def to_float32(pcm: Pcm16) -> Samples:
    return pcm.astype(np.float32) / np.float32(32768.0)


def level_dbfs(samples: Samples) -> float:
    """RMS level in dBFS, `SILENCE_DBFS` for silence or nothing."""
    if samples.size == 0:
        return SILENCE_DBFS
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return max(SILENCE_DBFS, 20.0 * float(np.log10(rms))) if rms > 0.0 else SILENCE_DBFS
