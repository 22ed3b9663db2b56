"""Sample rate conversion."""

import numpy as np
import pytest

from voice_agent.audio.pcm import Pcm16, Samples, to_float32, to_int16
from voice_agent.audio.resample import Resampler, resample


def tone(rate: int, *, seconds: float = 1.0, hz: float = 440.0) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def pushed(resampler: Resampler, pcm: Pcm16, block: int) -> Pcm16:
    blocks = [resampler.push(pcm[start : start + block]) for start in range(0, pcm.size, block)]
    return np.concatenate([*blocks, resampler.flush()])


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000, 192_000])
def test_a_tone_stays_the_same_tone(rate: int) -> None:
    converted = resample(tone(rate), rate, 16_000)
    assert converted.dtype == np.float32
    assert abs(converted.size - 16_000) <= 1
    inner = slice(500, 15_500)  # away from the filter's edges
    assert np.abs(converted[inner] - tone(16_000)[inner]).max() < 0.01


def test_one_rate_is_left_alone() -> None:
    given = tone(16_000)
    assert resample(given, 16_000, 16_000) is given
    pcm = to_int16(given)
    assert pushed(Resampler(16_000, 16_000), pcm, 160).tolist() == pcm.tolist()


@pytest.mark.parametrize(("rate", "to_rate"), [(24_000, 16_000), (16_000, 24_000), (48_000, 16_000), (44_100, 16_000)])
def test_a_stream_of_blocks_gives_what_the_whole_gives(rate: int, to_rate: int) -> None:
    pcm = to_int16(tone(rate))
    streamed = pushed(Resampler(rate, to_rate), pcm, rate // 50)
    whole = resample(to_float32(pcm), rate, to_rate)
    assert abs(streamed.size - whole.size) <= 1
    shared = min(streamed.size, whole.size)
    assert np.abs(to_float32(streamed)[:shared] - whole[:shared]).max() < 1e-3


def test_flush_gives_the_tail_that_was_held_back() -> None:
    resampler = Resampler(48_000, 16_000)
    given = to_int16(tone(48_000, seconds=0.1))
    before = resampler.push(given).size
    assert before < 1_600
    assert before + resampler.flush().size == 1_600
