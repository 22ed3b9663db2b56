"""What every voice activity detector keeps to."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from voice_agent.audio.files import read_audio
from voice_agent.audio.pcm import Samples
from voice_agent.engines.base import VadModel
from voice_agent.engines.fakes import FakeVad
from voice_agent.engines.vad import silero

ASSETS = Path(__file__).parent.parent / "assets" / "audio"
MAKERS: dict[str, Callable[[], VadModel]] = {"fake": FakeVad, "silero": silero.load}


@pytest.fixture(params=MAKERS, scope="module")
def vad(request: pytest.FixtureRequest) -> VadModel:
    return MAKERS[request.param]()


@pytest.fixture(scope="module")
def speech() -> Samples:
    """A command with silence on both sides; the voice between about 0.5 and 2 s."""
    return read_audio(ASSETS / "turn_on_lamp.wav")


def windows(vad: VadModel, samples: Samples) -> Iterator[Samples]:
    size = vad.window_samples
    for start in range(0, samples.size - size + 1, size):
        yield samples[start : start + size]


def probabilities(vad: VadModel, samples: Samples) -> list[float]:
    stream = vad.stream()
    return [stream.probability(window) for window in windows(vad, samples)]


def noise(seconds: float, level: float, seed: int = 1) -> Samples:
    return (np.random.default_rng(seed).standard_normal(round(seconds * 16_000)) * level).astype(np.float32)


def test_a_window_is_some_tens_of_milliseconds(vad: VadModel) -> None:
    assert 160 <= vad.window_samples <= 1600


def test_human_speech_is_speech(vad: VadModel, speech: Samples) -> None:
    found = probabilities(vad, speech)
    assert max(found) > 0.9
    assert sum(found) * vad.window_samples / 16_000 > 0.8  # seconds


def test_silence_is_not(vad: VadModel) -> None:
    assert max(probabilities(vad, np.zeros(32_000, dtype=np.float32))) < 0.1
    assert max(probabilities(vad, noise(2.0, 0.0005))) < 0.3


def test_speech_ends_where_silence_begins(vad: VadModel, speech: Samples) -> None:
    silence = np.zeros(16_000, dtype=np.float32)
    found = probabilities(vad, np.concatenate((speech, silence)))
    assert max(found[-16:]) < 0.1


def test_probabilities_are_in_range(vad: VadModel, speech: Samples) -> None:
    for samples in (speech, noise(0.5, 1.0), noise(0.5, 1e6), np.ones(8_000, dtype=np.float32)):
        assert all(0.0 <= value <= 1.0 for value in probabilities(vad, samples))


def test_the_window_is_not_changed(vad: VadModel) -> None:
    stream = vad.stream()
    window = noise(0.1, 0.3)[: vad.window_samples]
    window[3] = np.nan
    before = window.copy()
    stream.probability(window)
    stream.probability(window)
    assert np.array_equal(window, before, equal_nan=True)


def test_a_window_that_cannot_be_written_is_taken(vad: VadModel) -> None:
    window = np.zeros(vad.window_samples, dtype=np.float32)
    window.flags.writeable = False
    assert vad.stream().probability(window) < 0.5


def test_streams_know_nothing_of_each_other(vad: VadModel, speech: Samples) -> None:
    other = noise(speech.size / 16_000, 0.05)
    first, second = vad.stream(), vad.stream()
    together = [
        (first.probability(a), second.probability(b)) for a, b in zip(windows(vad, speech), windows(vad, other), strict=True)
    ]
    assert [pair[0] for pair in together] == probabilities(vad, speech)
    assert [pair[1] for pair in together] == probabilities(vad, other)


def test_reset_forgets_everything(vad: VadModel, speech: Samples) -> None:
    stream = vad.stream()
    alone = [stream.probability(window) for window in windows(vad, speech)]
    for window in windows(vad, speech[:24_000]):
        stream.probability(window)
    stream.reset()
    assert [stream.probability(window) for window in windows(vad, speech)] == alone


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
def test_samples_that_are_not_numbers_do_no_lasting_harm(vad: VadModel, speech: Samples, bad: float) -> None:
    stream = vad.stream()
    window = np.full(vad.window_samples, bad, dtype=np.float32)
    half = np.zeros(vad.window_samples, dtype=np.float32)
    half[::2] = bad
    for broken in (window, half) * 3:
        assert 0.0 <= stream.probability(broken) <= 1.0
    for silent in windows(vad, np.zeros(16_000, dtype=np.float32)):
        stream.probability(silent)
    found = [stream.probability(window) for window in windows(vad, speech)]
    assert max(found) > 0.9


async def test_closing_twice_is_closing() -> None:
    for make in MAKERS.values():
        model = await asyncio.to_thread(make)
        await model.aclose()
        await model.aclose()
