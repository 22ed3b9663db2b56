"""What clients ask for by themselves: text, functions, push-to-talk, answers beside the conversation, edits of it."""

import asyncio
import base64
from typing import Any

import pytest

from tests.realtime_stage import RealtimeStage, perform, text
from voice_agent.engines.base import LlmDelta, LlmRequest, LlmUsage, ToolCall
from voice_agent.engines.fakes import FakeTts
from voice_agent.errors import EngineFailed

TEXT_ONLY = {"type": "realtime", "output_modalities": ["text"]}
PUSH_TO_TALK = {"type": "realtime", "audio": {"input": {"turn_detection": None, "transcription": {"model": "x"}}}}
WEATHER = {"type": "function", "name": "weather", "description": "The weather", "parameters": {"type": "object", "properties": {}}}
CALL = ToolCall(call_id="call_1", name="weather", arguments='{"city":"Rome"}')


def silent(*args: Any, **kwargs: Any) -> RealtimeStage:
    return RealtimeStage(*args, muted=True, **{"session": {"type": "realtime"}, **kwargs})


# ---------------------------------------------------------------- text


def test_a_turn_by_text() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.write("How are you?")
        await talk.ask("response.create", "response.done", response={"metadata": {"client_event_id": "x"}})

    talk = perform(lambda: silent(answer="I am fine."), script, golden="text-turn")
    (response,) = talk.responses()
    assert response["metadata"] == {"client_event_id": "x"}
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": "I am fine."}]


def test_an_answer_by_text() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.write("How are you?")
        await talk.ask("response.create", "response.done")
        answer = await talk.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id="item_2")
        assert answer["item"]["content"] == [{"type": "output_text", "text": "I am fine."}]
        told = await talk.ask(
            "conversation.item.truncate", "conversation.item.truncated", item_id="item_2", content_index=0, audio_end_ms=50
        )
        assert told["audio_end_ms"] == 50

    talk = perform(lambda: silent(answer="I am fine.", session=TEXT_ONLY), script, golden="text-only")
    assert talk.types()[1:] == [
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "conversation.item.retrieved",
        "conversation.item.truncated",
    ]
    assert talk.history() == [("user", "How are you?"), ("agent", "I am fine.")]


def test_a_response_by_text_in_a_session_by_voice() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.write("How are you?")
        await talk.ask("response.create", "response.done", response={"output_modalities": ["text"], "max_output_tokens": 3})

    talk = perform(lambda: silent(), script)
    assert talk.responses()[0]["output"][0]["content"] == [{"type": "output_text", "text": "I am fine,"}]
    assert talk.responses()[0]["max_output_tokens"] == 3
    assert not talk.audio_bytes()


def test_what_a_response_is_told_holds_for_it_alone() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.write("How are you?")
        asked = {
            "instructions": "Speak like a pirate.",
            "tools": [WEATHER],
            "tool_choice": {"type": "function", "name": "weather"},
            "audio": {"output": {"voice": {"id": "other"}}},
        }
        await talk.ask("response.create", "response.done", response=asked)
        await asyncio.sleep(2.0)
        await talk.ask("response.create", "response.done")

    talk = perform(lambda: silent(answer="I am fine."), script)
    first, second = talk.llm.requests
    assert first.messages[0].content.endswith("Speak like a pirate.")
    assert (first.tools[0].name, first.tool_choice) == ("weather", "weather")
    assert "pirate" not in second.messages[0].content
    assert not second.tools
    assert [response["audio"]["output"]["voice"] for response in talk.responses()] == ["other", "alloy"]


# ---------------------------------------------------------------- functions


def test_a_call_of_a_function() -> None:
    def answer(request: LlmRequest) -> list[LlmDelta]:
        return (
            text("It is sunny.") if request.messages[-1].role == "tool" else [CALL, LlmUsage(prompt_tokens=9, completion_tokens=4)]
        )

    async def script(talk: RealtimeStage) -> None:
        await talk.update(tools=[WEATHER])
        await talk.write("How is the weather?")
        done = await talk.ask("response.create", "response.done")
        (call,) = done["response"]["output"]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"sky":"clear"}'}
        await talk.send("conversation.item.create", item=output)
        await talk.ask("response.create", "response.done")
        await asyncio.sleep(2.0)

    talk = perform(lambda: silent(answer=answer), script, golden="function-call")
    assert talk.history() == [
        ("user", "How is the weather?"),
        ("tool_call", '{"city":"Rome"}'),
        ("tool_output", '{"sky":"clear"}'),
        ("agent", "It is sunny."),
    ]
    first = talk.types()[talk.types().index("response.created") :]
    assert first[:8] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    assert talk.of("response.function_call_arguments.done")[0]["name"] == "weather"
    assert talk.responses()[0]["usage"]["total_tokens"] == 13


