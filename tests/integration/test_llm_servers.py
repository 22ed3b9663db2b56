"""Groq and OpenAI-compatible servers, both SDKs, against a real HTTP server that speaks the documented stream, faults included."""

import asyncio
import logging
import socket
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any, TypeAlias, cast

import pytest

from voice_agent.engines.base import LlmDelta, LlmModel, LlmRequest, LlmUsage, Message, TextDelta, Tool, ToolCall
from voice_agent.engines.llm.fake_server import FakeChatServer, Reply, chunk, refuses, speaks, usage
from voice_agent.engines.llm.groq import GroqLlm
from voice_agent.engines.llm.openai_compatible import OpenAiCompatibleLlm
from voice_agent.errors import EngineError, EngineFailed, EngineTimeout, EngineUnavailable

KEY = "gsk-0123456789-very-secret"


def groq(url: str, first_token_timeout_s: float = 5.0, model: str = "llama-3.3-70b-versatile") -> LlmModel:
    return GroqLlm(api_key=KEY, base_url=url, first_token_timeout_s=first_token_timeout_s, model=model)


def openai_compatible(url: str, first_token_timeout_s: float = 5.0, model: str = "scripted") -> LlmModel:
    return OpenAiCompatibleLlm(api_key=KEY, base_url=f"{url}/v1", model=model, first_token_timeout_s=first_token_timeout_s)


Make: TypeAlias = Callable[..., LlmModel]


