"""Engine choice."""

import asyncio

import pytest

from voice_agent.engines.base import Engine, EngineState, Fetching, Ready, Unavailable
from voice_agent.engines.registry import EngineRegistry, EngineSpec
from voice_agent.errors import EngineUnavailable, ModelError, SettingsError


class Voice:
    """An engine that knows only whether it is open."""

    model = "none"

    def __init__(self, name: str, *, fail_to_close: bool = False) -> None:
        self.name = name
        self.closed = 0
        self._fail_to_close = fail_to_close

    async def aclose(self) -> None:
        self.closed += 1
        if self._fail_to_close:
            raise OSError("would not close")


class Maker:
    """One engine's spec, whose state and outcome the test sets. `loads` counts; `gate` holds a load back."""

    def __init__(self, name: str, state: EngineState | None = None, *, fail_to_close: bool = False) -> None:
        self.state: EngineState = state or Ready()
        self.error: Exception | None = None
        self.loads = 0
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.engine = Voice(name, fail_to_close=fail_to_close)
        self.spec: EngineSpec[Voice] = EngineSpec(kind="tts", name=name, probe=lambda: self.state, load=self._load)

    async def _load(self) -> Voice:
        self.loads += 1
        self.started.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.engine


def registry(*makers: Maker, order: list[str] | None = None) -> EngineRegistry[Voice]:
    return EngineRegistry("tts", [maker.spec for maker in makers], order=order)


def names(engines: list[Voice]) -> list[str]:
    return [engine.name for engine in engines]


async def test_the_ready_ones_in_order_loaded_once_and_shared() -> None:
    first, second, third = Maker("first"), Maker("second", Unavailable(reason="no key")), Maker("third")
    chosen = registry(first, second, third)
    engines = await chosen.choose()
    assert names(engines) == ["first", "third"]
    assert await chosen.choose() == engines
    assert (first.loads, second.loads, third.loads) == (1, 0, 1)


async def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    first, second = Maker("first"), Maker("second")
    chosen = registry(first, second)
    assert chosen.states() == {"first": Ready(), "second": Ready()}
    assert (first.loads, second.loads) == (0, 0)
    assert names(await chosen.choose(limit=1)) == ["first"]
    assert (first.loads, second.loads) == (1, 0)


async def test_the_order_is_that_of_the_settings() -> None:
    chosen = registry(Maker("kokoro"), Maker("espeak"), Maker("other"), order=["espeak", "kokoro", "espeak"])
    assert list(chosen.states()) == ["espeak", "kokoro"]
    assert names(await chosen.choose()) == ["espeak", "kokoro"]


