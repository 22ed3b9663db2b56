"""Repetitions of a decoder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.engines.stt.loops import cut_at_loop, loop_length, without_loop


@pytest.mark.parametrize(("length", "repeats"), [(1, 8), (2, 5), (3, 4), (4, 3), (5, 3), (12, 3)])
def test_a_loop_counts_from_its_number_of_repeats(length: int, repeats: int) -> None:
    unit = list(range(100, 100 + length))
    before = [1, 2, 3]
    assert loop_length(before + unit * (repeats - 1)) == 0
    looped = before + unit * repeats
    assert loop_length(looped) == length
    assert without_loop(looped, length) == before + unit


def test_digits_that_people_say_are_no_loop() -> None:
    assert loop_length([1, 0, 0, 0, 0, 0, 0, 0]) == 0


def test_a_loop_of_more_than_twelve_is_not_looked_for() -> None:
    assert loop_length(list(range(13)) * 3) == 0


def test_cutting_a_finished_text() -> None:
    assert cut_at_loop([]) == []
    assert cut_at_loop([5, 6, 7]) == [5, 6, 7]
    assert cut_at_loop([9] + [1, 2] * 40 + [3]) == [9, 1, 2]


@given(st.lists(st.integers(0, 3), max_size=60))
def test_cutting_keeps_a_prefix_without_a_loop(ids: list[int]) -> None:
    kept = cut_at_loop(ids)
    assert ids[: len(kept)] == kept
    assert loop_length(kept) == 0
