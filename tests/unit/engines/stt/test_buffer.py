"""The audio of one turn."""

import numpy as np
import pytest

from voice_agent.engines.base import INPUT_RATE
from voice_agent.engines.stt import buffer
from voice_agent.engines.stt.buffer import CUT_WINDOW, FIRST_CAPACITY, SpeechBuffer, loudest, quietest_cut, voiced_seconds


def ramp(size: int, start: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return (np.arange(start, start + size, dtype=np.float32) % 1000) / np.float32(1000)


def test_blocks_of_any_size_are_joined() -> None:
    speech = SpeechBuffer()
    sizes = [0, 1, 511, 512, 20_000, FIRST_CAPACITY, 7]
    for start, size in zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True):
        speech.append(ramp(size, int(start)))
    assert len(speech) == sum(sizes)
    np.testing.assert_array_equal(speech.view(), ramp(sum(sizes)))


def test_growing_doubles_so_that_a_long_turn_is_rarely_copied() -> None:
    speech = SpeechBuffer()
    arrays = set()
    for _ in range(60 * 31):  # a minute of 32 ms frames
        speech.append(np.zeros(512, dtype=np.float32))
        arrays.add(speech.view().ctypes.data)
    assert len(arrays) <= 6


def test_a_view_never_changes() -> None:
    speech = SpeechBuffer()
    speech.append(ramp(1000))
    view = speech.view()
    speech.append(np.ones(2 * FIRST_CAPACITY, dtype=np.float32))
    speech.drop(500)
    speech.append(np.ones(100, dtype=np.float32))
    np.testing.assert_array_equal(view, ramp(1000))


def test_drop_forgets_the_beginning_and_its_memory() -> None:
    speech = SpeechBuffer()
    speech.append(np.zeros(60 * INPUT_RATE, dtype=np.float32))
    speech.append(ramp(300))
    speech.drop(60 * INPUT_RATE)
    np.testing.assert_array_equal(speech.view(), ramp(300))
    base = speech.view().base
    assert base is not None
    assert base.size == FIRST_CAPACITY


def test_what_is_not_audio_becomes_audio() -> None:
    speech = SpeechBuffer()
    given = np.array([np.nan, np.inf, -np.inf, 1e30, -2.0, 0.5], dtype=np.float32)
    speech.append(given)
    np.testing.assert_array_equal(speech.view(), np.array([0.0, 1.0, -1.0, 1.0, -1.0, 0.5], dtype=np.float32))
    assert np.isnan(given[0]), "the caller's array is left alone"


def test_more_than_the_limit_is_refused_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "LIMIT_SAMPLES", 1000)
    speech = SpeechBuffer()
    speech.append(ramp(900))
    speech.append(ramp(900, 900))
    assert (len(speech), speech.refused_samples) == (1000, 800)
    speech.drop(600)
    speech.append(ramp(100))
    assert len(speech) == 500


def test_loudest_is_the_level_of_a_window_and_not_of_a_click() -> None:
    assert loudest(np.zeros(0, dtype=np.float32)) == 0.0
    assert loudest(np.full(16_000, 0.1, dtype=np.float32)) == pytest.approx(0.1)
    click = np.zeros(16_000, dtype=np.float32)
    click[5000] = 1.0
    assert loudest(click) < 0.06


def test_voiced_time_leaves_out_the_room() -> None:
    room = np.full(INPUT_RATE, 0.005, dtype=np.float32)
    assert voiced_seconds(np.concatenate((room, np.full(INPUT_RATE // 2, 0.2, dtype=np.float32), room))) == pytest.approx(0.5)
    assert voiced_seconds(room) == pytest.approx(1.0), "there is nothing louder to compare with"
    assert voiced_seconds(np.zeros(INPUT_RATE, dtype=np.float32)) == 0.0
    assert voiced_seconds(np.zeros(0, dtype=np.float32)) == 0.0


def test_the_cut_lies_in_the_pause() -> None:
    speech = np.full(10 * INPUT_RATE, 0.2, dtype=np.float32)
    speech[70_000 : 70_000 + 2 * CUT_WINDOW] = 0.001
    assert 70_000 < quietest_cut(speech, 50_000, 120_000) < 70_000 + 2 * CUT_WINDOW
    cut = quietest_cut(speech, 100_000, 120_000)
    assert 100_000 < cut < 120_000, "a pause elsewhere does not count"
