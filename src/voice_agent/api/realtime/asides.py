"""Out-of-band responses: answers beside the conversation (a classification, a summary), which it never hears of."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import cast

from voice_agent.api.realtime.outbox import Outbox
from voice_agent.api.realtime.response import OpenResponse, ResponseHead
from voice_agent.api.realtime.wire_items import call_fields
from voice_agent.audio.pcm import Pcm16
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
from voice_agent.session.replying import VoiceSettings
from voice_agent.transports.realtime.client_events import EventError
from voice_agent.transports.realtime.transport import OUTPUT_RATE, WRITE_S, AudioEncoder, Codec

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Of one connection. They share the language model with the conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """What is asked."""

    head: ResponseHead
    request: LlmRequest
    engines: Engines
    voice: VoiceSettings
    codec: Codec


class Asides:
    """The running ones of a connection, by the id of their response; `aclose` ends them."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def check_room(self) -> None:
        """Raises `EventError` when too many are running."""
        if len(self._tasks) >= AT_ONCE:
            raise EventError(f"{AT_ONCE} out-of-band responses are running; wait for one", code="rate_limit_exceeded")

    def start(self, aside: Aside) -> None:
        name = aside.head.response_id
        response = OpenResponse(self._outbox, aside.head)
        self._tasks[name] = asyncio.create_task(self._run(response, aside))
        self._tasks[name].add_done_callback(lambda _: self._ended(name, response))

    def _ended(self, name: str, response: OpenResponse) -> None:
        del self._tasks[name]
        response.finish("cancelled", details={"type": "cancelled", "reason": "client_cancelled"})  # unless it has finished

    def cancel(self, response_id: str) -> bool:
        """False if there is no such response."""
        task = self._tasks.get(response_id)
        if task is not None:
            task.cancel()
        return task is not None

    async def aclose(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, response: OpenResponse, aside: Aside) -> None:
        """The border of its task: any failure ends the response visibly."""
        try:
            text, usage = await self._write(response, aside)
            if text and aside.head.modality == "audio":
                await self._speak(response, text, aside)
        except VoiceAgentError as error:
            _fail(response, error.code, error.what)
        except Exception:
            logger.exception("response %s: unexpected failure", aside.head.response_id)
            _fail(response, "internal", "The response could not be made")
        else:
            response.finish("completed", input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)

    async def _write(self, response: OpenResponse, aside: Aside) -> tuple[str, LlmUsage]:
        text, usage, calls = "", LlmUsage(prompt_tokens=0, completion_tokens=0), 0
        stream = cast(AsyncGenerator[LlmDelta, None], aside.engines.llm.stream(aside.request))
        name = f"item_{aside.head.response_id}"
        async with contextlib.aclosing(stream) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta():
                        if not text:
                            response.begin_message(name, None)
                        text += delta.text
                        response.say(delta.text)
                    case ToolCall():
                        calls += 1
                        response.call(_call_item(delta, f"{name}_call_{calls}"), None)
                    case LlmUsage():
                        usage = delta
                    case _:
                        pass  # which engine answers is not told
        return text, usage

    @staticmethod
    async def _speak(response: OpenResponse, text: str, aside: Aside) -> None:
        request = SpeechRequest(text=text, voice=aside.voice.voice, language=aside.voice.language, speed=aside.voice.speed)
        encoder, resampler = AudioEncoder(aside.codec), None
        speech = cast(AsyncGenerator[SpeechChunk, None], aside.engines.tts.speak(request, session=aside.request.session))
        async with contextlib.aclosing(speech) as chunks:
            async for chunk in chunks:
                resampler = resampler or Resampler(chunk.sample_rate, OUTPUT_RATE)
                _play(response, encoder, resampler.push(chunk.pcm))
        if resampler is not None:
            _play(response, encoder, resampler.flush())
            response.play(encoder.finish())


def _play(response: OpenResponse, encoder: AudioEncoder, pcm: Pcm16) -> None:
    """In pieces that small clients can take."""
    step = round(WRITE_S * OUTPUT_RATE)
    for start in range(0, pcm.size, step):
        response.play(encoder.encode(pcm[start : start + step]))


def _fail(response: OpenResponse, code: str, message: str) -> None:
    response.finish("failed", details={"type": "failed", "error": {"type": "server_error", "code": code, "message": message}})


def _call_item(call: ToolCall, item_id: str) -> dict[str, object]:
    head = {"id": item_id, "object": "realtime.item", "status": "completed"}
    return {**head, **call_fields(call.call_id, call.name, call.arguments)}