def test_speech_and_a_call_of_a_function() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.write("How is the weather?")
        await talk.ask("response.create", "response.done")
        await asyncio.sleep(4.0)

    talk = perform(lambda: silent(answer=[*text("Let me look."), CALL]), script, golden="speech-and-call")
    message, call = talk.responses()[0]["output"]
    assert (message["type"], call["type"]) == ("message", "function_call")
    assert [item["content"][0]["transcript"] for item in (message,)] == ["Let me look."]
    assert talk.oracle.items == ["item_1", message["id"], call["id"]]


# ---------------------------------------------------------------- push-to-talk


def test_push_to_talk() -> None:
    async def script(talk: RealtimeStage) -> None:
        for _ in range(50):
            await talk.append(0.02)
        await talk.send("input_audio_buffer.commit")
        # In one breath: everything comes behind the turn.
        await talk.send("conversation.item.create", item={"type": "message", "role": "system", "content": []})
        await talk.send("response.create")
        await talk.until("response.done")
        await asyncio.sleep(2.0)

    talk = perform(
        lambda: RealtimeStage(["hello there"], "I am fine.", session=PUSH_TO_TALK, muted=True), script, golden="push-to-talk"
    )
    assert talk.types()[1:5] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
    ]
    usage = talk.of("conversation.item.input_audio_transcription.completed")[0]["usage"]
    assert usage == {"type": "duration", "seconds": 1.0}
    assert talk.history() == [("user", "hello there"), ("system", ""), ("agent", "I am fine.")]


def test_two_commits_in_one_breath() -> None:
    """What is said while the first is being transcribed belongs to the second."""

    async def script(talk: RealtimeStage) -> None:
        for _ in range(2):
            await talk.append(0.6)
            await talk.send("input_audio_buffer.commit")
        await talk.until("conversation.item.input_audio_transcription.completed")
        await talk.until("conversation.item.input_audio_transcription.completed")

    talk = perform(lambda: RealtimeStage(["one two", "three four"], session=PUSH_TO_TALK, muted=True), script)
    assert talk.history() == [("user", "one two"), ("user", "three four")]


def test_too_little_cannot_be_committed() -> None:
    async def script(talk: RealtimeStage) -> None:
        error = await talk.refused("input_audio_buffer.commit")
        assert error["code"] == "input_audio_buffer_commit_empty"
        await talk.append(0.05)
        error = await talk.refused("input_audio_buffer.commit")
        assert "50.00ms" in error["message"]
        await talk.append(0.05)
        await talk.ask("input_audio_buffer.commit", "input_audio_buffer.committed")
        await talk.append(0.5)
        await talk.ask("input_audio_buffer.clear", "input_audio_buffer.cleared")
        error = await talk.refused("input_audio_buffer.commit")
        assert error["code"] == "input_audio_buffer_commit_empty"

    perform(lambda: RealtimeStage(["one"], session=PUSH_TO_TALK, muted=True), script)


def test_silence_that_is_committed_leaves_no_item() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.append(0.5, loud=False)
        await talk.send("input_audio_buffer.commit")
        await talk.until("conversation.item.deleted")
        await talk.write("Then by text.")

    talk = perform(lambda: RealtimeStage(session=PUSH_TO_TALK, muted=True), script)
    assert talk.history() == [("user", "Then by text.")]


def test_a_commit_while_the_server_listens_for_the_end() -> None:
    async def script(talk: RealtimeStage) -> None:
        talk._loud_s = 3.0
        await asyncio.sleep(1.0)
        await talk.ask("input_audio_buffer.commit", "input_audio_buffer.committed")
        talk._loud_s = 0.0
        await talk.until("response.done")

    talk = perform(lambda: RealtimeStage(["one two three"]), script)
    assert talk.history()[0][0] == "user"


