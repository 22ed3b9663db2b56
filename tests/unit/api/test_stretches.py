from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.api.stretches import LONGEST, PAD, Packer, Stretch, stretches
from voice_agent.audio.pcm import Samples
from voice_agent.engines.base import INPUT_RATE
from voice_agent.engines.fakes import FakeVad


def sound(*parts: tuple[float, float]) -> Samples:
    """Parts of (seconds, level)."""
    rng = np.random.default_rng(1)
    return np.concatenate([(level * rng.standard_normal(round(s * INPUT_RATE))).astype(np.float32) for s, level in parts])


async def cut(samples: Samples) -> list[Stretch]:
    return [stretch async for stretch in stretches(FakeVad(), samples)]


def seconds(found: list[Stretch]) -> list[tuple[float, float]]:
    return [(round(stretch.start_s, 1), round(stretch.end_s, 1)) for stretch in found]


async def test_silence_gives_nothing() -> None:
    assert await cut(sound((600.0, 0.0))) == []
    assert await cut(np.zeros(0, dtype=np.float32)) == []


async def test_short_speech_is_joined_over_a_second_of_pause_and_not_over_two() -> None:
    found = await cut(sound((1.0, 0.0), (1.0, 0.1), (1.0, 0.0), (1.0, 0.1), (2.0, 0.0), (1.0, 0.1)))
    assert seconds(found) == [(1.0, 4.0), (6.0, 7.0)]
    assert len(found[0].voiced) == 2


async def test_long_speech_is_joined_over_short_pauses_only() -> None:
    found = await cut(sound((9.0, 0.1), (0.3, 0.0), (2.0, 0.1), (0.9, 0.0), (3.0, 0.1)))
    assert seconds(found) == [(0.0, 11.3), (12.2, 15.2)]


async def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    found = await cut(sound((15.0, 0.1), (0.2, 0.02), (30.0, 0.1)))
    assert len(found) >= 3
    assert all(end - start <= LONGEST for stretch in found for start, end in stretch.voiced)
    assert found[0].end_s == pytest.approx(15.1, abs=0.11)
    assert sum(stretch.end_s - stretch.start_s for stretch in found) == pytest.approx(45.2, abs=0.1)


async def test_speech_up_to_the_very_end_is_kept() -> None:
    found = await cut(sound((0.5, 0.0), (1.01, 0.1)))
    assert found[-1].voiced[-1][1] == round(1.51 * INPUT_RATE)


@given(st.lists(st.tuples(st.integers(1, 3 * INPUT_RATE), st.integers(1, LONGEST)), max_size=30))
def test_stretches_hold_every_utterance_once_and_share_no_audio(speech: list[tuple[int, int]]) -> None:
    utterances, position = [], 0
    for pause, length in speech:
        utterances.append((position + pause, position + pause + length))
        position += pause + length
    total = position + 1000
    packer = Packer(total)
    found = [stretch for utterance in utterances for stretch in packer.add(*utterance)]
    found += packer.finish()
    assert [utterance for stretch in found for utterance in stretch.voiced] == utterances
    for stretch in found:
        assert stretch.voiced[-1][1] - stretch.voiced[0][0] <= LONGEST
        assert 0 <= stretch.heard[0] <= stretch.voiced[0][0] < stretch.voiced[-1][1] <= stretch.heard[1] <= total
        assert stretch.voiced[0][0] - stretch.heard[0] <= PAD
    assert all(first.heard[1] <= second.heard[0] for first, second in pairwise(found))
