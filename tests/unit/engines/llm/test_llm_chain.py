"""A chain of language models: the next one answers when one fails, and who failed rests."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from voice_agent.engines.base import LlmCapabilities, LlmDelta, LlmRequest, LlmSwitched, Message, TextDelta, Tool
from voice_agent.engines.fakes import FakeLlm
from voice_agent.engines.llm.chain import LONG_REST_S, SHORT_REST_S, LlmChain
from voice_agent.errors import EngineError, EngineFailed, EngineTimeout, EngineUnavailable

TOOL = Tool(name="light", description="", parameters={})


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Named(FakeLlm):
    """Answers from a list; the last answer stands for all further ones."""

    def __init__(self, name: str, *answers: str | Exception, tools: bool = False) -> None:
        super().__init__(lambda _: answers[min(len(self.requests), len(answers)) - 1])
        self.name = name
        self.model = f"{name}-model"
        self.capabilities = LlmCapabilities(tools=tools, context_tokens=1000)


class BreaksOff(FakeLlm):
    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmDelta]:
        yield TextDelta(text="The")
        raise cut()


def rate_limited(retry_after_s: float | None = None) -> EngineFailed:
    return EngineFailed("a is busy", engine="a", code="llm.rate_limited", retryable=True, retry_after_s=retry_after_s)


def bad_key() -> EngineUnavailable:
    return EngineUnavailable("a does not accept the key", engine="a", code="llm.bad_key", remedy="Set A_KEY")


def cut() -> EngineFailed:
    return EngineFailed("a broke off", engine="a", code="llm.cut", retryable=True)


def request(*tools: Tool) -> LlmRequest:
    return LlmRequest(messages=(Message(role="user", content="Hello?"),), session="s1", tools=tools)


async def ask(chain: LlmChain, *tools: Tool) -> list[LlmDelta]:
    return [delta async for delta in chain.stream(request(*tools))]


def spoken(deltas: list[LlmDelta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


async def test_the_first_serves() -> None:
    chain = LlmChain([Named("a", "From a."), Named("b", "From b.")])
    deltas = await ask(chain)
    assert spoken(deltas) == "From a."
    assert not any(isinstance(delta, LlmSwitched) for delta in deltas)
    assert (chain.name, chain.model) == ("a", "a-model")


async def test_the_next_one_serves_when_one_fails_before_it_spoke() -> None:
    chain = LlmChain([Named("a", rate_limited()), Named("b", "From b.")])
    deltas = await ask(chain)
    assert deltas[0] == LlmSwitched(engine="b", model="b-model", why="a is busy.")
    assert spoken(deltas) == "From b."
    assert (chain.name, chain.model) == ("b", "b-model")


async def test_two_fail() -> None:
    chain = LlmChain([Named("a", rate_limited()), Named("b", EngineTimeout("b is slow", engine="b")), Named("c", "From c.")])
    deltas = await ask(chain)
    assert [delta.engine for delta in deltas if isinstance(delta, LlmSwitched)] == ["b", "c"]


async def test_a_failure_after_the_first_text_is_raised() -> None:
    b = Named("b", "From b.")
    chain = LlmChain([BreaksOff(), b])
    heard: list[LlmDelta] = []
    with pytest.raises(EngineFailed, match="broke off"):
        async with aclosing(chain.stream(request())) as deltas:
            heard.extend([delta async for delta in deltas])
    assert b.requests == []


@pytest.mark.parametrize(
    ("error", "rest_s"),
    [
        (rate_limited(), LONG_REST_S),
        (rate_limited(7.0), 7.0),
        (EngineFailed("a cannot be reached", engine="a", code="llm.unreachable"), LONG_REST_S),
        (EngineTimeout("a is slow", engine="a", code="llm.slow"), SHORT_REST_S),
        (cut(), SHORT_REST_S),
    ],
)
async def test_who_failed_rests(error: EngineError, rest_s: float) -> None:
    clock = Clock()
    a = Named("a", error, "From a.")
    chain = LlmChain([a, Named("b", "From b.")], clock=clock)
    await ask(chain)
    clock.now += rest_s - 0.01
    assert spoken(await ask(chain)) == "From b."
    clock.now += 0.02
    assert spoken(await ask(chain)) == "From a."
    assert chain.name == "a"


async def test_who_fails_again_rests_longer() -> None:
    clock = Clock()
    a = Named("a", cut(), cut(), "From a.")
    chain = LlmChain([a, Named("b", "From b.")], clock=clock)
    for rest_s in (SHORT_REST_S, 2 * SHORT_REST_S):
        assert spoken(await ask(chain)) == "From b."
        clock.now += rest_s
    assert spoken(await ask(chain)) == "From a."


async def test_a_wrong_key_is_not_tried_again() -> None:
    clock = Clock()
    a = Named("a", bad_key(), "From a.")
    chain = LlmChain([a, Named("b", "From b.")], clock=clock)
    await ask(chain)
    clock.now += 1e9
    assert spoken(await ask(chain)) == "From b."
    assert len(a.requests) == 1


async def test_a_failure_about_the_request_costs_no_rest() -> None:
    too_long = EngineFailed("a finds it too long", engine="a", code="llm.prompt_too_long")
    chain = LlmChain([Named("a", too_long, "From a."), Named("b", "From b.")], clock=Clock())
    assert spoken(await ask(chain)) == "From b."
    assert spoken(await ask(chain)) == "From a."


async def test_when_all_rest_the_one_that_rested_most_is_asked() -> None:
    clock = Clock()
    a, b = Named("a", rate_limited(50.0), "From a."), Named("b", rate_limited(5.0), "From b.")
    chain = LlmChain([a, b], clock=clock)
    with pytest.raises(EngineFailed):
        await ask(chain)
    assert spoken(await ask(chain)) == "From b."


async def test_all_fail() -> None:
    chain = LlmChain([Named("a", bad_key()), Named("b", rate_limited())])
    with pytest.raises(EngineFailed) as caught:
        await ask(chain)
    assert caught.value.code == "llm.all_failed"
    assert caught.value.retryable
    for part in ("does not accept the key", "Set A_KEY", "is busy"):
        assert part in str(caught.value)


async def test_all_need_a_person() -> None:
    chain = LlmChain([Named("a", bad_key())])
    for _ in range(2):
        with pytest.raises(EngineFailed) as caught:
            await ask(chain)
        assert "Set A_KEY" in str(caught.value)


async def test_tools_go_to_an_engine_that_has_them() -> None:
    a, b = Named("a", "From a."), Named("b", "From b.", tools=True)
    chain = LlmChain([a, b])
    assert chain.capabilities.tools
    assert spoken(await ask(chain, TOOL)) == "From b."
    assert b.requests[0].tools == (TOOL,)
    assert spoken(await ask(chain)) == "From a."


async def test_tools_are_dropped_when_no_engine_with_tools_is_left() -> None:
    a, b = Named("a", "From a."), Named("b", rate_limited(), tools=True)
    chain = LlmChain([a, b])
    for _ in range(2):  # the second time b rests
        assert spoken(await ask(chain, TOOL)) == "From a."
    assert [asked.tools for asked in a.requests] == [(), ()]
    assert not chain.capabilities.tools


async def test_closing_the_answer_closes_the_engines_answer() -> None:
    a = Named("a", "From a.")
    chain = LlmChain([a])
    async with aclosing(chain.stream(request())) as deltas:
        assert await anext(deltas) == TextDelta(text="From")
    assert a.closed_early == 1


async def test_a_chain_of_none() -> None:
    with pytest.raises(ValueError, match="needs an engine"):
        LlmChain([])