def test_from_server_vad_to_push_to_talk_in_the_middle_of_speech() -> None:
    async def script(talk: RealtimeStage) -> None:
        talk._loud_s = 3.0
        await talk.until("input_audio_buffer.speech_started")
        await talk.update(audio={"input": {"turn_detection": None}})
        await asyncio.sleep(1.0)
        await talk.ask("input_audio_buffer.commit", "input_audio_buffer.committed")
        await talk.ask("response.create", "response.done")
        talk._muted = True
        await asyncio.sleep(5.0)

    talk = perform(lambda: RealtimeStage(["one two three"]), script)
    assert [role for role, _ in talk.history()] == ["user", "agent"]


# ---------------------------------------------------------------- beside the conversation


def test_an_answer_beside_the_conversation() -> None:
    async def script(talk: RealtimeStage) -> None:
        item = await talk.write("I like blue.")
        asked = {
            "conversation": "none",
            "output_modalities": ["text"],
            "metadata": {"topic": "colour"},
            "input": [
                {"type": "item_reference", "id": item},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Which?"}]},
            ],
        }
        await talk.ask("response.create", "response.done", response=asked)
        error = await talk.refused(
            "response.create", response={"conversation": "none", "input": [{"type": "item_reference", "id": "x"}]}
        )
        assert error["code"] == "response_input_invalid_item_id"

    talk = perform(lambda: silent(answer="Blue."), script, golden="out-of-band")
    (response,) = talk.responses()
    assert response["conversation_id"] is None
    assert response["output"][0]["content"] == [{"type": "output_text", "text": "Blue."}]
    assert talk.history() == [("user", "I like blue.")]
    assert [message.content for message in talk.llm.requests[0].messages[1:]] == ["I like blue.\nWhich?"]


def test_without_input_it_reads_the_conversation() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.write("I like blue.")
        await talk.ask("response.create", "response.done", response={"conversation": "none", "output_modalities": ["text"]})
        await talk.ask(
            "response.create", "response.done", response={"conversation": "none", "input": [], "output_modalities": ["text"]}
        )

    talk = perform(lambda: silent(), script)
    assert [len(request.messages) for request in talk.llm.requests] == [2, 1]


@pytest.mark.parametrize("codec", ["audio/pcm", "audio/pcmu"])
def test_beside_the_conversation_by_voice(codec: str) -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.update(audio={"output": {"format": {"type": codec}}})
        await talk.ask("response.create", "response.done", response={"conversation": "none"})

    talk = perform(lambda: silent(answer="One two three.", tts=FakeTts(word_s=0.5)), script)
    per_s = 48_000 if codec == "audio/pcm" else 8_000
    assert talk.audio_bytes() == pytest.approx(1.5 * per_s, abs=0.01 * per_s)
    assert max(len(base64.b64decode(event["delta"])) for event in talk.of("response.output_audio.delta")) <= 0.3 * per_s
    assert talk.history() == []


def test_a_call_of_a_function_beside_the_conversation() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.ask("response.create", "response.done", response={"conversation": "none", "tools": [WEATHER]})

    talk = perform(lambda: silent(answer=[CALL]), script)
    assert talk.responses()[0]["output"][0]["name"] == "weather"
    assert talk.oracle.items == []


@pytest.mark.parametrize("failure", [EngineFailed("No", engine="fake", code="llm.failed"), ValueError("a bug")])
def test_beside_the_conversation_something_fails(failure: Exception) -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.ask("response.create", "response.done", response={"conversation": "none"})

    talk = perform(lambda: silent(answer=failure), script)
    assert talk.responses()[0]["status"] == "failed"


def test_many_beside_the_conversation() -> None:
    """And one in it, at the same time. What runs at the end is told to be cancelled."""

    async def script(talk: RealtimeStage) -> None:
        talk.llm.delay_s = 30.0
        created = [await talk.ask("response.create", "response.created", response={"conversation": "none"}) for _ in range(4)]
        error = await talk.refused("response.create", response={"conversation": "none"})
        assert error["code"] == "rate_limit_exceeded"
        await talk.ask("response.create", "response.created")
        done = await talk.ask("response.cancel", "response.done", response_id=created[0]["response"]["id"])
        assert done["response"]["id"] == created[0]["response"]["id"]

    talk = perform(lambda: silent(), script)
    assert [response["status"] for response in talk.responses()] == ["cancelled"] * 5


