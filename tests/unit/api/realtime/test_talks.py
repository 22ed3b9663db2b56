"""Whole talks over the protocol: what is told, in which order, and what the conversation then holds."""

import asyncio

from tests.realtime_stage import VAD, RealtimeStage, perform
from voice_agent.engines.fakes import FakeTts
from voice_agent.errors import EngineFailed

TRANSCRIBED = {
    "type": "realtime",
    "audio": {"input": {"turn_detection": VAD, "transcription": {"model": "whisper-1"}}},
}
ANSWER = "I am fine, thanks for asking. What else can I do for you?"

TURN = [
    "input_audio_buffer.speech_started",
    "conversation.item.input_audio_transcription.delta",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.input_audio_transcription.completed",
]
SPOKEN_REPLY = [
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


def test_a_turn_by_voice() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.2)
        await talk.until("response.done")
        await asyncio.sleep(5.0)

    talk = perform(lambda: RealtimeStage(["hello there my friend"], session=TRANSCRIBED), script, golden="voice-turn")
    assert talk.types() == ["session.created", *TURN, *SPOKEN_REPLY]
    assert talk.history() == [("user", "hello there my friend"), ("agent", ANSWER)]
    assert talk.oracle.deltas["item_1"] == "hello there my friend"
    (response,) = talk.responses()
    assert response["status"] == "completed"
    assert response["usage"]["output_tokens"] == len(ANSWER.split())
    assert talk.audio_bytes() == len(ANSWER.split()) * round(0.3 * 24_000) * 2


def test_a_turn_is_not_transcribed_unless_that_is_wanted() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.2)
        await talk.until("response.done")

    talk = perform(lambda: RealtimeStage(["hello there my friend"]), script)
    assert not [kind for kind in talk.types() if "transcription" in kind]


def test_a_pause_in_a_turn_is_told_once() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.says(0.6)
        await asyncio.sleep(0.3)
        await talk.says(0.6)
        await talk.until("response.done")

    talk = perform(lambda: RealtimeStage(["one two three four five"], session=TRANSCRIBED), script)
    assert len(talk.of("input_audio_buffer.speech_started")) == len(talk.of("input_audio_buffer.speech_stopped")) == 1
    assert len(talk.of("conversation.item.input_audio_transcription.completed")) == 1


def test_deltas_only_append() -> None:
    """Words that the recogniser takes back are told by `completed`."""

    async def script(talk: RealtimeStage) -> None:
        await talk.says(2.4)
        await talk.until("response.done")

    talk = perform(lambda: RealtimeStage(["one two three four five six seven eight"], session=TRANSCRIBED), script)
    deltas = [event["delta"] for event in talk.of("conversation.item.input_audio_transcription.delta")]
    assert len(deltas) > 4
    assert "one two three four five six seven eight".startswith("".join(deltas))


# ---------------------------------------------------------------- interruptions


def test_a_barge_in_after_the_response_was_told_completely() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.0)
        await talk.until("response.done")
        await asyncio.sleep(1.45)
        talk._loud_s = 1.2
        await talk.until("input_audio_buffer.speech_started")
        await talk.ask(
            "conversation.item.truncate", "conversation.item.truncated", item_id="item_2", content_index=0, audio_end_ms=1000
        )
        retrieved = await talk.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id="item_2")
        assert retrieved["item"]["content"] == [{"type": "output_audio", "transcript": "I am fine,"}]
        await talk.until("response.done")
        retrieved = await talk.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id="item_2")
        assert retrieved["item"]["status"] == "incomplete"

    talk = perform(lambda: RealtimeStage(["how are you", "no stop that please"]), script, golden="barge-in")
    assert talk.history()[1] == ("agent", "I am fine,")
    assert [response["status"] for response in talk.responses()] == ["completed", "completed"]


class SlowTts(FakeTts):
    """Audio that comes no faster than it is played: the response is open while the agent speaks."""

    def __init__(self) -> None:
        super().__init__(delay_s=0.6)


def _slow(said: list[str | Exception]) -> RealtimeStage:
    return RealtimeStage(said, session=TRANSCRIBED, tts=SlowTts())


