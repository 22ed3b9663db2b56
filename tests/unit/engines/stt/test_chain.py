"""Falling to the next recogniser, with the audio that was kept."""

import numpy as np
import pytest

from voice_agent.engines.fakes import FakeStt
from voice_agent.engines.stt.chain import REST_S, SttChain
from voice_agent.errors import EngineError, EngineFailed

LOUD = np.full(16_000, 0.5, dtype=np.float32)


def broken(name: str = "first") -> EngineFailed:
    return EngineFailed(f"{name} broke", engine=name)


async def test_the_next_engine_hears_the_whole_turn() -> None:
    first, second = FakeStt([broken()]), FakeStt(["turn on the lamp"])
    stream = SttChain([first, second]).stream(session="s")
    stream.accept(LOUD)
    stream.accept(LOUD)

    transcript = await stream.final()

    assert transcript.text == "turn on the lamp"
    assert transcript.audio_s == 2.0


async def test_a_turn_goes_on_with_the_engine_that_took_over() -> None:
    first, second = FakeStt([broken()]), FakeStt(["turn on the lamp in the kitchen please now"])
    stream = SttChain([first, second]).stream(session="s")
    stream.accept(LOUD)
    await stream.final()
    stream.accept(LOUD)

    assert (await stream.final()).audio_s == 2.0
    assert first.finals == 1


async def test_a_failed_engine_rests_and_comes_back() -> None:
    now = 0.0
    first, second = FakeStt([broken(), "again"]), FakeStt(["one", "two"])
    chain = SttChain([first, second], clock=lambda: now)
    stream = chain.stream(session="s")
    stream.accept(LOUD)
    await stream.final()
    assert chain.stream(session="s") is not None
    assert chain.first() == 1

    now = REST_S + 1
    assert chain.first() == 0
    stream = chain.stream(session="s")
    stream.accept(LOUD)
    assert (await stream.final()).text == "again"


async def test_when_all_fail_the_last_error_is_raised() -> None:
    chain = SttChain([FakeStt([broken("first")]), FakeStt([broken("second")])])
    stream = chain.stream(session="s")
    stream.accept(LOUD)

    with pytest.raises(EngineError, match="second broke"):
        await stream.final()


async def test_kept_audio_is_bounded() -> None:
    first, second = FakeStt([broken()]), FakeStt(["a"])
    stream = SttChain([first, second]).stream(session="s")
    for _ in range(100):
        stream.accept(LOUD)

    assert (await stream.final()).audio_s == 60.0
