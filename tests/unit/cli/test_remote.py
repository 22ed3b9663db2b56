"""A conversation on a server, as the client of `talk --url` holds it: on virtual time, with a server of a script."""

import asyncio
import contextlib
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from typing import Any, cast

import numpy as np
import pytest

from tests.virtual_time import run_virtual
from voice_agent.audio.pcm import Samples
from voice_agent.cli.remote import RemoteConversation, conversing
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.errors import InputError, TransportError, VoiceAgentError
from voice_agent.session.report import TurnReport
from voice_agent.session.session import Observed
from voice_agent.transports.in_memory import InMemoryTransport
from voice_agent.transports.remote import RemoteLink

RATE = 24_000


class ScriptedLink:
    """`tell` is the server; `sent` what the client said."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self._events: asyncio.Queue[dict[str, Any] | VoiceAgentError] = asyncio.Queue()
        self.tell("session.created", session={"id": "sess_1"})

    async def send(self, kind: str, **fields: Any) -> None:
        self.sent.append({"type": kind, **fields})

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        while True:
            event = await self._events.get()
            if isinstance(event, VoiceAgentError):
                raise event
            yield event

    def tell(self, kind: str, **fields: Any) -> None:
        self._events.put_nowait({"type": kind, **fields})

    def break_off(self) -> None:
        self._events.put_nowait(TransportError("The connection was lost", code="transport.lost"))

    def audio(self, seconds: float, *, item: str = "item_2") -> None:
        pcm = np.full(round(seconds * RATE), 1000, dtype="<i2").tobytes()
        for start in range(0, len(pcm), 9600):
            self.tell("response.output_audio.delta", item_id=item, delta=b64encode(pcm[start : start + 9600]).decode())

    def reply(self, *, interrupted: bool = False, heard: str = "One two.", failed: str = "") -> None:
        self.tell(
            "voice_agent.reply", response_id="resp_1", turn=1, user_text="", reply_text="One two. Three.", heard_text=heard,
            interrupted=interrupted, failed=failed, engines={}, waterfall_ms={"llm": 5.0}, voice_to_voice_ms=5.0,
            speculation={"hit": True, "wasted_tokens": 0, "drafts": 0},
        )  # fmt: skip

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.sent if event["type"] == kind]


class Stage:
    def __init__(self) -> None:
        self.link = ScriptedLink()
        self.card = InMemoryTransport(tap=self._hear)
        self.seen: list[Observed] = []
        self.loud_s = 0.0

    def _hear(self, _microphone: Samples, agent: Any) -> None:
        self.loud_s += np.count_nonzero(agent) / RATE

    @contextlib.asynccontextmanager
    async def talk(self) -> AsyncIterator[RemoteConversation]:
        async with conversing(cast(RemoteLink, self.link), self.card, lambda _now, what: self.seen.append(what)) as conversation:
            yield conversation

    def all(self, kind: type) -> list[Any]:
        return [what for what in self.seen if isinstance(what, kind)]


def is_busy(conversation: RemoteConversation) -> bool:
    return conversation.busy


def test_the_microphone_is_sent_in_real_time_at_24_khz() -> None:
    async def script() -> None:
        stage = Stage()
        async with stage.talk():
            stage.card.say(np.full(16_000, 0.1, dtype=np.float32))
            await asyncio.sleep(2.0)
        appended = stage.link.of("input_audio_buffer.append")
        samples = np.concatenate([np.frombuffer(b64decode(event["audio"]), dtype="<i2") for event in appended])
        assert samples.size == pytest.approx(2.0 * RATE, abs=0.05 * RATE)
        assert np.count_nonzero(np.abs(samples) > 3000) == pytest.approx(RATE, abs=0.01 * RATE)

    run_virtual(script())


def test_a_reply_is_played_by_the_card_and_keeps_the_talk_busy() -> None:
    async def script() -> None:
        stage = Stage()
        async with stage.talk() as conversation:
            await asyncio.sleep(2.0)
            assert not is_busy(conversation)
            stage.link.tell("response.created", response={"id": "resp_1", "metadata": None})
            stage.link.audio(1.0)  # the server sends faster than anybody hears
            await asyncio.sleep(0.5)
            assert is_busy(conversation)
            assert stage.all(on.PlayoutStarted)
            stage.link.reply()
            await asyncio.sleep(0.1)
            assert is_busy(conversation)
            await asyncio.sleep(0.6)
            assert not is_busy(conversation)
        assert stage.loud_s == pytest.approx(1.0)
        (report,) = stage.all(TurnReport)
        assert (report.heard_text, report.waterfall_ms) == ("One two.", {"llm": 5.0})
        assert not stage.link.of("conversation.item.truncate")

    run_virtual(script())


def test_a_barge_in_silences_at_once_and_tells_what_was_heard() -> None:
    async def script() -> None:
        stage = Stage()
        async with stage.talk() as conversation:
            stage.link.audio(3.0)
            await asyncio.sleep(1.0)
            stage.link.tell("input_audio_buffer.speech_started", item_id="item_3", audio_start_ms=0)
            stage.link.tell("voice_agent.playout.paused", response_id="resp_1")
            await asyncio.sleep(0.2)
            assert conversation.busy
            assert not stage.link.of("conversation.item.truncate")  # it may go on
            stage.link.reply(interrupted=True, heard="One")
            await asyncio.sleep(0.1)
        (told,) = stage.link.of("conversation.item.truncate")
        assert told["item_id"] == "item_2"
        assert told["audio_end_ms"] == pytest.approx(stage.loud_s * 1000, abs=1)
        assert stage.loud_s == pytest.approx(1.0, abs=0.05)
        assert stage.all(do.PausePlayout)

    run_virtual(script())


def test_after_a_false_barge_in_it_goes_on_and_nothing_is_truncated() -> None:
    async def script() -> None:
        stage = Stage()
        async with stage.talk():
            stage.link.tell("response.created", response={"id": "resp_1", "metadata": None})
            stage.link.audio(2.0)
            await asyncio.sleep(1.0)
            stage.link.tell("voice_agent.playout.paused", response_id="resp_1")
            await asyncio.sleep(0.5)
            stage.link.tell("voice_agent.playout.resumed", response_id="resp_1")
            stage.link.tell("response.created", response={"id": "resp_2", "metadata": {"continues_item": "item_2"}})
            stage.link.audio(1.2, item="item_2_2")
            await asyncio.sleep(2.0)
            stage.link.reply()
            await asyncio.sleep(0.1)
        assert not stage.link.of("conversation.item.truncate")
        assert stage.loud_s == pytest.approx(2.2, abs=0.05)
        assert len(stage.all(on.PlayoutStarted)) == 1  # it is one reply
        assert [report.reply_id for report in stage.all(TurnReport)] == [1]

    run_virtual(script())


def test_what_was_cut_twice_is_not_reckoned_by_us() -> None:
    """After a pause the server says a word again, so the time that was heard is no place in the reply."""

    async def script() -> None:
        stage = Stage()
        async with stage.talk():
            stage.link.audio(2.0)
            await asyncio.sleep(1.0)
            stage.link.tell("voice_agent.playout.paused", response_id="resp_1")
            stage.link.tell("voice_agent.playout.resumed", response_id="resp_1")
            stage.link.audio(1.2)
            await asyncio.sleep(0.5)
            stage.link.tell("input_audio_buffer.speech_started", item_id="item_3", audio_start_ms=0)
            stage.link.reply(interrupted=True)
            await asyncio.sleep(0.1)
        assert not stage.link.of("conversation.item.truncate")

    run_virtual(script())


def test_turns_and_partials_are_told_as_those_of_a_session_here() -> None:
    async def script() -> None:
        stage = Stage()
        async with stage.talk() as conversation:
            await asyncio.sleep(2.0)
            stage.link.tell("voice_agent.partial", item_id="item_1", text="my na", stable_words=1, confidence=0.5)
            await asyncio.sleep(0.1)
            assert conversation.busy
            stage.link.tell("voice_agent.turn", item_id="item_1", text="My name.", confidence=0.9, language="en")
            stage.link.tell("voice_agent.state", state="thinking")
            stage.link.tell("voice_agent.heard", response_id="resp_1", item_id="item_2", text="One", words=[])
            stage.link.tell("voice_agent.something.new", anything=1)
            stage.link.reply(failed="llm.slow")
            await asyncio.sleep(0.1)
            assert conversation.last_failure is not None
            assert conversation.last_failure.code == "llm.slow"
        (partial,) = stage.all(on.TranscriptPartial)
        assert (partial.text, partial.stable_words) == ("my na", 1)
        (turn,) = stage.all(do.CommitTurn)
        assert (turn.text, turn.confidence, turn.by_text) == ("My name.", 0.9, False)
        (report,) = stage.all(TurnReport)
        assert (report.user_text, report.confidence, report.language) == ("My name.", 0.9, "en")
        assert [advance.heard for advance in stage.all(on.PlayoutAdvanced)] == ["One"]

    run_virtual(script())


def test_a_typed_turn_asks_for_a_reply() -> None:
    async def script() -> None:
        stage = Stage()
        async with stage.talk():
            stage.card.type_text("hello")
            await asyncio.sleep(0.1)
            stage.link.reply()
            await asyncio.sleep(0.1)
        (item,) = stage.link.of("conversation.item.create")
        assert item["item"]["content"] == [{"type": "input_text", "text": "hello"}]
        assert len(stage.link.of("response.create")) == 1
        assert stage.all(do.CommitTurn)[0].by_text
        assert stage.all(TurnReport)[0].user_text == "hello"

    run_virtual(script())


def test_a_refusal_is_kept_and_that_of_the_voice_ends_the_talk() -> None:
    async def script() -> None:
        stage = Stage()
        async with stage.talk() as conversation:
            stage.link.tell("error", error={"message": "The item is gone", "event_id": "truncate"})
            await asyncio.sleep(0.1)
            assert conversation.last_failure is None
            stage.link.tell("error", error={"message": "Not now", "event_id": "reply_1"})
            await asyncio.sleep(0.1)
            assert "Not now" in str(conversation.last_failure)
            await conversation.use_voice("nobody")
            stage.link.tell("error", error={"message": "Unknown voice 'nobody'", "event_id": "voice"})
            await asyncio.sleep(10.0)

    with pytest.raises(ExceptionGroup) as raised:
        run_virtual(script())
    assert raised.group_contains(InputError, match="Unknown voice")


def test_what_is_known_of_an_unfinished_turn_is_told_when_the_connection_breaks() -> None:
    seen: list[Observed] = []

    async def script() -> None:
        stage = Stage()
        stage.seen = seen
        async with stage.talk():
            stage.link.tell("voice_agent.turn", item_id="item_1", text="My name.", confidence=0.9, language="en")
            await asyncio.sleep(0.1)
            stage.link.break_off()
            await asyncio.sleep(10.0)

    with pytest.raises(ExceptionGroup) as raised:
        run_virtual(script())
    assert raised.group_contains(TransportError, match="lost")
    (report,) = [what for what in seen if isinstance(what, TurnReport)]
    assert (report.user_text, report.failed) == ("My name.", "transport.lost")


def test_a_server_that_opens_no_session() -> None:
    async def script() -> None:
        stage = Stage()
        stage.link._events.get_nowait()
        async with stage.talk():
            raise AssertionError("it cannot begin")

    with pytest.raises(ExceptionGroup) as raised:
        run_virtual(script())
    assert raised.group_contains(TransportError, match="opens no session")


def test_more_speech_than_anybody_hears_is_refused() -> None:
    async def script() -> None:
        stage = Stage()
        async with stage.talk():
            stage.link.audio(700.0)
            await asyncio.sleep(10.0)

    with pytest.raises(ExceptionGroup) as raised:
        run_virtual(script())
    assert raised.group_contains(TransportError, match="more speech than can be heard")