def test_a_barge_in_while_the_response_is_open() -> None:
    """Speech is told first, no audio after it, and the response ends with what was heard."""

    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.0)
        await talk.until("response.output_audio.delta")
        await asyncio.sleep(0.7)
        talk._loud_s = 1.2
        await talk.until("response.done")
        start = len(talk.seen)
        await talk.until("response.done", start=start)

    talk = perform(lambda: _slow(["how are you", "no stop that please"]), script, golden="barge-in-open")
    first = talk.responses()[0]
    assert first["status"] == "cancelled"
    assert first["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    (item,) = first["output"]
    assert item["status"] == "incomplete"
    assert talk.history()[1] == ("agent", item["content"][0]["transcript"])
    kinds = talk.types()
    assert kinds.index("response.done") > [i for i, kind in enumerate(kinds) if kind.endswith("speech_started")][1]


def test_a_reply_of_which_nothing_was_heard_stays_where_it_was_told() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.0)
        await talk.until("response.done")
        await talk.says(1.2)
        await talk.until("response.done")
        await talk.ask(
            "conversation.item.truncate", "conversation.item.truncated", item_id="item_2", content_index=0, audio_end_ms=10
        )
        answer = await talk.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id="item_2")
        assert answer["item"]["content"] == [{"type": "output_audio", "transcript": ""}]

    talk = perform(lambda: RealtimeStage(["how are you", "no stop that please"], tts=FakeTts(word_s=3.0)), script)
    assert [role for role, _ in talk.history()] == ["user", "agent", "user", "agent"]
    assert talk.history()[1] == ("agent", "")


def test_a_backchannel_is_not_told_as_speech() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.0)
        await talk.until("response.done")
        await asyncio.sleep(1.0)
        await talk.says(0.3)
        await asyncio.sleep(6.0)

    talk = perform(lambda: RealtimeStage(["how are you", "mhm"]), script)
    assert len(talk.of("input_audio_buffer.speech_started")) == 1
    assert len(talk.responses()) == 1
    assert talk.history()[1] == ("agent", ANSWER)


def test_after_a_false_barge_in_the_rest_is_another_response() -> None:
    """It was noise: the client has dropped the audio, and gets the rest from the word that it heard last."""

    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.0)
        await talk.until("response.done")
        await asyncio.sleep(1.45)
        talk._loud_s = 0.8
        await talk.until("input_audio_buffer.speech_started")
        told = await talk.ask(
            "conversation.item.truncate", "conversation.item.truncated", item_id="item_2", content_index=0, audio_end_ms=1300
        )
        assert told["audio_end_ms"] == 1300
        await talk.until("response.created")
        answer = await talk.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id="item_2")
        assert answer["item"]["content"][0]["transcript"] == "I am fine, thanks"
        await asyncio.sleep(6.0)
        answer = await talk.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id="item_2_2")
        assert answer["item"]["content"][0]["transcript"] == "for asking. What else can I do for you?"
        # A late truncation of the first piece does not take back the second.
        told = await talk.ask(
            "conversation.item.truncate", "conversation.item.truncated", item_id="item_2", content_index=0, audio_end_ms=9000
        )
        assert told["audio_end_ms"] == 1200
        told = await talk.ask(
            "conversation.item.truncate", "conversation.item.truncated", item_id="item_2_2", content_index=0, audio_end_ms=650
        )
        assert told["audio_end_ms"] == 650
        await talk.write("And then?")

    talk = perform(lambda: RealtimeStage(["how are you", ""]), script, golden="false-barge-in")
    assert [response["status"] for response in talk.responses()] == ["completed", "completed"]
    assert talk.responses()[1]["metadata"] == {"continues_item": "item_2"}
    assert talk.oracle.items == ["item_1", "item_2", "item_2_2", "item_4"]
    assert talk.history()[1] == ("agent", "I am fine, thanks for asking.")


