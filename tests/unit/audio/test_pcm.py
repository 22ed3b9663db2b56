"""PCM conversions and levels."""

import numpy as np
import pytest

from voice_agent.audio.pcm import SILENCE_DBFS, Samples, level_dbfs, to_float32, to_int16


def samples(*values: float) -> Samples:
    return np.array(values, dtype=np.float32)


def test_sixteen_bits_round_and_clip() -> None:
    given = samples(0.0, 0.5, 1.0, -1.0, 2.0, -2.0)
    assert to_int16(given).tolist() == [0, 16384, 32767, -32767, 32767, -32768]
    assert to_int16(given).dtype == np.int16


def test_there_and_back_changes_no_sample_by_more_than_one_step() -> None:
    pcm = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
    back = to_int16(to_float32(pcm))
    assert np.abs(back.astype(np.int32) - pcm).max() <= 1


def test_floats_stay_in_range() -> None:
    floats = to_float32(np.array([-32768, 32767], dtype=np.int16))
    assert floats.dtype == np.float32
    assert floats.min() == -1.0
    assert floats.max() < 1.0


@pytest.mark.parametrize(
    ("given", "level"),
    [(samples(1.0, -1.0), 0.0), (samples(0.1, -0.1), -20.0), (samples(0.0, 0.0), SILENCE_DBFS), (samples(), SILENCE_DBFS)],
)
def test_level(given: Samples, level: float) -> None:
    assert level_dbfs(given) == pytest.approx(level, abs=1e-4)


def test_the_level_of_what_is_nearly_nothing_is_silence() -> None:
    assert level_dbfs(samples(1e-30)) == SILENCE_DBFS
