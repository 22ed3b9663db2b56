"""llm.local with the real SmolLM2: prompt cache, cancelling, several sessions, closing, files that are no model."""

import asyncio
import http.client
import os
import signal
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from voice_agent.engines.base import LlmDelta, LlmRequest, LlmUsage, Message, TextDelta
from voice_agent.engines.llm import llama_cpp
from voice_agent.engines.llm.local import LocalLlm
from voice_agent.errors import EngineFailed, EngineTimeout, EngineUnavailable, ModelError

pytestmark = pytest.mark.engine("smollm2-135m")

SYSTEM = Message(
    role="system",
    content="You are a friendly voice assistant called Zoe. You speak with people who visit a museum of old machines. "
    "You like short sentences, you never use lists, and you are always polite and honest about what you do not know.",
)


@pytest.fixture(scope="module")
def gguf(models_root: Path) -> Path:
    return models_root / "smollm2-135m" / "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture
async def llm(gguf: Path) -> AsyncIterator[LocalLlm]:
    """As it is used with any GGUF."""
    model = await asyncio.to_thread(LocalLlm, gguf, context_tokens=1024)
    yield model
    await model.aclose()


@pytest.fixture
async def small(gguf: Path) -> AsyncIterator[LocalLlm]:
    model = await asyncio.to_thread(LocalLlm, gguf, small=True)
    yield model
    await model.aclose()


def request(*texts: str, session: str = "s1", max_tokens: int = 40) -> LlmRequest:
    """`texts`: user, assistant, user, …"""
    turns = [Message(role="assistant" if place % 2 else "user", content=text) for place, text in enumerate(texts)]
    return LlmRequest(messages=(SYSTEM, *turns), session=session, max_tokens=max_tokens, temperature=0.0)


async def ask(llm: LocalLlm, asked: LlmRequest) -> tuple[str, LlmUsage | None]:
    deltas = [delta async for delta in llm.stream(asked)]
    usage = next((delta for delta in deltas if isinstance(delta, LlmUsage)), None)
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)), usage


async def leave_after_first_text(deltas: AsyncGenerator[LlmDelta, None]) -> None:
    async with aclosing(deltas):
        await anext(deltas)


async def test_a_sessions_prompt_is_computed_once(llm: LocalLlm) -> None:
    first, usage = await ask(llm, request("Hello, who are you?"))
    assert usage is not None
    assert usage.cached_tokens == 0
    _, other = await ask(llm, request("Hi!", session="s2"))
    assert other is not None
    _, again = await ask(llm, request("Hello, who are you?", first, "What is a steam engine?"))
    assert again is not None
    assert again.cached_tokens >= usage.prompt_tokens - 1
    assert again.prompt_tokens - again.cached_tokens < 40


async def test_a_warmed_session_answers_sooner(small: LocalLlm) -> None:
    await small.warm(request())
    async with aclosing(small.stream(request("What is the capital of Italy?"))) as deltas:
        began = time.perf_counter()
        await anext(deltas)
        warm_s = time.perf_counter() - began
    cold = LlmRequest(messages=(SYSTEM, Message(role="user", content="Hi!")), session="never warmed")
    began = time.perf_counter()
    await leave_after_first_text(small.stream(cold))
    assert warm_s < time.perf_counter() - began


async def test_a_request_supersedes_the_warming(llm: LocalLlm) -> None:
    long = request(*["Tell me about old machines, please. " * 8] * 5)
    warming = asyncio.create_task(llm.warm(long))
    await asyncio.sleep(0)
    text, _ = await ask(llm, request("Hello?", max_tokens=4))
    assert text
    await warming


async def test_warming_can_be_cancelled(llm: LocalLlm) -> None:
    warming = asyncio.create_task(llm.warm(request("Tell me about old machines. " * 10)))
    await asyncio.sleep(0)
    warming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await warming


async def test_leaving_an_answer_ends_the_generation(llm: LocalLlm) -> None:
    """Both slots generate 400 tokens (some seconds); left, they are free again at once."""
    stories = [llm.stream(request("Tell me a long story.", session=f"s{n}", max_tokens=400)) for n in range(2)]
    await asyncio.gather(*(anext(story) for story in stories))
    began = time.perf_counter()
    await asyncio.gather(*(story.aclose() for story in stories))
    left_s = time.perf_counter() - began
    text, _ = await ask(llm, request("Hello?", session="s0", max_tokens=4))
    assert text
    assert left_s < 0.1
    assert time.perf_counter() - began < 1.5  # the shared machine may be busy; 400 tokens take 4 s or more


async def test_two_sessions_at_once(llm: LocalLlm) -> None:
    arrivals: list[str] = []

    async def talk(session: str) -> None:
        asked = request("Tell me a story.", session=session, max_tokens=30)
        async for _ in llm.stream(asked):
            arrivals.append(session)  # noqa: PERF401 - when each comes is what counts

    await asyncio.gather(talk("a"), talk("b"))
    assert arrivals != sorted(arrivals)  # they take turns
    assert arrivals != sorted(arrivals, reverse=True)


