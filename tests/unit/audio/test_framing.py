"""Cutting a stream into frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.audio.framing import Framer


@given(lengths=st.lists(st.integers(0, 50), max_size=20), size=st.integers(1, 16))
def test_frames_and_rest_are_the_stream_again(lengths: list[int], size: int) -> None:
    stream = np.arange(sum(lengths), dtype=np.float32)
    framer = Framer(size)
    frames, position = [], 0
    for length in lengths:
        frames += [frame.copy() for frame in framer.push(stream[position : position + length])]
        position += length
    assert all(frame.shape == (size,) for frame in frames)
    assert framer.rest().size < size
    assert np.concatenate([*frames, framer.rest()]).tolist() == stream.tolist()


@pytest.mark.parametrize("length", [3, 4, 9])
def test_what_is_pushed_is_not_changed_and_may_change_afterwards(length: int) -> None:
    block = np.ones(length, dtype=np.float32)
    framer = Framer(4)
    frames = [frame.copy() for frame in framer.push(block)]
    assert block.tolist() == [1.0] * length
    block[:] = 7.0
    assert framer.rest().tolist() == [1.0] * (length % 4)
    assert len(frames) == length // 4