def test_a_false_barge_in_while_the_response_is_open() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.0)
        await talk.until("response.output_audio.delta")
        await asyncio.sleep(0.7)
        talk._loud_s = 0.8
        await talk.until("response.done")
        await asyncio.sleep(8.0)

    talk = perform(lambda: _slow(["how are you", ""]), script)
    first, second = talk.responses()
    assert (first["status"], second["status"]) == ("cancelled", "completed")
    said = [response["output"][0]["content"][0]["transcript"] for response in (first, second)]
    assert " ".join(said) == ANSWER
    assert talk.history()[1] == ("agent", ANSWER)


def test_speech_over_the_agent_is_told_at_once_where_it_does_not_interrupt() -> None:
    session = {"type": "realtime", "audio": {"input": {"turn_detection": {**VAD, "interrupt_response": False}}}}

    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.0)
        await talk.until("response.done")
        await asyncio.sleep(0.5)
        await talk.says(1.0)
        await talk.until("response.done")

    talk = perform(lambda: RealtimeStage(["how are you", "one two three"], session=session), script)
    assert len(talk.of("input_audio_buffer.speech_started")) == 2
    assert talk.history()[1] == ("agent", ANSWER)


# ---------------------------------------------------------------- failures


def test_a_reply_that_fails() -> None:
    def answer(_request: object) -> str | Exception:
        return EngineFailed("No answer", engine="fake", code="llm.rate_limited")

    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.0)
        await talk.until("response.done")
        await asyncio.sleep(4.0)

    talk = perform(lambda: RealtimeStage(["how are you"], answer), script, golden="failed-reply")
    failed, notice = talk.responses()
    assert failed["status"] == "failed"
    assert failed["status_details"]["error"]["code"] == "llm.rate_limited"
    assert notice["status"] == "completed"
    assert failed["output"] == []


def test_a_reply_that_fails_half_way() -> None:
    class Breaks(FakeTts):
        async def speak(self, request, *, session):  # type: ignore[no-untyped-def]
            if self.spoken:
                raise EngineFailed("Broken", engine="fake", code="tts.failed")
            async for chunk in super().speak(request, session=session):
                yield chunk

    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.0)
        await talk.until("response.done")
        await asyncio.sleep(9.0)

    talk = perform(lambda: RealtimeStage(["how are you"], tts=Breaks()), script)
    assert talk.responses()[0]["status"] == "failed"
    assert talk.responses()[0]["status_details"]["error"]["code"] == "tts.failed"


def test_a_transcription_that_fails_leaves_no_item() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.append(1.0)
        await talk.send("input_audio_buffer.commit")
        await talk.until("conversation.item.input_audio_transcription.failed")

    failure = EngineFailed("Deaf", engine="fake", code="stt.failed")
    session = {"type": "realtime", "audio": {"input": {"turn_detection": None, "transcription": {"model": "x"}}}}
    talk = perform(lambda: RealtimeStage([failure], session=session, muted=True), script, golden="failed-transcription")
    assert talk.of("conversation.item.deleted")
    assert talk.oracle.items == []


def test_the_session_ends_in_the_middle() -> None:
    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.0)
        await talk.until("response.output_audio.delta")
        await asyncio.sleep(0.5)
        talk._loud_s = 9.0
        await asyncio.sleep(0.3)

    talk = perform(lambda: _slow(["how are you", "no stop that please"]), script)
    assert talk.responses()[-1]["status"] == "cancelled"


def test_the_session_ends_while_a_response_is_asked_for() -> None:
    async def script(talk: RealtimeStage) -> None:
        talk._loud_s = 9.0
        await talk.until("input_audio_buffer.speech_started")
        await talk.ask("response.create", "response.created")

    talk = perform(lambda: RealtimeStage(["how are you"]), script)
    assert talk.responses()[-1]["status"] == "cancelled"


def test_silence_for_too_long() -> None:
    session = {"type": "realtime", "audio": {"input": {"turn_detection": {**VAD, "idle_timeout_ms": 5000}}}}

    async def script(talk: RealtimeStage) -> None:
        await talk.until("input_audio_buffer.timeout_triggered")
        await talk.until("response.done")

    talk = perform(lambda: RealtimeStage(session=session), script, golden="idle")
    (event,) = talk.of("input_audio_buffer.timeout_triggered")
    assert 4900 <= event["audio_end_ms"] - event["audio_start_ms"] <= 5100
    assert len(talk.responses()) == 1
