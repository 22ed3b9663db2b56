"""One talk with the running server by pipecat's OpenAIRealtimeLLMService in a pipeline, with a loudspeaker of our own."""

import asyncio
import json
import time
from typing import Any

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMMessagesAppendFrame,
    LLMRunFrame,
    OutputAudioRawFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner
from report import Microphone, Report, Task, hold

RATE = 24_000


class Loudspeaker(BaseOutputTransport):
    """Plays by the clock; the framework then knows when the bot speaks."""

    def __init__(self) -> None:
        super().__init__(TransportParams(audio_out_enabled=True, audio_out_sample_rate=RATE, audio_out_end_silence_secs=0))
        self._due = 0.0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        self._due = max(self._due, time.monotonic()) + len(frame.audio) / 2 / RATE
        await asyncio.sleep(max(0.0, self._due - time.monotonic()))
        return True


class Keyboard(FrameProcessor):
    """Where text enters: behind the user's half of the context, which would keep it to itself."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class Watch(FrameProcessor):
    """Tells what goes by; stands between the service and the loudspeaker."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report
        self._awaits_audio = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case TTSStartedFrame():
                self._awaits_audio = True
            case TTSAudioRawFrame() if self._awaits_audio:
                self._awaits_audio = False
                self._report.tell("audio")
            case InterruptionFrame():
                self._report.interruptions += 1
                self._report.tell("interrupted")
            case BotStoppedSpeakingFrame():
                self._report.tell("finished")
            case ErrorFrame():
                self._report.errors.append(frame.error)
            case _:
                pass
        await self.push_frame(frame, direction)


def turns_of(messages: list[Any]) -> list[tuple[str, str]]:
    """Role, or name of the tool, and text."""
    names = {call["id"]: call["function"]["name"] for message in messages for call in message.get("tool_calls") or []}
    turns = []
    for message in messages:
        if message["role"] == "tool":
            turns.append((names[message["tool_call_id"]], json.loads(message["content"])))
        elif message.get("content"):
            content = message["content"]
            text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
            turns.append((message["role"], text))
    return turns


async def main() -> None:
    task, report = Task(), Report()

    async def switch_lamp(params: FunctionCallParams) -> None:
        report.tool_runs.append(dict(params.arguments))
        report.tell("tool")
        await params.result_callback(task.tool["output"])

    lamp = FunctionSchema(
        name=task.tool["name"],
        description="Switches the lamp of a room.",
        properties={"room": {"type": "string"}, "on": {"type": "boolean"}},
        required=["room", "on"],
    )
    heard = events.AudioConfiguration(
        input=events.AudioInput(
            transcription=events.InputAudioTranscription(),
            turn_detection=events.SemanticTurnDetection(),
        )
    )
    service = OpenAIRealtimeLLMService(
        api_key="none needed",
        base_url=f"{task.url.replace('http', 'ws', 1)}/v1/realtime",
        settings=OpenAIRealtimeLLMService.Settings(
            model="voice-agent",
            session_properties=events.SessionProperties(audio=heard, instructions="Answer in one short sentence."),
        ),
    )
    service.register_function(task.tool["name"], switch_lamp)
    greet = task.scenario == "voice"  # as pipecat's own examples begin; the other talk begins with what is written
    context = LLMContext([{"role": "user", "content": "Say hello."}] if greet else [], tools=ToolsSchema(standard_tools=[lamp]))
    history = LLMContextAggregatorPair(context)
    keyboard = Keyboard()
    pipeline = Pipeline([history.user(), keyboard, service, Watch(report), Loudspeaker(), history.assistant()])
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
        cancel_on_idle_timeout=False,
        enable_rtvi=False,
    )
    started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def on_started(_worker: Any, _frame: Frame) -> None:
        started.set()

    async def send(pcm: bytes) -> None:
        await worker.queue_frame(InputAudioRawFrame(audio=pcm, sample_rate=RATE, num_channels=1))

    async def write(text: str) -> None:
        await keyboard.push_frame(LLMMessagesAppendFrame(messages=[{"role": "user", "content": text}], run_llm=True))

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await started.wait()
    microphone = Microphone(send)
    speaking = asyncio.create_task(microphone.run())
    try:
        if greet:
            await worker.queue_frame(LLMRunFrame())
            await report.until("finished")
        await hold(task.scenario, report, microphone, write, task)
    finally:
        speaking.cancel()
        await runner.cancel()
        await running
    report.history = turns_of(context.get_messages())
    report.print()


if __name__ == "__main__":
    asyncio.run(main())
