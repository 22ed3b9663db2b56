"""A chain of engines, on a clock that the test turns."""

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
import pytest

from voice_agent.engines.base import SpeechChunk, SpeechRequest
from voice_agent.engines.fakes import FakeTts
from voice_agent.engines.tts.chain import TtsChain
from voice_agent.errors import EngineError, EngineFailed, EngineTimeout, EngineUnavailable, InputError

HELLO = SpeechRequest(text="Hello there.")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Other(FakeTts):
    """An engine with other voices and another rate."""

    name = "other"
    capabilities = FakeTts.capabilities.__class__(sample_rate=22_050, voices=("plain",), languages=("en",))


class BreaksOff(FakeTts):
    """Fails after its first chunk."""

    async def speak(self, request: SpeechRequest, *, session: str) -> AsyncGenerator[SpeechChunk, None]:
        yield SpeechChunk(pcm=np.ones(10, dtype=np.int16), sample_rate=24_000)
        raise EngineFailed("It broke", engine="fake")


async def rate(chain: TtsChain, request: SpeechRequest = HELLO) -> int:
    chunks = [chunk async for chunk in chain.speak(request, session="s")]
    return chunks[0].sample_rate


def failing(error: EngineError | None = None) -> FakeTts:
    return FakeTts(fail=error or EngineFailed("It broke", engine="fake"))


async def test_the_first_engine_speaks() -> None:
    assert await rate(TtsChain([FakeTts(), Other()])) == 24_000


async def test_the_next_one_speaks_when_it_fails_and_it_rests_for_a_growing_time() -> None:
    clock, switches = Clock(), list[tuple[str, str]]()
    first = failing()
    chain = TtsChain([first, Other()], clock=clock, on_switch=lambda engine, why: switches.append((engine, why)))
    assert await rate(chain) == 22_050
    assert [engine for engine, _ in switches] == ["other"]
    assert "It broke" in switches[0][1]

    first.fail = None
    assert await rate(chain) == 22_050  # it rests
    clock.now = 5.0
    assert await rate(chain) == 24_000
    assert switches[-1] == ("fake", "")

    first.fail = EngineFailed("Again", engine="fake")
    await rate(chain)
    clock.now = 10.0
    await rate(chain)  # fails a second time in a row: rests for 10 s
    first.fail = None
    clock.now = 19.0
    assert await rate(chain) == 22_050
    clock.now = 20.0
    assert await rate(chain) == 24_000


async def test_all_failing_raises_the_last_error_and_asks_all_again() -> None:
    first, second = failing(), Other(fail=EngineUnavailable("Gone", engine="other"))
    chain = TtsChain([first, second], clock=Clock())
    with pytest.raises(EngineUnavailable, match="Gone"):
        await rate(chain)
    second.fail = None
    assert await rate(chain) == 22_050


async def test_a_failure_in_the_middle_of_a_clause_is_told() -> None:
    chain = TtsChain([BreaksOff(), Other()], clock=Clock())
    with pytest.raises(EngineFailed, match="It broke"):
        await rate(chain)


async def test_an_unknown_language_is_no_reason_to_rest() -> None:
    first = failing(EngineUnavailable("No such language", engine="fake", code="tts.unknown_language"))
    chain = TtsChain([first, Other()], clock=Clock())
    assert await rate(chain) == 22_050
    first.fail = None
    assert await rate(chain) == 24_000


async def test_an_engine_that_hangs_is_passed_over() -> None:
    chain = TtsChain([FakeTts(delay_s=3600.0), Other()], clock=Clock(), first_chunk_s=0.01)
    assert await rate(chain) == 22_050
    with pytest.raises(EngineTimeout):
        await rate(TtsChain([FakeTts(delay_s=3600.0)], clock=Clock(), first_chunk_s=0.01))


async def test_a_voice_that_the_next_engine_does_not_know_becomes_its_default() -> None:
    chain = TtsChain([failing(), Other()], clock=Clock())
    assert await rate(chain, SpeechRequest(text="Hello", voice="tone")) == 22_050
    chain.check_voice("plain")  # the second one's
    with pytest.raises(InputError, match="tone"):
        await rate(chain, SpeechRequest(text="Hello", voice="nobody"))


async def test_nothing_to_say_is_no_failure() -> None:
    second = Other()
    assert [chunk async for chunk in TtsChain([FakeTts(), second]).speak(SpeechRequest(text="!"), session="s")] == []
    assert second.spoken == []


async def test_closing_the_stream_closes_the_engines_stream() -> None:
    chain = TtsChain([FakeTts()])
    stream = chain.speak(HELLO, session="s")
    await anext(stream)
    await stream.aclose()
    await asyncio.sleep(0)


def test_an_empty_chain_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an engine"):
        TtsChain([])
