"""A language model in this process: any GGUF file, on llama.cpp.

Answers are generated in the library's threads; one worker thread of ours waits for each. Chunks come to the loop through a
queue whose length is bounded by `max_tokens`. Each chat has a slot that keeps the computed prompt, so a session's next turn
costs only what is new in it.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from voice_agent.engines.admission import Lane, Priority, Stop
from voice_agent.engines.base import LlmCapabilities, LlmDelta, LlmRequest, Message, TextDelta
from voice_agent.engines.llm import llama_cpp, small_prompt
from voice_agent.engines.llm.answer import Answer
from voice_agent.engines.llm.fitting import estimate_tokens, fit, hopeless
from voice_agent.engines.llm.slots import Slots
from voice_agent.engines.llm.wire import Chunk, MalformedChunk, read_chunk, request_fields
from voice_agent.errors import EngineError, EngineFailed, EngineTimeout

CONTEXT_TOKENS = 2048

WARM_STEP_TOKENS = 128
"""A prompt is warmed in steps of at least this many tokens (estimated), because none of them can be interrupted."""


class LocalLlm:
    """`name` "local". Loading blocks for 0.2 to 0.5 s with the small model (more with a larger one): make it off the loop.

    `small` is for a demo model such as SmolLM2-135M: requests are reshaped (small_prompt.py). `threads`: one less than there
    are cores, at least 1, since speech recognition works at the same time. `parallel`: chats at a time; others wait.
    `tools`: the model can call functions. Raises `ModelError` for a file that cannot be loaded.
    """

    name = "local"

    def __init__(
        self,
        gguf: Path,
        *,
        model: str | None = None,
        threads: int = 1,
        parallel: int = 2,
        context_tokens: int = CONTEXT_TOKENS,
        batch: int = 128,
        small: bool = False,
        tools: bool = False,
        first_token_timeout_s: float = 10.0,
    ) -> None:
        if small:
            context_tokens = min(context_tokens, small_prompt.CONTEXT_TOKENS)
        self.model = model or gguf.stem
        self.capabilities = LlmCapabilities(
            tools=tools and not small, context_tokens=context_tokens, small=small, caches_prompts=True
        )
        self._llama = llama_cpp.load(gguf, threads=threads, parallel=parallel, context_tokens=context_tokens, batch=batch)
        self._slots = Slots(parallel)
        self._lane = Lane(self.name, workers=parallel)
        self._first_token_timeout_s = first_token_timeout_s
        self._warming: dict[str, threading.Event] = {}

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmDelta, None]:
        if (warming := self._warming.pop(request.session, None)) is not None:
            warming.set()
        answer = Answer(self.name)
        limit = small_prompt.SentenceLimit() if self.capabilities.small else None
        async with contextlib.aclosing(self._chunks(self._fitted(request))) as chunks:
            async for data in chunks:
                for delta in _limited(answer.add(_read(data)), limit):
                    yield delta
                if limit is not None and limit.done:
                    return
        for delta in _limited(answer.end(), limit, finish=answer.finish):
            yield delta

    async def warm(self, request: LlmRequest) -> None:
        """Computes the beginning of the session's next prompt into its slot. A request of the session ends it."""
        self._supersede(request.session, superseded := threading.Event())
        shaped = (
            small_prompt.shape_beginning(request) if self.capabilities.small else fit(request, self.capabilities.context_tokens)
        )

        def job(stop: Stop) -> None:
            with self._slots.use(request.session) as slot:
                for messages in _growing(shaped.messages):
                    if stop() or superseded.is_set():
                        return
                    step = replace(shaped, messages=messages, max_tokens=1)
                    with contextlib.suppress(EngineError):  # a template may not like this beginning; a longer one it may
                        self._llama.chat(self._body(step, slot), lambda _: stop() or superseded.is_set())

        try:
            with contextlib.suppress(EngineError):
                await self._lane.run(job, priority=Priority.BACKGROUND, session=request.session)
        finally:
            if self._warming.get(request.session) is superseded:
                del self._warming[request.session]

    async def aclose(self) -> None:
        await self._lane.aclose()
        await asyncio.to_thread(self._llama.close)

    def _supersede(self, session: str, by: threading.Event) -> None:
        if (former := self._warming.get(session)) is not None:
            former.set()
        self._warming[session] = by

    def _fitted(self, request: LlmRequest) -> LlmRequest:
        if self.capabilities.small:
            return small_prompt.shape(request)
        fitted = fit(request, self.capabilities.context_tokens)
        if hopeless(fitted, self.capabilities.context_tokens):
            raise EngineFailed(
                "The conversation is too long for the local language model",
                engine=self.name,
                remedy="Say it in fewer words, or raise LOCAL_CONTEXT_TOKENS",
                code="llm.prompt_too_long",
            )
        return fitted

    async def _chunks(self, request: LlmRequest) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of the answer. Closing it ends the generation with the next token."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()  # at most max_tokens and a few

        def job(stop: Stop) -> None:
            def on_chunk(data: dict[str, Any]) -> bool:
                try:
                    loop.call_soon_threadsafe(queue.put_nowait, data)
                except RuntimeError:  # the loop has closed
                    return True
                return stop()

            if not stop():
                with self._slots.use(request.session) as slot:
                    self._llama.chat(self._body(request, slot), on_chunk)

        running = asyncio.create_task(self._lane.run(job, priority=Priority.FINAL, session=request.session))
        running.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            first = await self._first(queue)
            while first is not None:
                yield first
                first = await queue.get()
            await running
        finally:
            running.cancel()
            await asyncio.wait([running])
            _ = running.cancelled() or running.exception()  # else asyncio reports a failure that nobody has waited for

    async def _first(self, queue: "asyncio.Queue[dict[str, Any] | None]") -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(self._first_token_timeout_s):
                return await queue.get()
        except TimeoutError:
            raise EngineTimeout(
                "The local language model did not begin to answer in time",
                engine=self.name,
                why=f"nothing for {self._first_token_timeout_s:.1f} s",
                remedy="Serve fewer sessions, or choose a smaller model",
                code="llm.slow",
            ) from None

    def _body(self, request: LlmRequest, slot: int) -> dict[str, Any]:
        if request.tool_choice not in ("auto", "none", "required"):
            # llama.cpp cannot be told a name; one tool that must be called is the same.
            chosen = tuple(tool for tool in request.tools if tool.name == request.tool_choice)
            request = replace(request, tools=chosen, tool_choice="required")
        return request_fields(request, tools=self.capabilities.tools) | {
            "max_tokens": request.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            "cache_prompt": True,
            "id_slot": slot,
        }


def _read(data: dict[str, Any]) -> Chunk:
    try:
        return read_chunk(data)
    except MalformedChunk as error:
        raise EngineFailed(
            "The local language model gave an answer that cannot be used", engine="local", why=str(error), code="llm.bad_answer"
        ) from error


def _limited(deltas: list[LlmDelta], limit: small_prompt.SentenceLimit | None, *, finish: str = "") -> Iterator[LlmDelta]:
    """The deltas with their text cut by `limit`; `finish` is given with the last ones."""
    if limit is None:
        yield from deltas
        return
    text = "".join(limit.feed(delta.text) for delta in deltas if isinstance(delta, TextDelta))
    if finish:
        text += limit.end(complete=finish == "stop")
    if text:
        yield TextDelta(text=text)
    yield from (delta for delta in deltas if not isinstance(delta, TextDelta))


def _growing(messages: tuple[Message, ...]) -> Iterator[tuple[Message, ...]]:
    """Beginnings of the conversation, each a step longer than the one before; the last is all of it."""
    tokens = 0
    for count, message in enumerate(messages, start=1):
        tokens += estimate_tokens(message)
        if tokens >= WARM_STEP_TOKENS or count == len(messages):
            tokens = 0
            yield messages[:count]