@pytest.fixture(params=[groq, openai_compatible], ids=["groq", "openai-compatible"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Make:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return cast("Make", request.param)


class Bench:
    """A server and an engine that asks it."""

    def __init__(self, server: FakeChatServer, engine: LlmModel) -> None:
        self.server = server
        self.engine = engine

    async def ask(self, **changes: Any) -> list[LlmDelta]:
        return [delta async for delta in self.engine.stream(request(**changes))]

    async def fails(self, kind: type[EngineError], code: str) -> EngineError:
        with pytest.raises(kind) as caught:
            await self.ask()
        assert caught.value.code == code
        assert KEY not in repr(caught.value) + str(caught.value) + "".join(traceback.format_exception(caught.value))
        return caught.value


@pytest.fixture
async def bench(make: Make) -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def build(*replies: Reply, **options: Any) -> Bench:
            server = await stack.enter_async_context(FakeChatServer(replies))
            engine = await asyncio.to_thread(make, server.url, **options)
            stack.push_async_callback(engine.aclose)
            return Bench(server, engine)

        yield build


def request(**changes: Any) -> LlmRequest:
    fields: dict[str, Any] = {"messages": (Message(role="user", content="Hello?"),), "session": "s1", **changes}
    return LlmRequest(**fields)


def spoken(deltas: list[LlmDelta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


async def test_text_comes_piece_by_piece_and_usage_last(bench: Any) -> None:
    b = await bench(speaks("The sky is blue."))
    deltas = await b.ask()
    assert spoken(deltas) == "The sky is blue."
    assert [type(delta) for delta in deltas] == [TextDelta] * 4 + [LlmUsage]
    assert deltas[-1] == LlmUsage(prompt_tokens=12, completion_tokens=4)


async def test_what_is_sent(bench: Any) -> None:
    b = await bench(speaks("Fine."))
    call = ToolCall(call_id="c1", name="weather", arguments='{"city": "Rome"}')
    messages = (
        Message(role="system", content="Be short."),
        Message(role="user", content="Weather in Rome?"),
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content="sunny", tool_call_id="c1"),
    )
    tool = Tool(name="weather", description="Tells the weather.", parameters={"type": "object", "properties": {}})
    await b.ask(messages=messages, tools=(tool,), tool_choice="weather", max_tokens=77, temperature=0.1)
    sent = b.server.chats[0]
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.json["stream"] is True
    assert sent.json["stream_options"] == {"include_usage": True}
    assert 77 in (sent.json.get("max_tokens"), sent.json.get("max_completion_tokens"))
    assert sent.json["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert sent.json["messages"][2:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
    ]


async def test_tool_calls_in_fragments_are_put_together(bench: Any) -> None:
    def piece(index: int, **function: str) -> dict[str, Any]:
        return {"index": index, "function": function}

    b = await bench(
        Reply(
            events=(
                chunk({"tool_calls": [piece(0, name="light", arguments="") | {"id": "a", "type": "function"}]}),
                chunk({"tool_calls": [piece(0, arguments='{"on"')]}),
                chunk({"tool_calls": [piece(1, name="time") | {"id": "b", "type": "function"}]}),
                chunk({"tool_calls": [piece(0, arguments=": true}")]}),
                chunk({}, finish="tool_calls"),
                usage(5, 9, cached=4),
                "[DONE]",
            )
        )
    )
    assert await b.ask() == [
        ToolCall(call_id="a", name="light", arguments='{"on": true}'),
        ToolCall(call_id="b", name="time", arguments="{}"),
        LlmUsage(prompt_tokens=5, completion_tokens=9, cached_tokens=4),
    ]


async def test_a_tool_call_that_is_not_json(bench: Any) -> None:
    call = {"index": 0, "id": "a", "function": {"name": "light", "arguments": '{"on": tr'}}
    b = await bench(Reply(events=(chunk({"tool_calls": [call]}), chunk({}, finish="length"), "[DONE]")))
    await b.fails(EngineFailed, "llm.bad_answer")


async def test_thinking_is_not_spoken(bench: Any) -> None:
    b = await bench(
        Reply(
            events=(
                chunk({"role": "assistant", "reasoning": "Easy.", "content": ""}),
                chunk({"content": "<th"}),
                chunk({"content": "ink>They want a number</thi"}),
                chunk({"content": "nk>\n\nFour."}),
                chunk({}, finish="stop"),
                "[DONE]",
            )
        )
    )
    assert spoken(await b.ask()) == "Four."


async def test_only_thinking_is_no_answer(bench: Any) -> None:
    b = await bench(Reply(events=(chunk({"reasoning": "Hm."}), chunk({}, finish="length"), "[DONE]")))
    await b.fails(EngineFailed, "llm.empty_answer")


async def test_429_with_a_short_pause_is_asked_again_once(bench: Any) -> None:
    b = await bench(refuses(429, headers={"retry-after": "0"}), speaks("Here I am."))
    assert spoken(await b.ask()) == "Here I am."
    assert len(b.server.chats) == 2


async def test_429_twice_is_given_up(bench: Any) -> None:
    b = await bench(refuses(429, headers={"retry-after-ms": "10"}))
    await b.fails(EngineFailed, "llm.rate_limited")
    assert len(b.server.chats) == 2


async def test_429_with_a_long_pause_fails_at_once(bench: Any) -> None:
    b = await bench(refuses(429, code="rate_limit_exceeded", headers={"retry-after": "17"}))
    error = await b.fails(EngineFailed, "llm.rate_limited")
    assert error.retryable
    assert error.retry_after_s == 17
    assert len(b.server.chats) == 1


async def test_429_that_names_no_pause_fails_at_once(bench: Any) -> None:
    b = await bench(refuses(429))
    error = await b.fails(EngineFailed, "llm.rate_limited")
    assert error.retry_after_s is None
    assert len(b.server.chats) == 1


async def test_an_account_without_credit(bench: Any) -> None:
    b = await bench(refuses(429, code="insufficient_quota"))
    await b.fails(EngineUnavailable, "llm.no_credit")


@pytest.mark.parametrize("status", [500, 503])
async def test_5xx_is_asked_again_once(bench: Any, status: int) -> None:
    b = await bench(refuses(status), speaks("Better now."))
    assert spoken(await b.ask()) == "Better now."


async def test_5xx_twice_is_given_up(bench: Any) -> None:
    b = await bench(Reply(status=502, body=b"<html>Bad gateway</html>", headers={"content-type": "text/html"}))
    assert (await b.fails(EngineFailed, "llm.server_error")).retryable
    assert len(b.server.chats) == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_key(bench: Any, status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    b = await bench(refuses(status, code="invalid_api_key", message=f"Incorrect API key provided: {KEY}"))
    error = await b.fails(EngineUnavailable, "llm.bad_key")
    assert "_API_KEY" in error.remedy
    assert KEY not in caplog.text
    assert KEY not in repr(b.engine) + repr(vars(b.engine))


async def test_an_unknown_model(bench: Any) -> None:
    b = await bench(refuses(404, code="model_not_found"))
    error = await b.fails(EngineUnavailable, "llm.unknown_model")
    assert b.engine.model in str(error)


async def test_a_conversation_that_is_too_long(bench: Any) -> None:
    b = await bench(refuses(400, code="context_length_exceeded"))
    assert not (await b.fails(EngineFailed, "llm.prompt_too_long")).retryable


async def test_a_request_that_is_refused(bench: Any) -> None:
    b = await bench(refuses(422, message="You said: my secret diary"))
    assert "diary" not in str(await b.fails(EngineFailed, "llm.refused_request"))


async def test_nothing_comes(bench: Any) -> None:
    b = await bench(Reply(then="hang"), first_token_timeout_s=0.05)
    await b.fails(EngineTimeout, "llm.slow")
    await asyncio.wait_for(b.server.left.wait(), 5)


async def test_it_only_thinks(bench: Any) -> None:
    b = await bench(Reply(events=[chunk({"reasoning": "Hm."})] * 3, then="hang"), first_token_timeout_s=0.2)
    await b.fails(EngineTimeout, "llm.slow")


@pytest.mark.parametrize("events", [(), (chunk({"content": "The sky"}),)], ids=["before", "after"])
async def test_the_stream_is_cut(bench: Any, events: tuple[str, ...]) -> None:
    b = await bench(Reply(events=events, then="cut"))
    assert (await b.fails(EngineFailed, "llm.cut")).retryable


async def test_the_stream_ends_without_a_finish(bench: Any) -> None:
    b = await bench(Reply(events=(chunk({"content": "The sky"}),)))
    await b.fails(EngineFailed, "llm.cut")


@pytest.mark.parametrize(
    "event", ['{"choices": [{"del', "[1, 2]", '{"choices": [7]}', '{"choices": [{"delta": {"content": {"a": 1}}}]}', '"x"']
)
async def test_events_that_are_not_as_documented(bench: Any, event: str) -> None:
    b = await bench(Reply(events=(chunk({"content": "The"}), event, "[DONE]")))
    await b.fails(EngineFailed, "llm.bad_answer")


async def test_an_error_in_the_middle_of_the_stream(bench: Any) -> None:
    event = '{"error": {"message": "overloaded while you said secret diary", "type": "server_error"}}'
    b = await bench(Reply(events=(chunk({"content": "The"}), event)))
    error = await b.fails(EngineFailed, "llm.server_error")
    assert "diary" not in "".join(traceback.format_exception(error))


async def test_an_address_that_is_a_web_page(bench: Any) -> None:
    b = await bench(Reply(body=b"<html>Welcome</html>", headers={"content-type": "text/html; charset=utf-8"}))
    assert "text/html" in str(await b.fails(EngineFailed, "llm.bad_answer"))


async def test_nobody_listens(make: Make) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        engine = await asyncio.to_thread(make, f"http://127.0.0.1:{taken.getsockname()[1]}")
        await Bench(cast("FakeChatServer", None), engine).fails(EngineFailed, "llm.unreachable")
        await engine.warm(request())  # never raises
        await engine.aclose()


async def test_no_such_host(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    engine = await asyncio.to_thread(make, "http://nobody.invalid")
    error = await Bench(cast("FakeChatServer", None), engine).fails(EngineFailed, "llm.unreachable")
    assert "nobody.invalid" in str(error)
    await engine.aclose()


async def test_closing_the_answer_closes_the_connection(bench: Any) -> None:
    b = await bench(Reply(events=(chunk({"content": "The"}),), then="hang"))
    async with aclosing(b.engine.stream(request())) as deltas:
        assert await anext(deltas) == TextDelta(text="The")
    await asyncio.wait_for(b.server.left.wait(), 5)


@pytest.mark.parametrize("events", [(), (chunk({"content": "The"}),)], ids=["before", "after"])
async def test_cancelling_the_consumer_closes_the_connection(bench: Any, events: tuple[str, ...]) -> None:
    b = await bench(Reply(events=events, then="hang"))
    asking = asyncio.create_task(b.ask())
    await asyncio.wait_for(b.server.asked.wait(), 5)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(b.server.left.wait(), 5)


async def test_closing_the_engine_ends_its_answers(bench: Any) -> None:
    b = await bench(Reply(events=(chunk({"content": "The"}),), then="hang"))
    deltas = b.engine.stream(request())
    assert await anext(deltas) == TextDelta(text="The")
    asking = asyncio.create_task(anext(deltas))
    await asyncio.sleep(0)
    await b.engine.aclose()
    with pytest.raises(EngineUnavailable):
        await asyncio.wait_for(asking, 5)
    with pytest.raises(EngineUnavailable):
        await b.ask()
    await b.engine.aclose()


async def test_warming_opens_the_connection_that_the_answer_uses(bench: Any) -> None:
    b = await bench(speaks("Quick."))
    await b.engine.warm(request())
    await b.engine.warm(request())
    assert spoken(await b.ask()) == "Quick."
    assert spoken(await b.ask()) == "Quick."
    assert b.server.connections == 1
    assert [received.path.rpartition("/")[2] for received in b.server.received] == ["models", "completions", "completions"]


async def test_an_idle_connection_that_was_closed_is_replaced(bench: Any) -> None:
    b = await bench(speaks("First."), Reply(then="drop"), speaks("Third."))
    assert spoken(await b.ask()) == "First."
    assert spoken(await b.ask()) == "Third."
    assert b.server.connections == 2


async def test_gpt_oss_is_told_to_think_little() -> None:
    async with FakeChatServer([speaks("Yes.")]) as server:
        engine = await asyncio.to_thread(groq, server.url, model="openai/gpt-oss-20b")
        assert [delta async for delta in engine.stream(request(max_tokens=60))]
        await engine.aclose()
    sent = server.chats[0].json
    assert sent["reasoning_effort"] == "low"
    assert sent["max_completion_tokens"] > 300


async def test_usage_in_groqs_own_place() -> None:
    counts = '{"id":"c","object":"chat.completion.chunk","created":0,"model":"m","choices":[],"x_groq":{"id":"r","usage":%s}}'
    usage_event = counts % '{"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}'
    async with FakeChatServer([Reply(events=(chunk({"content": "Yes."}, finish="stop"), usage_event, "[DONE]"))]) as server:
        engine = await asyncio.to_thread(groq, server.url)
        deltas = [delta async for delta in engine.stream(request())]
        await engine.aclose()
    assert deltas == [TextDelta(text="Yes."), LlmUsage(prompt_tokens=3, completion_tokens=1)]


async def test_no_account_of_the_environment_is_told_to_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-x")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-x")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    async with FakeChatServer([speaks("Yes.")]) as server:
        engine = await asyncio.to_thread(OpenAiCompatibleLlm, base_url=f"{server.url}/v1", model="m")
        assert [delta async for delta in engine.stream(request())]
        await engine.aclose()
    told = " ".join(server.chats[0].headers.values())
    assert "org-x" not in told
    assert "proj-x" not in told
    assert "sk-of-openai" not in told
