"""openai-agents for Python, as it is, against the running server: the client with the strictest reading of events."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

os.environ.setdefault("OPENAI_AGENTS_DISABLE_TRACING", "1")  # it would send traces to its maker

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession

from tests.conformance import microphone, script
from tests.conformance.microphone import RATE, Microphone
from tests.conformance.telling import Told, measured
from tests.spoken import plain

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]  # they speak in real time, and the first one starts a server

CLIENT = "openai-agents (Python)"


def name_of(event: Any) -> str:
    if event.type != "raw_model_event":
        return str(event.type)
    return f"raw {event.data.data['type'] if event.data.type == 'raw_server_event' else event.data.type}"


class Talk:
    """A session, what it tells, and a person at the microphone."""

    def __init__(self, session: RealtimeSession) -> None:
        self.session = session
        self.told: Told[Any] = Told(name_of)
        self.microphone = Microphone(session.send_audio)

    async def read(self) -> None:
        async for event in self.session:
            self.told.add(event)

    async def until(self, name: str, wanted: Callable[[Any], bool] = lambda _: True) -> Any:
        return await self.told.until(lambda event: name_of(event) == name and wanted(event))

    def history(self) -> list[tuple[str, str]]:
        """As the client told it last."""
        return [_turn(item) for item in [event.history for event in self.told.events if event.type == "history_updated"][-1]]

    def audio_s(self, item_id: str) -> float:
        return (
            sum(len(event.audio.data) for event in self.told.events if event.type == "audio" and event.item_id == item_id)
            / 2
            / RATE
        )


def _turn(item: Any) -> tuple[str, str]:
    """Role, or name of the tool, and text."""
    if item.type == "function_call":
        return item.name, item.output
    return item.role, " ".join(getattr(part, "transcript", None) or getattr(part, "text", None) or "" for part in item.content)


@contextlib.asynccontextmanager
async def talking(url: str, agent: RealtimeAgent) -> AsyncIterator[Talk]:
    runner = RealtimeRunner(agent)
    address = url.replace("http", "ws", 1) + "/v1/realtime?model=voice-agent"
    async with await runner.run(model_config={"url": address, "api_key": "none needed"}) as session:
        talk = Talk(session)
        reading = asyncio.create_task(talk.read())
        speaking = asyncio.create_task(talk.microphone.run())
        try:
            yield talk
        finally:
            speaking.cancel()
            reading.cancel()
            await asyncio.gather(speaking, reading, return_exceptions=True)
    errors = [event for event in talk.told.events if event.type == "error"]
    assert not errors, errors


async def test_voice_and_text(embedded: str) -> None:
    async with talking(embedded, RealtimeAgent(name="host", instructions="Answer in one short sentence.")) as talk:
        ended = await talk.microphone.say(microphone.NAME)
        spoken = await talk.until("audio")
        measured(CLIENT, "end of speech to first audio, embedded engines", talk.told.at - ended)
        await talk.until("audio_end")
        await talk.until("agent_end")
        assert talk.audio_s(spoken.item_id) > 0.2
        await talk.session.send_message("And what is your name?")
        written = await talk.until("audio")
        assert written.item_id != spoken.item_id
        await talk.until("agent_end")
        roles, texts = zip(*talk.history(), strict=True)
        assert roles == ("user", "assistant", "user", "assistant")
        assert plain(texts[0]) == "my name is jennifer smith"
        assert texts[2] == "And what is your name?"
        assert all(texts)


async def test_barge_in_and_tool(scripted: str) -> None:
    switched: list[dict[str, Any]] = []

    @function_tool(name_override=script.TOOL)
    def switch_lamp(room: str, on: bool) -> str:
        """Switches the lamp of a room."""
        switched.append({"room": room, "on": on})
        return script.TOOL_OUTPUT

    async with talking(scripted, RealtimeAgent(name="host", tools=[switch_lamp])) as talk:
        await talk.session.send_message("Tell me a story.")
        story = await talk.until("audio")
        await asyncio.sleep(1.0)  # of listening
        saying = asyncio.create_task(talk.microphone.say(microphone.SECOND))
        interrupted = await talk.until("audio_interrupted")
        assert interrupted.item_id == story.item_id
        ended = await saying
        answer = await talk.until("audio", lambda event: event.item_id != story.item_id)
        measured(CLIENT, "end of speech to first audio after a barge-in", talk.told.at - ended)
        await talk.until("agent_end")
        cut = [event for event in talk.told.events if name_of(event) == "raw conversation.item.truncated"]
        assert [event.data.data["item_id"] for event in cut] == [story.item_id]

        await asyncio.sleep(talk.audio_s(answer.item_id))  # of listening
        await talk.microphone.say(microphone.LAMP)
        call = await talk.until("tool_end")
        assert (call.tool.name, call.output) == (script.TOOL, script.TOOL_OUTPUT)
        await talk.until("audio")
        await talk.until("agent_end")
        script.check_history(talk.history())
    assert switched == [script.TOOL_ARGUMENTS]