async def test_the_answer_is_bounded(small: LocalLlm) -> None:
    text, _ = await ask(small, request("Tell me a very long story about dragons.", max_tokens=4000))
    assert 0 < len(text.split()) <= 60


async def test_what_is_too_long_is_refused(llm: LocalLlm) -> None:
    for size in (2_000, 200_000):  # counted exactly, and hopeless at a glance
        with pytest.raises(EngineFailed) as caught:
            await ask(llm, request("word " * size))
        assert caught.value.code == "llm.prompt_too_long"
    assert (await ask(llm, request("Hello?", max_tokens=4)))[0]


async def test_a_long_history_is_cut(llm: LocalLlm) -> None:
    history = ["Tell me more about old machines, please. " * 5] * 31
    text, usage = await ask(llm, request(*history, max_tokens=8))
    assert text
    assert usage is not None
    assert usage.prompt_tokens < 1024


async def test_a_megabyte_said_to_the_small_model(small: LocalLlm) -> None:
    assert (await ask(small, request("word " * 200_000)))[0]


async def test_an_answer_that_is_late(gguf: Path) -> None:
    model = await asyncio.to_thread(LocalLlm, gguf, context_tokens=1024, first_token_timeout_s=0.01)
    with pytest.raises(EngineTimeout) as caught:
        await ask(model, request("Tell me a story. " * 20))
    assert caught.value.code == "llm.slow"
    await model.aclose()


async def test_closing_ends_answers_and_threads(gguf: Path) -> None:
    before, native = set(threading.enumerate()), len(os.listdir("/proc/self/task"))
    model = await asyncio.to_thread(LocalLlm, gguf, small=False)
    story = model.stream(request("Tell me a long story.", max_tokens=400))
    await anext(story)
    reading = asyncio.create_task(anext_after(story, 400))
    await asyncio.sleep(0)
    began = time.perf_counter()
    await model.aclose()
    assert time.perf_counter() - began < 2
    with pytest.raises(EngineUnavailable):
        await reading
    left = [thread.name for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio_")]
    assert left == []
    assert len(os.listdir("/proc/self/task")) <= native + 2  # the loop's own executor


async def anext_after(deltas: AsyncGenerator[LlmDelta, None], count: int) -> None:
    for _ in range(count):
        await anext(deltas)


def test_closing_right_after_loading(gguf: Path) -> None:
    """The library waits for ever when it is destroyed before its own loop has started."""
    for _ in range(8):
        llama_cpp.load(gguf, threads=1, context_tokens=512).close()


def test_signals_stay_python_s(gguf: Path) -> None:
    caught = threading.Event()
    former = signal.signal(signal.SIGTERM, lambda *_: caught.set())
    try:
        llama = llama_cpp.load(gguf, threads=1, context_tokens=512)
        os.kill(os.getpid(), signal.SIGTERM)
        assert caught.wait(5)
        llama.close()
    finally:
        signal.signal(signal.SIGTERM, former)


def test_the_port_is_ours_alone(gguf: Path) -> None:
    """The library opens one whether it is wanted or not: on the loopback, and closed to everybody without the key."""
    llama = llama_cpp.load(gguf, threads=1, context_tokens=512)
    address = urlsplit(listening_address(llama))
    assert address.hostname == "127.0.0.1"
    for method, path in (("POST", "/v1/chat/completions"), ("POST", "/completion"), ("GET", "/slots"), ("GET", "/props")):
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=5)
        connection.request(method, path, body=b"{}" if method == "POST" else None)
        assert connection.getresponse().status == 401
        connection.close()
    llama.close()


def listening_address(llama: llama_cpp.Llama) -> str:
    server: Any = vars(llama)["_server"]
    return str(server.listening_address)


def broken(kind: str, whole: bytes) -> bytes:
    return {
        "empty": b"",
        "web page": b"<html>Not found</html>" * 100_000,
        "magic only": b"GGUF",
        "half": whole[: len(whole) // 2],
        "beginning": whole[: 2 << 20],
        "unknown version": whole[:4] + b"\xff\x00\x00\x00" + whole[8:],
        "impossible counts": whole[:8] + b"\xff" * 16 + whole[24:],
        "noise for metadata": whole[:24] + bytes(range(256)) * 100 + whole[25_624:],
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["empty", "web page", "magic only", "half", "beginning", "unknown version", "impossible counts", "noise for metadata"],
)
def test_a_damaged_file(gguf: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(broken(kind, gguf.read_bytes()))
    with pytest.raises(ModelError) as caught:
        LocalLlm(path)
    assert caught.value.code == "model.damaged"
    assert "models fetch" in caught.value.remedy


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(ModelError) as caught:
            LocalLlm(path)
        assert caught.value.code == "model.missing"
