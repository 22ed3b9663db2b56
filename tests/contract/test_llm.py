"""What every language model keeps to."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import TypeAlias, cast

import pytest

from voice_agent.engines.base import LlmDelta, LlmModel, LlmRequest, LlmUsage, Message, TextDelta, Tool
from voice_agent.engines.fakes import FakeLlm
from voice_agent.engines.llm.chain import LlmChain
from voice_agent.engines.llm.fake_server import FakeChatServer, speaks
from voice_agent.engines.llm.groq import GroqLlm
from voice_agent.engines.llm.local import LocalLlm
from voice_agent.engines.llm.openai_compatible import OpenAiCompatibleLlm
from voice_agent.errors import EngineUnavailable

SMOLLM = "smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf"
ANSWER = "Rome is the capital of Italy."
Make: TypeAlias = Callable[[AsyncExitStack, Path], Awaitable[LlmModel]]


async def fake(_stack: AsyncExitStack, _root: Path) -> LlmModel:
    return FakeLlm(ANSWER)


async def chain(_stack: AsyncExitStack, _root: Path) -> LlmModel:
    return LlmChain([FakeLlm(ANSWER), FakeLlm("never asked")])


async def groq(stack: AsyncExitStack, _root: Path) -> LlmModel:
    server = await stack.enter_async_context(FakeChatServer([speaks(ANSWER)]))
    return await asyncio.to_thread(GroqLlm, api_key="k", base_url=server.url)


async def openai_compatible(stack: AsyncExitStack, _root: Path) -> LlmModel:
    server = await stack.enter_async_context(FakeChatServer([speaks(ANSWER)]))
    return await asyncio.to_thread(OpenAiCompatibleLlm, base_url=f"{server.url}/v1", model="m")


async def local(_stack: AsyncExitStack, root: Path) -> LlmModel:
    return await asyncio.to_thread(LocalLlm, root / SMOLLM, small=True)


async def local_as_any_gguf(_stack: AsyncExitStack, root: Path) -> LlmModel:
    return await asyncio.to_thread(LocalLlm, root / SMOLLM)


ENGINE = pytest.mark.engine("smollm2-135m")


@pytest.fixture(
    params=[
        fake,
        chain,
        groq,
        openai_compatible,
        pytest.param(local, marks=ENGINE),
        pytest.param(local_as_any_gguf, marks=ENGINE),
    ],
    ids=lambda make: make.__name__.replace("_", "-"),
)
async def llm(request: pytest.FixtureRequest, models_root: Path) -> AsyncIterator[LlmModel]:
    async with AsyncExitStack() as stack:
        model = await cast("Make", request.param)(stack, models_root)
        yield model
        await model.aclose()


def request(text: str = "What is the capital of Italy?", *, session: str = "s1", tools: tuple[Tool, ...] = ()) -> LlmRequest:
    system = Message(role="system", content="You are a friendly voice assistant.")
    messages = (system, Message(role="user", content=text))
    return LlmRequest(messages=messages, session=session, max_tokens=24, temperature=0.0, tools=tools)


def answer(llm: LlmModel, asked: LlmRequest) -> AsyncGenerator[LlmDelta, None]:
    return cast("AsyncGenerator[LlmDelta, None]", llm.stream(asked))


async def spoken(llm: LlmModel, asked: LlmRequest) -> str:
    return "".join([delta.text async for delta in llm.stream(asked) if isinstance(delta, TextDelta)])


async def test_the_answer_comes_in_pieces(llm: LlmModel) -> None:
    deltas = [delta async for delta in llm.stream(request())]
    texts = [delta.text for delta in deltas if isinstance(delta, TextDelta)]
    assert len(texts) > 1
    assert all(texts)
    assert "ital" in "".join(texts).lower()


async def test_usage_comes_last_if_it_comes(llm: LlmModel) -> None:
    deltas = [delta async for delta in llm.stream(request())]
    places = [place for place, delta in enumerate(deltas) if isinstance(delta, LlmUsage)]
    assert places in ([], [len(deltas) - 1])


async def test_it_has_a_name_and_a_model(llm: LlmModel) -> None:
    assert llm.name
    assert llm.model
    assert llm.capabilities.context_tokens >= 512


async def test_tools_that_it_cannot_call_do_no_harm(llm: LlmModel) -> None:
    tool = Tool(name="light", description="Turns on the light.", parameters={"type": "object", "properties": {}})
    assert await spoken(llm, request(tools=(tool,)))


async def test_an_answer_can_be_left(llm: LlmModel) -> None:
    async with aclosing(answer(llm, request())) as deltas:
        assert isinstance(await anext(deltas), TextDelta)
    assert await spoken(llm, request())


async def test_the_consumer_can_be_cancelled(llm: LlmModel) -> None:
    begun = asyncio.Event()

    async def consume() -> None:
        async for _ in llm.stream(request()):
            begun.set()
            await asyncio.Event().wait()

    consumer = asyncio.create_task(consume())
    await begun.wait()
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert await spoken(llm, request())


async def test_sessions_are_served_at_the_same_time(llm: LlmModel) -> None:
    texts = await asyncio.gather(*(spoken(llm, request(session=f"s{number}")) for number in range(4)))
    assert all(texts)


async def test_warming_never_raises(llm: LlmModel) -> None:
    await llm.warm(request())
    await llm.warm(LlmRequest(messages=(), session="s2"))
    assert await spoken(llm, request())
    await llm.aclose()
    await llm.warm(request())


async def test_closing_twice_is_closing(llm: LlmModel) -> None:
    await llm.aclose()
    await llm.aclose()


async def test_a_closed_engine_says_so(llm: LlmModel) -> None:
    if isinstance(llm, FakeLlm | LlmChain):
        pytest.skip("holds nothing that could be closed")
    await llm.aclose()
    with pytest.raises(EngineUnavailable):
        await spoken(llm, request())
