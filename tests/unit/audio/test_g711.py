"""G.711 against values of ITU-T G.711's tables, and against itself."""

from collections.abc import Callable

import numpy as np
import pytest

from voice_agent.audio import g711
from voice_agent.audio.pcm import Pcm16

Codec = tuple[Callable[[Pcm16], bytes], Callable[[bytes], Pcm16]]

CODECS: list[Codec] = [(g711.encode_ulaw, g711.decode_ulaw), (g711.encode_alaw, g711.decode_alaw)]


@pytest.mark.parametrize(("code", "value"), [(0xFF, 0), (0x7F, 0), (0x80, 32124), (0x00, -32124), (0xEF, 132), (0xF0, 120)])
def test_values_of_ulaw(code: int, value: int) -> None:
    assert int(g711.decode_ulaw(bytes([code]))[0]) == value


@pytest.mark.parametrize(("code", "value"), [(0xD5, 8), (0x55, -8), (0xAA, 32256), (0x2A, -32256), (0xC5, 264)])
def test_values_of_alaw(code: int, value: int) -> None:
    assert int(g711.decode_alaw(bytes([code]))[0]) == value


@pytest.mark.parametrize("codec", CODECS)
def test_every_code_is_its_own_value_s(codec: Codec) -> None:
    encode, decode = codec
    values = decode(bytes(range(256)))
    assert np.array_equal(decode(encode(values)), values)


@pytest.mark.parametrize("codec", CODECS)
def test_every_sample_gets_the_nearest_value(codec: Codec) -> None:
    encode, decode = codec
    samples = np.arange(-32768, 32768, 7, dtype=np.int16)
    values = decode(bytes(range(256))).astype(np.int32)
    nearest = np.abs(samples.astype(np.int32)[:, None] - values[None, :]).min(axis=1)
    assert np.array_equal(np.abs(decode(encode(samples)).astype(np.int32) - samples), nearest)


def test_nothing_is_nothing() -> None:
    for encode, decode in CODECS:
        assert encode(np.zeros(0, dtype=np.int16)) == b""
        assert decode(b"").size == 0
