"""Out-of-band responses: answers beside the conversation (a classification, a summary), which it never hears of."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import cast

from voice_agent.api.realtime.outbox import Outbox
from voice_agent.api.realtime.response import OpenResponse, ResponseHead
from voice_agent.audio.resample import Resampler
from voice_agent.engines.base import (
    Engines,
    LlmDelta,
    LlmRequest,
    LlmUsage,
    SpeechChunk,
    SpeechRequest,
    TextDelta,
    ToolCall,
)
from voice_agent.errors import VoiceAgentError
from voice_agent.transports.realtime.client_events import EventError
from voice_agent.transports.realtime.transport import OUTPUT_RATE

AT_ONCE = 4
"""Of one connection. They share the language model with the conversation."""


class Asides:
    """The running ones of a connection; `aclose` ends them."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, head: ResponseHead, request: LlmRequest, engines: Engines, voice: str | None) -> None:
        """Raises `EventError` when too many are running."""
        if len(self._tasks) >= AT_ONCE:
            raise EventError(f"{AT_ONCE} out-of-band responses are running; wait for one", code="rate_limit_exceeded")
        task = asyncio.create_task(self._run(head, request, engines, voice))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, head: ResponseHead, request: LlmRequest, engines: Engines, voice: str | None) -> None:
        response = OpenResponse(self._outbox, head)
        try:
            text, usage = await self._write(response, request, engines)
            if text and head.modality == "audio":
                await self._speak(response, text, engines, voice, request.session)
        except VoiceAgentError as error:
            details = {"type": "failed", "error": {"type": "server_error", "code": error.code, "message": error.what}}
            response.finish("failed", previous_item_id=None, details=details)
            return
        response.finish("completed", previous_item_id=None, input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)

    async def _write(self, response: OpenResponse, request: LlmRequest, engines: Engines) -> tuple[str, LlmUsage]:
        text, usage, calls = "", LlmUsage(prompt_tokens=0, completion_tokens=0), 0
        stream = cast(AsyncGenerator[LlmDelta, None], engines.llm.stream(request))
        async with contextlib.aclosing(stream) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta():
                        if not text:
                            response.begin_message(f"item_{response.head.response_id}", None)
                        text += delta.text
                        response.say(delta.text)
                    case ToolCall():
                        calls += 1
                        response.call(_call_item(delta, f"item_{response.head.response_id}_call_{calls}"), None)
                    case LlmUsage():
                        usage = delta
                    case _:
                        pass  # which engine answers is not told
        return text, usage

    @staticmethod
    async def _speak(response: OpenResponse, text: str, engines: Engines, voice: str | None, session: str) -> None:
        request = SpeechRequest(text=text, voice=voice)
        resampler: Resampler | None = None
        speech = cast(AsyncGenerator[SpeechChunk, None], engines.tts.speak(request, session=session))
        async with contextlib.aclosing(speech) as chunks:
            async for chunk in chunks:
                if resampler is None:
                    resampler = Resampler(chunk.sample_rate, OUTPUT_RATE)
                response.play(resampler.push(chunk.pcm).astype("<i2", copy=False).tobytes())
        if resampler is not None:
            response.play(resampler.flush().astype("<i2", copy=False).tobytes())


def _call_item(call: ToolCall, item_id: str) -> dict[str, object]:
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "function_call",
        "status": "completed",
        "call_id": call.call_id,
        "name": call.name,
        "arguments": call.arguments,
    }