@pytest.mark.parametrize("order", [["kokoro", "cokoro"], []])
async def test_an_order_that_cannot_be(order: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        registry(Maker("kokoro"), Maker("espeak"), order=order)
    assert "TTS_ENGINES" in str(caught.value)
    assert "kokoro, espeak" in caught.value.remedy
    assert ("cokoro" in caught.value.what) == bool(order)


async def test_a_better_engine_serves_as_soon_as_it_is_ready() -> None:
    better, plain = Maker("better", Fetching(progress=0.4)), Maker("plain")
    chosen = registry(better, plain)
    assert names(await chosen.choose()) == ["plain"]
    assert chosen.states()["better"] == Fetching(progress=0.4)
    better.state = Ready()
    assert names(await chosen.choose()) == ["better", "plain"]


async def test_an_engine_that_is_no_longer_ready_is_passed_over_but_kept() -> None:
    first, second = Maker("first"), Maker("second")
    chosen = registry(first, second)
    await chosen.choose()
    first.state = Unavailable(reason="key revoked")
    assert names(await chosen.choose()) == ["second"]
    first.state = Ready()
    assert names(await chosen.choose()) == ["first", "second"]
    assert first.loads == 1


async def test_a_failed_load_is_told_passed_over_and_tried_again() -> None:
    first, second = Maker("first"), Maker("second")
    first.error = ModelError("It is damaged", why="wrong hash", remedy="voice-agent models fetch first")
    chosen = registry(first, second)
    assert names(await chosen.choose()) == ["second"]
    assert chosen.states()["first"] == Unavailable(reason="It is damaged: wrong hash", remedy="voice-agent models fetch first")
    first.error = None
    assert names(await chosen.choose()) == ["first", "second"]
    assert chosen.states()["first"] == Ready()


async def test_none_ready_says_of_each_why_and_what_to_do() -> None:
    chosen = registry(
        Maker("kokoro", Unavailable(reason="weights missing", remedy="voice-agent models fetch kokoro")),
        Maker("other", Fetching(progress=0.25)),
        Maker("espeak", Unavailable(reason="no library", remedy="pip install espeakng-loader")),
    )
    with pytest.raises(EngineUnavailable) as caught:
        await chosen.choose()
    error = caught.value
    assert "kokoro: weights missing" in error.why
    assert "other: its weights are being fetched, 25%" in error.why
    assert error.remedy == "Any of these helps: voice-agent models fetch kokoro; pip install espeakng-loader"
    assert error.retryable
    assert error.engine == "tts"


async def test_none_ready_and_none_on_its_way_is_not_worth_retrying() -> None:
    with pytest.raises(EngineUnavailable) as caught:
        await registry(Maker("a", Unavailable(reason="no key"))).choose()
    assert not caught.value.retryable


async def test_a_fault_in_the_code_is_not_taken_for_an_engine_that_is_missing() -> None:
    broken = Maker("broken")
    broken.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await registry(broken, Maker("plain")).choose()


async def test_two_sessions_at_once_load_once() -> None:
    maker = Maker("slow")
    maker.gate.clear()
    chosen = registry(maker)
    sessions = [asyncio.create_task(chosen.choose()) for _ in range(5)]
    await maker.started.wait()
    maker.gate.set()
    assert all(engines == [maker.engine] for engines in await asyncio.gather(*sessions))
    assert maker.loads == 1


async def test_a_session_that_gives_up_does_not_stop_the_load() -> None:
    maker = Maker("slow")
    maker.gate.clear()
    chosen = registry(maker)
    impatient, patient = asyncio.create_task(chosen.choose()), asyncio.create_task(chosen.choose())
    await maker.started.wait()
    impatient.cancel()
    await asyncio.wait({impatient})
    maker.gate.set()
    assert await patient == [maker.engine]
    assert maker.loads == 1


async def test_closing_closes_what_was_loaded_and_refuses_from_then_on() -> None:
    loaded, idle = Maker("loaded"), Maker("idle")
    chosen = registry(loaded, idle)
    await chosen.choose(limit=1)
    await chosen.aclose()
    await chosen.aclose()
    assert (loaded.engine.closed, idle.engine.closed) == (1, 0)
    with pytest.raises(EngineUnavailable, match="shut down"):
        await chosen.choose()
    assert idle.loads == 0


async def test_one_that_fails_to_close_keeps_none_of_the_others_open() -> None:
    makers = [Maker("bad", fail_to_close=True), Maker("good")]
    chosen = registry(*makers)
    await chosen.choose()
    with pytest.raises(OSError, match="would not close"):
        await chosen.aclose()
    assert [maker.engine.closed for maker in makers] == [1, 1]


async def test_an_engine_that_arrives_after_closing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice_agent.engines.registry.LOAD_PATIENCE_S", 0.01)
    maker = Maker("late")
    maker.gate.clear()
    chosen = registry(maker)
    session = asyncio.create_task(chosen.choose())
    await maker.started.wait()
    await chosen.aclose()
    assert maker.engine.closed == 0
    maker.gate.set()
    await asyncio.wait({session})
    assert isinstance(session.exception(), EngineUnavailable)
    assert maker.engine.closed == 1


def test_a_spec_of_a_concrete_engine_fits_a_registry_of_its_protocol() -> None:
    concrete: EngineSpec[Voice] = EngineSpec(kind="tts", name="x", probe=Ready, load=_voice)
    chosen: EngineRegistry[Engine] = EngineRegistry("tts", [concrete])
    assert chosen.states() == {"x": Ready()}


async def _voice() -> Voice:
    return Voice("x")
