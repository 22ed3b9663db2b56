"""One talk with the running server by LiveKit's RealtimeModel in an AgentSession, without a room."""

import asyncio
import time
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool, io
from livekit.plugins import openai
from report import Microphone, Report, Task, hold

RATE = 24_000


class Ear(io.AudioInput):
    """What the microphone gives, as frames."""

    def __init__(self) -> None:
        super().__init__(label="ear")
        self._frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def put(self, pcm: bytes) -> None:
        frame = rtc.AudioFrame(data=pcm, sample_rate=RATE, num_channels=1, samples_per_channel=len(pcm) // 2)
        self._frames.put_nowait(frame)

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()


class Mouth(io.AudioOutput):
    """Plays by the clock, as a loudspeaker would."""

    def __init__(self, report: Report) -> None:
        super().__init__(label="mouth", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=RATE)
        self._report = report
        self._began: float | None = None
        self._pushed_s = 0.0
        self._ending: asyncio.Task[None] | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._began is None:
            self._began = time.monotonic()
            self._report.tell("audio")
            self.on_playback_started(created_at=time.time())
        self._pushed_s += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._began is not None and self._ending is None:
            self._ending = asyncio.create_task(self._play_out())

    async def _play_out(self) -> None:
        assert self._began is not None
        await asyncio.sleep(max(0.0, self._began + self._pushed_s - time.monotonic()))
        self._finish(interrupted=False)

    def clear_buffer(self) -> None:
        if self._began is None:
            return
        if self._ending is not None:
            self._ending.cancel()
        self._report.interruptions += 1
        self._report.tell("interrupted")
        self._finish(interrupted=True)

    def _finish(self, *, interrupted: bool) -> None:
        assert self._began is not None
        played = min(self._pushed_s, time.monotonic() - self._began)
        self._began, self._pushed_s, self._ending = None, 0.0, None
        self.on_playback_finished(playback_position=played, interrupted=interrupted)


def turn_of(item: Any) -> tuple[str, str]:
    """Role, or name of the tool, and text."""
    if item.type == "function_call_output":
        return item.name, item.output
    return item.role, item.text_content or ""


async def main() -> None:
    task, report = Task(), Report()

    @function_tool(name=task.tool["name"])
    async def switch_lamp(room: str, on: bool) -> str:
        """Switches the lamp of a room."""
        report.tool_runs.append({"room": room, "on": on})
        report.tell("tool")
        return task.tool["output"]

    def note_truncation(event: dict[str, Any]) -> None:
        if event["type"] == "conversation.item.truncated":
            report.truncated_ms.append(event["audio_end_ms"])

    model = openai.realtime.RealtimeModel(base_url=f"{task.url}/v1", api_key="none needed", model="voice-agent")
    session: AgentSession[None] = AgentSession(llm=model, vad=None, aec_warmup_duration=None)
    ear = Ear()
    session.input.audio, session.output.audio = ear, Mouth(report)
    session.on("error", lambda event: report.errors.append(str(event.error)))
    session.on("conversation_item_added", lambda event: report.tell("finished" if event.item.role == "assistant" else "heard"))
    agent = Agent(instructions="Answer in one short sentence.", tools=[switch_lamp])
    await session.start(agent, record=False)
    agent.realtime_llm_session.on("openai_server_event_received", note_truncation)
    microphone = Microphone(ear.put)
    speaking = asyncio.create_task(microphone.run())

    async def write(text: str) -> None:
        session.generate_reply(user_input=text)

    await hold(task.scenario, report, microphone, write, task)
    speaking.cancel()
    items = [item for item in session.history.items if item.type in ("message", "function_call_output")]
    report.history = [turn_of(item) for item in items if getattr(item, "role", "") != "system"]
    report.print()
    await session.aclose()


if __name__ == "__main__":
    asyncio.run(main())