# ---------------------------------------------------------------- create and cancel


def test_one_response_at_a_time() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.write("How are you?")
        await talk.ask("response.create", "response.created")
        error = await talk.refused("response.create")
        assert error["code"] == "conversation_already_has_active_response"
        await talk.until("response.done")
        # It is told completely, and still being played: the next one may be asked for.
        await talk.ask("response.create", "response.created")
        await talk.until("response.done")

    talk = perform(lambda: silent(), script)
    assert len(talk.responses()) == 2


def test_cancelling() -> None:
    async def script(talk: RealtimeStage) -> None:
        error = await talk.refused("response.cancel")
        assert error["code"] == "response_cancel_not_active"
        assert error["message"].startswith("Cancellation failed")
        await talk.write("How are you?")
        created = await talk.ask("response.create", "response.created")
        await talk.refused("response.cancel", response_id="resp_other")
        await talk.ask("response.cancel", "response.done", response_id=created["response"]["id"])
        await talk.refused("response.cancel")
        await talk.ask("response.create", "response.done")
        await asyncio.sleep(6.0)

    talk = perform(lambda: silent(), script, golden="cancel")
    first, second = talk.responses()
    assert first["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert second["status"] == "completed"


def test_a_response_that_waits_for_the_person_can_be_cancelled() -> None:
    async def script(talk: RealtimeStage) -> None:
        talk._loud_s = 2.0
        await talk.until("input_audio_buffer.speech_started")
        await talk.ask("response.create", "response.created")
        await talk.ask("response.cancel", "response.done")
        await talk.until("response.done")

    talk = perform(lambda: RealtimeStage(["one two three"]), script)
    assert [response["status"] for response in talk.responses()] == ["cancelled", "completed"]


def test_a_response_that_waits_for_the_person_answers_their_turn() -> None:
    async def script(talk: RealtimeStage) -> None:
        talk._loud_s = 1.0
        await talk.until("input_audio_buffer.speech_started")
        await talk.ask("response.create", "response.created", response={"metadata": {"a": "b"}})
        await talk.until("response.done")
        await asyncio.sleep(6.0)

    talk = perform(lambda: RealtimeStage(["one two three"]), script)
    (response,) = talk.responses()
    assert response["metadata"] == {"a": "b"}
    assert [role for role, _ in talk.history()] == ["user", "agent"]


# ---------------------------------------------------------------- items


def test_items_are_put_where_the_client_wants_them() -> None:
    async def script(talk: RealtimeStage) -> None:
        first = await talk.write("first")
        await talk.write("head", previous_item_id="root")
        await talk.write("second", previous_item_id=first)
        await talk.write("last")
        item = {"id": "mine", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]}
        await talk.ask("conversation.item.create", "conversation.item.done", item=item)
        error = await talk.refused("conversation.item.create", item=item)
        assert (error["code"], error["param"]) == ("item_create_duplicate_item_id", "item.id")
        error = await talk.refused("conversation.item.create", item={**item, "id": "other"}, previous_item_id="nobody")
        assert (error["code"], error["param"]) == ("item_create_invalid_previous_item_id", "previous_item_id")
        error = await talk.refused("conversation.item.retrieve", item_id="nobody")
        assert error["code"] == "item_retrieve_invalid_item_id"
        error = await talk.refused("conversation.item.delete", item_id="nobody")
        assert error["code"] == "item_delete_invalid_item_id"
        await talk.ask("conversation.item.delete", "conversation.item.deleted", item_id=first)
        await talk.refused("conversation.item.retrieve", item_id=first)
        answer = await talk.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id="mine")
        assert answer["item"]["content"] == [{"type": "output_text", "text": "Hi."}]

    talk = perform(lambda: silent(), script, golden="items")
    assert [said for _, said in talk.history()] == ["head", "second", "last", "Hi."]


