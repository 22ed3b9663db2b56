"""The openai package for Python, as it is, against the running server. Every event is also checked with the package's own types."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from tests.conformance import microphone, script
from tests.conformance.microphone import RATE, Microphone
from tests.conformance.telling import Told, measured
from tests.spoken import plain

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]  # they speak in real time, and the first one starts a server

CLIENT = "openai (Python)"

SERVER_EVENT: TypeAdapter[RealtimeServerEvent] = TypeAdapter(RealtimeServerEvent)

TOOLS: list[Any] = [
    {
        "type": "function",
        "name": script.TOOL,
        "description": "Switches the lamp of a room.",
        "parameters": {"type": "object", "properties": {"room": {"type": "string"}, "on": {"type": "boolean"}}},
    }
]


class Talk:
    """A connection, what it tells, and a person at the microphone."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.told: Told[Any] = Told(lambda event: str(event.type))
        self.microphone = Microphone(self._append)

    async def _append(self, pcm: bytes) -> None:
        await self.connection.input_audio_buffer.append(audio=base64.b64encode(pcm).decode())

    async def read(self) -> None:
        while True:
            data = await self.connection.recv_bytes()
            SERVER_EVENT.validate_json(data, strict=True)
            self.told.add(self.connection.parse_event(data))

    async def until(self, kind: str) -> Any:
        return await self.told.until(lambda event: event.type == kind)

    async def retrieved(self, item_id: str) -> Any:
        await self.connection.conversation.item.retrieve(item_id=item_id)
        return (await self.until("conversation.item.retrieved")).item

    async def write(self, text: str) -> None:
        content: Any = [{"type": "input_text", "text": text}]
        await self.connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})

    def audio_s(self, item_id: str) -> float:
        """How much of an item's audio has come."""
        deltas = [event for event in self.told.events if event.type == "response.output_audio.delta" and event.item_id == item_id]
        return sum(len(base64.b64decode(event.delta)) for event in deltas) / 2 / RATE


@contextlib.asynccontextmanager
async def talking(url: str, **session: Any) -> AsyncIterator[Talk]:
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none needed", max_retries=0)
    async with client, client.realtime.connect(model="voice-agent") as connection:
        talk = Talk(connection)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(talk.read())
            speaking = group.create_task(talk.microphone.run())
            await talk.until("session.created")
            wanted: Any = {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}, **session}
            await connection.session.update(session=wanted)
            updated = await talk.until("session.updated")
            assert updated.session.audio.input.turn_detection.interrupt_response is True
            yield talk
            reading.cancel()
            speaking.cancel()
        errors = [event for event in talk.told.events if event.type == "error"]
        assert not errors, errors


VOICE_TURN = [
    "input_audio_buffer.speech_started",
    "conversation.item.input_audio_transcription.delta",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.input_audio_transcription.completed",
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]


def first_times(names: list[str]) -> list[str]:
    """Events by their first time, but for those of items, which come twice."""
    return [name for place, name in enumerate(names) if name.startswith("conversation.item.") or name not in names[:place]]


async def test_voice_and_text(embedded: str) -> None:
    async with talking(embedded, instructions="Answer in one short sentence.") as talk:
        start = len(talk.told.events)
        ended = await talk.microphone.say(microphone.NAME)
        heard = await talk.until("conversation.item.input_audio_transcription.completed")
        assert plain(heard.transcript) == "my name is jennifer smith"
        await talk.until("response.output_audio.delta")
        measured(CLIENT, "end of speech to first audio, embedded engines", talk.told.at - ended)
        done = await talk.until("response.done")
        assert done.response.status == "completed"
        [spoken] = done.response.output
        assert spoken.content[0].transcript
        assert talk.audio_s(spoken.id) > 0.2
        names = talk.told.names(start)
        assert [name for name in first_times(names) if "transcription.delta" not in name] == [
            name for name in VOICE_TURN if "transcription.delta" not in name
        ]
        assert (await talk.retrieved(heard.item_id)).content[0].transcript == heard.transcript

        await talk.write("And what is your name?")
        question = await talk.until("conversation.item.done")
        assert question.previous_item_id == spoken.id
        await talk.connection.response.create(response={"output_modalities": ["text"], "metadata": {"turn": "two"}})
        answer = await talk.until("response.done")
        assert (answer.response.status, answer.response.metadata) == ("completed", {"turn": "two"})
        assert answer.response.output[0].content[0].text
        assert answer.response.usage.total_tokens > 0


async def test_barge_in_and_tool(scripted: str) -> None:
    async with talking(scripted, tools=TOOLS) as talk:
        await talk.write("Tell me a story without end.")
        await talk.connection.response.create()
        story = await talk.until("response.output_item.added")
        await talk.until("response.output_audio.delta")
        began = talk.told.at
        await asyncio.sleep(1.0)  # of listening
        saying = asyncio.create_task(talk.microphone.say(microphone.SECOND))
        speech = await talk.until("input_audio_buffer.speech_started")
        played_ms = round((talk.told.at - began) * 1000)
        await talk.connection.conversation.item.truncate(item_id=story.item.id, content_index=0, audio_end_ms=played_ms)
        cut = await talk.until("conversation.item.truncated")
        assert 0 < cut.audio_end_ms <= played_ms
        ended = await saying
        heard = await talk.until("conversation.item.input_audio_transcription.completed")
        cancelled = next(event.response for event in talk.told.events if event.type == "response.done")
        assert (cancelled.status, cancelled.status_details.reason) == ("cancelled", "turn_detected")
        assert heard.item_id == speech.item_id
        assert plain("is the second one") in plain(heard.transcript)  # it may hear a word before it: the first one is spoken softly
        done = await talk.until("response.done")
        assert done.response.output[0].content[0].transcript == script.ROOM
        measured(CLIENT, "end of speech to end of the answer after a barge-in", talk.told.at - ended)
        left = (await talk.retrieved(story.item.id)).content[0].transcript
        assert left
        assert script.STORY.startswith(left)
        assert len(left) < len(script.STORY) / 4, "only what was heard stays"

        await asyncio.sleep(talk.audio_s(done.response.output[0].id))  # of listening
        await talk.microphone.say(microphone.LAMP)
        call = await talk.until("response.function_call_arguments.done")
        assert (call.name, json.loads(call.arguments)) == (script.TOOL, script.TOOL_ARGUMENTS)
        assert (await talk.until("response.done")).response.output[0].type == "function_call"
        output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": script.TOOL_OUTPUT}
        await talk.connection.conversation.item.create(item=output)
        await talk.connection.response.create()
        done = await talk.until("response.done")
        assert done.response.output[0].content[0].transcript == script.LAMP
        calls = [event for event in talk.told.events if event.type == "response.function_call_arguments.done"]
        assert len(calls) == 1


async def test_a_response_asked_for_while_the_last_one_is_still_played(scripted: str) -> None:
    async with talking(scripted) as talk:
        for _ in range(2):
            await talk.write("My name is Jennifer.")
            await talk.connection.response.create()
            done = await talk.until("response.done")
            [spoken] = done.response.output
            assert spoken.content[0].transcript == script.GREETING
            assert talk.audio_s(spoken.id) > 1.0
