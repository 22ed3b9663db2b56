"""The live stream's resampler: each block gives its share, nothing is lost, what cannot be told apart is gone."""

import numpy as np
import pytest

from voice_agent.audio.pcm import Samples
from voice_agent.audio.polyphase import BLOCK_GROUPS, HALF_S, PolyphaseResampler

RATES = [(24_000, 16_000), (8_000, 16_000), (48_000, 16_000)]


def sine(hz: float, rate: int, seconds: float = 0.5) -> Samples:
    return np.asarray(np.sin(2.0 * np.pi * hz * np.arange(round(seconds * rate)) / rate), dtype=np.float32)


def level_db(samples: Samples) -> float:
    """Of a full-scale sine 0, without the beginning."""
    steady = samples[2000:]
    return float(20.0 * np.log10(np.sqrt(2.0 * np.mean(np.square(steady, dtype=np.float64))) + 1e-9))


@pytest.mark.parametrize(("rate", "to_rate"), RATES)
def test_every_block_gives_its_share(rate: int, to_rate: int) -> None:
    resampler = PolyphaseResampler(rate, to_rate)
    sizes = {resampler.push(np.zeros(rate // 50, dtype=np.float32)).size for _ in range(20)}
    assert sizes == {to_rate // 50}


@pytest.mark.parametrize(("rate", "to_rate"), RATES)
def test_the_delay_is_two_milliseconds(rate: int, to_rate: int) -> None:
    click = np.zeros(rate // 10, dtype=np.float32)
    click[rate // 20] = 1.0
    found = int(np.argmax(np.abs(PolyphaseResampler(rate, to_rate).push(click))))
    assert found / to_rate == pytest.approx(0.05 + HALF_S, abs=1.0 / to_rate)


@pytest.mark.parametrize(("rate", "to_rate"), RATES)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.8])
def test_what_both_rates_can_carry_stays_as_it_is(rate: int, to_rate: int, share: float) -> None:
    tone = sine(share * min(rate, to_rate) / 2, rate)
    assert level_db(PolyphaseResampler(rate, to_rate).push(tone)) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("hz", [8_300.0, 9_000.0, 11_000.0])
def test_what_would_fold_is_gone(hz: float) -> None:
    assert level_db(PolyphaseResampler(24_000, 16_000).push(sine(hz, 24_000))) < -60.0


def test_the_blocks_do_not_matter() -> None:
    noise = np.asarray(np.random.default_rng(0).standard_normal(6 * BLOCK_GROUPS + 500) / 4, dtype=np.float32)
    whole = PolyphaseResampler(24_000, 16_000).push(noise)
    resampler, parts, start = PolyphaseResampler(24_000, 16_000), [], 0
    for size in [0, 1, 2, 480, 7, 3000, *[331] * 100]:
        parts.append(resampler.push(noise[start : start + size]))
        start += size
    pieces = np.concatenate(parts)
    assert whole.size == noise.size // 3 * 2
    assert pieces == pytest.approx(whole[: pieces.size], abs=1e-6)