def test_an_id_that_is_promised_to_a_turn_is_taken() -> None:
    async def script(talk: RealtimeStage) -> None:
        talk._loud_s = 1.0
        started = await talk.until("input_audio_buffer.speech_started")
        item = {"id": started["item_id"], "type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
        error = await talk.refused("conversation.item.create", item=item)
        assert error["code"] == "item_create_duplicate_item_id"
        await talk.until("response.done")

    perform(lambda: RealtimeStage(["one two three"]), script)


def test_an_item_needs_words() -> None:
    async def script(talk: RealtimeStage) -> None:
        for content in ([{"type": "input_audio", "audio": "AAAA"}], [{"type": "input_image", "image_url": "x"}]):
            item = {"type": "message", "role": "user", "content": content}
            assert (await talk.refused("conversation.item.create", item=item))["param"] == "item.content"
        item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": "Hello."}]}
        await talk.ask("conversation.item.create", "conversation.item.done", item=item)

    talk = perform(lambda: silent(), script)
    assert talk.history() == [("user", "Hello.")]


def test_truncating() -> None:
    async def script(talk: RealtimeStage) -> None:
        item = await talk.write("How are you?")
        place = {"content_index": 0, "audio_end_ms": 700}
        for name in (item, "nobody"):
            error = await talk.refused("conversation.item.truncate", item_id=name, **place)
            assert error["code"] == "item_truncate_invalid_item_id"
        await talk.ask("response.create", "response.done")
        # While it plays: it ends there.
        await talk.ask("conversation.item.truncate", "conversation.item.truncated", item_id="item_2", **place)
        await talk.ask("response.create", "response.done")
        await asyncio.sleep(6.0)
        # Long over: clamped to what there was.
        told = await talk.ask(
            "conversation.item.truncate", "conversation.item.truncated", item_id="item_3", content_index=0, audio_end_ms=99_000
        )
        assert told["audio_end_ms"] == 3900
        await talk.ask(
            "conversation.item.truncate", "conversation.item.truncated", item_id="item_3", content_index=0, audio_end_ms=1000
        )

    talk = perform(lambda: silent(), script)
    assert talk.history()[1:] == [("agent", "I am"), ("agent", "I am fine,")]


def test_deleting_what_is_being_said() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.write("How are you?")
        await talk.ask("response.create", "response.output_audio.delta")
        await asyncio.sleep(0.7)
        await talk.ask("conversation.item.delete", "conversation.item.deleted", item_id="item_2")

    class Slow(FakeTts):
        def __init__(self) -> None:
            super().__init__(delay_s=0.6)

    talk = perform(lambda: silent(tts=Slow()), script)
    assert talk.responses()[0]["status_details"]["reason"] == "client_cancelled"
    assert talk.history() == [("user", "How are you?")]


# ---------------------------------------------------------------- formats, transcription


@pytest.mark.parametrize("codec", ["audio/pcmu", "audio/pcma"])
def test_telephone_audio_both_ways(codec: str) -> None:
    session = {
        "type": "realtime",
        "audio": {
            "input": {"format": {"type": codec}, "turn_detection": {"type": "server_vad"}},
            "output": {"format": {"type": codec}},
        },
    }

    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.2)
        await talk.until("response.done")

    talk = perform(lambda: RealtimeStage(["one two three"], "I am fine.", session=session), script)
    assert talk.audio_bytes() == pytest.approx(0.9 * 8000, abs=16)
    assert talk.responses()[0]["audio"]["output"]["format"] == {"type": codec}


def test_a_session_that_only_writes_down() -> None:
    session = {"type": "transcription", "audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 3000}}}}

    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.2)
        await talk.until("conversation.item.input_audio_transcription.completed")
        await talk.until("input_audio_buffer.timeout_triggered")
        assert (await talk.refused("response.create"))["code"] == "unsupported_event"
        assert (await talk.refused("session.update", session={"type": "realtime"}))["param"] == "session.type"
        await talk.ask("session.update", "session.updated", session={"audio": {"input": {"transcription": {"language": "en"}}}})

    talk = perform(lambda: RealtimeStage(["one two three"], session=session), script, golden="transcription-session")
    assert not talk.responses()
    assert talk.seen[0].event["session"]["object"] == "realtime.transcription_session"
    assert talk.history() == [("user", "one two three")]
