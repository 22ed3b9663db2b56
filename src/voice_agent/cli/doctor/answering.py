"""Probe of the language models: each is asked to say hello.

It raises what its engine raises; `bounded.checked` makes findings of that.
"""

import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import replace

from voice_agent.cli.doctor.findings import Finding, State
from voice_agent.cli.doctor.phrase import QUESTION
from voice_agent.cli.doctor.speaking import SESSION
from voice_agent.engines.base import LlmDelta, LlmModel, LlmRequest, LlmUsage, Message, TextDelta
from voice_agent.errors import EngineFailed

MAX_TOKENS = 40
"""A greeting and a little more: enough to measure a speed."""

SLOW_TOKEN_S = 2.0
"""To the first token: past 2 s an agent seems absent."""

SLOW_TOKENS_PER_S = 6.0
"""A voice speaks about 3 words a second, which are 4 tokens; not far above that the speech gets gaps."""

LARGER_MODEL = "voice-agent models fetch qwen2.5-1.5b-instruct, then set LOCAL_MODEL=qwen2.5-1.5b-instruct"
"""The best local one of the catalogue; what a better server needs is told at the engines that stand before."""


async def probe_llm(name: str, engine: LlmModel, request: LlmRequest) -> Finding:
    """Asks it to say hello, warmed as a session warms it: before the question is known."""
    await engine.warm(replace(request, messages=request.messages[:-1]))
    text, first_s, tokens, took_s = await _answer(engine, request)
    if not text.strip():
        raise EngineFailed(f"{name} answered with nothing", engine=name)
    speed = (tokens - 1) / (took_s - first_s) if tokens > 1 and took_s > first_s else None
    why, remedy = _judge_answer(engine, first_s, speed)
    rate = "" if speed is None else f", {speed:.0f} tokens/s"
    demo = " (demo)" if engine.capabilities.small else ""
    return Finding(
        group="llm",
        name=name,
        state=State.NOT_THE_BEST if why else State.OK,
        ms=1000 * first_s,
        detail=f"{engine.model}{demo}: first token after {1000 * first_s:.0f} ms{rate}, said {_short(text)!r}",
        why=why,
        remedy=remedy,
        facts={
            "model": engine.model,
            "demo": engine.capabilities.small,
            "answer": text.strip(),
            "first_token_ms": round(1000 * first_s, 1),
            "tokens_per_s": round(speed, 1) if speed is not None else None,
        },
    )


async def _answer(engine: LlmModel, request: LlmRequest) -> tuple[str, float, int, float]:
    """Text, seconds to its first piece, tokens, seconds in all. Where the engine counts no tokens, pieces are counted."""
    began = time.perf_counter()
    pieces: list[str] = []
    first_s, last_s, tokens = 0.0, 0.0, 0
    async with contextlib.aclosing(_generator(engine, request)) as deltas:
        async for delta in deltas:
            match delta:
                case TextDelta():
                    last_s = time.perf_counter() - began
                    first_s = first_s or last_s
                    pieces.append(delta.text)
                case LlmUsage():
                    tokens = delta.completion_tokens
                case _:
                    pass
    return "".join(pieces), first_s, tokens or len(pieces), last_s


async def _generator(engine: LlmModel, request: LlmRequest) -> AsyncGenerator[LlmDelta, None]:
    async for delta in engine.stream(request):
        yield delta


def _judge_answer(engine: LlmModel, first_s: float, speed: float | None) -> tuple[str, str]:
    if engine.capabilities.small:
        return "a small demo model, whose answers are often wrong", LARGER_MODEL
    slower = "Use a faster server, a smaller model, or a machine with a GPU"
    if first_s > SLOW_TOKEN_S:
        return f"its first word took {first_s:.1f} s", slower
    if speed is not None and speed < SLOW_TOKENS_PER_S:
        return f"{speed:.1f} tokens a second are slower than speech", slower
    return "", ""


def question(instructions: str, *, temperature: float) -> LlmRequest:
    messages = (Message(role="system", content=instructions), Message(role="user", content=QUESTION))
    return LlmRequest(messages=messages, session=SESSION, max_tokens=MAX_TOKENS, temperature=temperature)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:60] + "…"
