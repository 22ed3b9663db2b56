"""G.711: the two 8 kHz telephone codecs, µ-law and A-law, one byte a sample (ITU-T G.711). Table look-ups on numpy arrays."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from voice_agent.audio.pcm import Pcm16

RATE = 8_000
"""Hz."""

_ULAW_BIAS = 33
"""Added to the 14-bit magnitude so that each segment begins at a power of two."""


def decode_ulaw(data: bytes) -> Pcm16:
    return _ulaw_values()[np.frombuffer(data, dtype=np.uint8)]


def encode_ulaw(pcm: Pcm16) -> bytes:
    return _encoder(_ulaw_values())(pcm)


def decode_alaw(data: bytes) -> Pcm16:
    return _alaw_values()[np.frombuffer(data, dtype=np.uint8)]


def encode_alaw(pcm: Pcm16) -> bytes:
    return _encoder(_alaw_values())(pcm)


@cache
def _ulaw_values() -> Pcm16:
    """The 16-bit value of each of the 256 codes: bits are stored inverted, sign, 3 bits of segment, 4 of mantissa."""
    codes = ~np.arange(256, dtype=np.uint8)
    segment, mantissa = ((codes >> 4) & 7).astype(np.int32), (codes & 15).astype(np.int32)
    magnitude = (((mantissa << 1) + _ULAW_BIAS) << segment) - _ULAW_BIAS
    return np.where(codes & 0x80, -magnitude, magnitude).astype(np.int16) * np.int16(4)


@cache
def _alaw_values() -> Pcm16:
    """As µ-law, but even bits are inverted, and the two lowest segments are one linear piece."""
    codes = np.arange(256, dtype=np.uint8) ^ np.uint8(0x55)
    segment, mantissa = ((codes >> 4) & 7).astype(np.int32), (codes & 15).astype(np.int32)
    linear = (mantissa << 1) + 1
    magnitude = np.where(segment == 0, linear, (linear + 32) << np.maximum(segment - 1, 0))
    return np.where(codes & 0x80, magnitude, -magnitude).astype(np.int16) * np.int16(8)


class _Encoder:
    """The nearest code for each of the 65 536 sample values."""

    def __init__(self, values: Pcm16) -> None:
        order = np.argsort(values, kind="stable")
        ordered = values[order].astype(np.int32)
        borders = (ordered[:-1] + ordered[1:]) // 2
        samples = np.arange(-32768, 32768, dtype=np.int32)
        self._codes: NDArray[np.uint8] = order[np.searchsorted(borders, samples, side="left")].astype(np.uint8)

    def __call__(self, pcm: Pcm16) -> bytes:
        return self._codes[pcm.astype(np.int32) + 32768].tobytes()


_encoders: dict[int, _Encoder] = {}


def _encoder(values: Pcm16) -> _Encoder:
    if id(values) not in _encoders:  # the two tables live as long as the process
        _encoders[id(values)] = _Encoder(values)
    return _encoders[id(values)]
