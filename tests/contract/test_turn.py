"""What every end-of-turn detector keeps to."""

import asyncio
import statistics
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from voice_agent.audio.files import read_audio
from voice_agent.audio.pcm import Samples
from voice_agent.engines.base import TurnDetector
from voice_agent.engines.fakes import FakeTurnDetector
from voice_agent.engines.turn import smart_turn
from voice_agent.errors import EngineUnavailable

ASSETS = Path(__file__).parent.parent / "assets" / "audio"
Maker = Callable[[Path], TurnDetector]


def _fake(_models_root: Path) -> TurnDetector:
    return FakeTurnDetector(0.7)


def _smart_turn(models_root: Path) -> TurnDetector:
    return smart_turn.load(models_root / "smart-turn-v3.2" / "smart-turn-v3.2-cpu.onnx")


MAKERS = [
    pytest.param(_fake, id="fake"),
    pytest.param(_smart_turn, id="smart-turn", marks=pytest.mark.engine("smart-turn-v3.2")),
]


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Maker:
    maker: Maker = request.param
    return maker


@pytest.fixture
async def detector(make: Maker, models_root: Path) -> AsyncIterator[TurnDetector]:
    detector = await asyncio.to_thread(make, models_root)
    yield detector
    await detector.aclose()


def noise(samples: int) -> Samples:
    return (np.random.default_rng(samples).standard_normal(samples) * 0.05).astype(np.float32)


@pytest.mark.parametrize("samples", [0, 1, 100, 399, 1_600, 16_000, 127_999, 128_000, 128_001, 16_000 * 120])
async def test_any_length_has_a_probability(detector: TurnDetector, samples: int) -> None:
    for turn in (noise(samples), np.zeros(samples, dtype=np.float32)):
        assert 0.0 <= await detector.probability(turn, session="a") <= 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
async def test_samples_that_are_not_numbers_do_no_lasting_harm(detector: TurnDetector, bad: float) -> None:
    good = noise(32_000)
    before = await detector.probability(good, session="a")
    broken = good.copy()
    broken[::7] = bad
    assert 0.0 <= await detector.probability(broken, session="a") <= 1.0
    assert await detector.probability(good, session="a") == before


async def test_the_audio_is_not_changed(detector: TurnDetector) -> None:
    turn = noise(160_000)
    turn[-5] = np.nan
    before = turn.copy()
    await detector.probability(turn, session="a")
    assert np.array_equal(turn, before, equal_nan=True)


async def test_the_audio_may_change_while_it_is_judged(detector: TurnDetector) -> None:
    turn = noise(64_000)
    alone = await detector.probability(turn, session="a")
    judging = asyncio.create_task(detector.probability(turn, session="a"))
    await asyncio.sleep(0)  # it has been handed over
    turn[:] = 0.9
    assert await judging == alone


async def test_sessions_at_once_get_what_they_would_get_alone(detector: TurnDetector) -> None:
    turns = [noise(length) for length in (8_000, 30_000, 64_000, 128_000)]
    alone = [await detector.probability(turn, session="a") for turn in turns]
    together = await asyncio.gather(*(detector.probability(turn, session=str(number)) for number, turn in enumerate(turns)))
    assert together == alone


async def test_a_call_that_is_cancelled_leaves_the_next_one_alone(detector: TurnDetector) -> None:
    turn = noise(64_000)
    alone = await detector.probability(turn, session="a")
    calls = [asyncio.create_task(detector.probability(turn, session="a")) for _ in range(4)]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    assert await detector.probability(turn, session="a") == alone


async def test_closing_leaves_no_thread_and_ends_what_is_under_way(make: Maker, models_root: Path) -> None:
    before = set(threading.enumerate())
    detector = await asyncio.to_thread(make, models_root)
    calls = [asyncio.create_task(detector.probability(noise(128_000), session=str(number))) for number in range(4)]
    await asyncio.sleep(0)
    await detector.aclose()
    await detector.aclose()
    await asyncio.wait(calls)
    for call in calls:
        error = call.exception()
        assert error is None or isinstance(error, EngineUnavailable)
    # The loop's own executor, which joins the threads, ends with the loop.
    assert not [thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio_")]


PAUSES: dict[str, tuple[float, ...]] = {
    "aiewf_turn_000.wav": (2.18,),  # "whether to | come for"
    "aiewf_turn_006.wav": (3.01,),  # "Voice AI | and in"
    "child_dog.wav": (1.63,),  # "almost hurt | the small"
    "jfk.wav": (2.24, 3.74, 4.35, 7.62),  # "Americans | ask | not | what ... do for you | ask"
    "librivox_sense_0890.wav": (1.28,),  # "to be rather | cold hearted"
    "lj001_0004.wav": (1.57,),  # "block books | which were"
}
"""Seconds at which Silero finds a silence of 160 ms to 1.1 s inside a sentence. Only natural pauses: speech that is cut off
sounds finished to the detector."""


def _turns() -> Iterator[tuple[Samples, bool]]:
    """Turns up to their end (True) or up to a pause in mid-sentence (False)."""
    for path in sorted(ASSETS.glob("*.wav")):
        samples = read_audio(path)
        yield samples, True
        for at in PAUSES.get(path.name, ()):
            yield samples[: round(at * 16_000)], False


@pytest.mark.engine("smart-turn-v3.2")
async def test_ends_of_human_turns_sound_more_finished_than_pauses(models_root: Path) -> None:
    """A loose bar: the detector is one voice of several. Never with synthetic speech, on which it is inverted."""
    detector = await asyncio.to_thread(_smart_turn, models_root)
    try:
        turns = await asyncio.to_thread(list, _turns())
        judged = [(await detector.probability(turn, session="a"), ended) for turn, ended in turns]
    finally:
        await detector.aclose()
    ends = statistics.mean(p for p, ended in judged if ended)
    pauses = statistics.mean(p for p, ended in judged if not ended)
    assert ends > 0.6
    assert ends > pauses + 0.1
