"""Functions that the model calls, items that the client edits, requests with an id, settings that change in mid-turn."""

from collections.abc import Callable

import pytest

from tests.unit.conversation.talk import Talk
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.settings import ConversationSettings, EndpointingSettings, InterruptionSettings
from voice_agent.conversation.state import Listening, Replying
from voice_agent.conversation.transcript import Item, Transcript

WEATHER = '{"city": "Paris"}'
NOT_INTERRUPTED = ConversationSettings(interruption=InterruptionSettings(enabled=False))
MANUAL = ConversationSettings(automatic_turns=False, automatic_replies=False)
LONG_S = 1.0


def call(talk: Talk, call_id: str = "call_1", reply_id: int | None = None) -> list[do.Effect]:
    reply_id = talk.machine.reply.reply_id if reply_id is None else reply_id
    return talk.send(on.ToolCalled(reply_id=reply_id, call_id=call_id, name="weather", arguments=WEATHER))


def insert(talk: Talk, item_id: str, text: str = "Note.", *, after: str | None = None, call_id: str = "") -> list[do.Effect]:
    item = Item(item_id=item_id, role="tool_output" if call_id else "system", text=text, at=0.0, call_id=call_id)
    return talk.send(on.ItemInserted(item=item, after=after))


def ids(talk: Talk) -> tuple[str, ...]:
    return talk.machine.transcript.ids()


def heard(talk: Talk, item_id: str) -> tuple[str, bool]:
    item = talk.machine.transcript[item_id]
    return item.text, item.interrupted


# ---------------------------------------------------------------- functions


class TestCalls:
    def test_a_draft_calls_nothing_until_its_turn_has_ended(self) -> None:
        talk = Talk()
        talk.says("What is the weather in Paris?")
        assert talk.state() is Replying.DRAFT
        call(talk, "call_1")
        call(talk, "call_2")
        assert not talk.of(do.CallTool)
        assert not talk.history()
        talk.audio(2.0)
        assert [made.call_id for made in talk.of(do.CallTool)] == ["call_1", "call_2"]
        order = [type(effect) for effect in talk.all]
        assert order.index(do.CommitTurn) < order.index(do.CommitReply) < order.index(do.CallTool)
        roles = [role for role, _ in talk.history()]
        assert roles == ["user", "agent", "tool_call", "tool_call"]
        made = talk.of(do.CallTool)[0]
        item = talk.machine.transcript[made.item_id]
        assert (made.name, made.arguments, made.reply_id) == ("weather", WEATHER, talk.machine.reply.reply_id)
        assert (item.call_id, item.name, item.text) == ("call_1", "weather", WEATHER)

    def test_a_cancelled_draft_never_calls(self) -> None:
        talk = Talk()
        talk.says("What is the weather?")
        call(talk)
        talk.onset()
        talk.partial("what is the weather in Paris tomorrow")
        assert talk.got(do.CancelReply)
        talk.audio(LONG_S)
        talk.stop()
        talk.final("What is the weather in Paris tomorrow?")
        talk.audio(2.0)
        assert talk.of(do.CommitReply)
        assert not talk.of(do.CallTool)

    def test_a_failed_draft_never_calls(self) -> None:
        talk = Talk()
        talk.says("What is the weather?")
        call(talk)
        talk.breaks()
        talk.audio(2.0)
        assert talk.state() is Replying.COMMITTED
        assert not talk.of(do.CallTool)

    @pytest.mark.parametrize("state", [Replying.COMMITTED, Replying.PLAYING, Replying.HALTED])
    def test_a_committed_reply_calls_at_once(self, state: Replying) -> None:
        talk = Talk()
        talk.turn("What is the weather?")
        if state is not Replying.COMMITTED:
            talk.writes("Let me see.")
            talk.plays("Let me")
        if state is Replying.HALTED:
            talk.onset()
            talk.audio(LONG_S)
        assert talk.state() is state
        call(talk)
        assert talk.got(do.CallTool).call_id == "call_1"
        assert talk.history()[-1] == ("tool_call", WEATHER)
        assert talk.state() is state

    def test_a_call_that_comes_too_late_is_dropped(self) -> None:
        talk = Talk()
        call(talk, reply_id=0)
        talk.answers()
        gone = talk.machine.reply.reply_id
        talk.send(on.ReplyCancelled())
        call(talk, reply_id=gone)
        talk.turn("And the weather?")
        call(talk, reply_id=gone)
        call(talk, reply_id=gone + 7)
        assert not talk.of(do.CallTool)
        assert "tool_call" not in [role for role, _ in talk.history()]

    def test_a_reply_that_is_only_a_call_leaves_the_call(self) -> None:
        talk = Talk()
        talk.turn("What is the weather?")
        call(talk)
        talk.finishes()
        recorded = talk.got(do.RecordReply)
        assert (recorded.heard, recorded.written, recorded.interrupted, recorded.failed) == ("", "", False, "")
        assert talk.history() == [("user", "What is the weather?"), ("tool_call", WEATHER)]
        assert talk.state() is Replying.NONE
        assert not talk.wait(60.0)

    def test_from_the_call_to_the_answer(self) -> None:
        talk = Talk()
        talk.turn("What is the weather?")
        call(talk)
        talk.finishes()
        insert(talk, "out", "Sunny", call_id="call_1")
        talk.send(on.ReplyRequested(request_id="request_1"))
        assert talk.got(do.StartReply).request_id == "request_1"
        talk.writes("It is sunny.")
        talk.plays("It is")
        talk.finishes()
        assert [role for role, _ in talk.history()] == ["user", "tool_call", "tool_output", "agent"]

    def test_a_call_stands_although_the_reply_is_interrupted(self) -> None:
        """It has been made: whatever it does is done."""
        talk = Talk()
        talk.answers(heard="One")
        call(talk)
        talk.send(on.ReplyCancelled())
        assert [role for role, _ in talk.history()] == ["user", "agent", "tool_call"]


class TestRequests:
    def test_the_id_comes_back_when_the_reply_begins(self) -> None:
        talk = Talk()
        talk.onset()
        talk.send(on.ReplyRequested(instructions="Rhyme.", request_id="request_1"))
        assert not talk.of(do.StartReply), "not while somebody speaks"
        talk.audio(LONG_S)
        talk.stop()
        talk.final("Tell me something.")
        talk.audio(2.0)
        [started] = talk.of(do.StartReply)
        assert (started.request_id, started.instructions, started.speculative) == ("request_1", "Rhyme.", False)

    def test_a_draft_does_not_answer_a_request(self) -> None:
        talk = Talk()
        talk.says("Tell me something.")
        drafted = talk.machine.reply.reply_id
        talk.send(on.ReplyRequested(request_id="request_1"))
        assert talk.got(do.CancelReply).reply_id == drafted
        talk.audio(2.0)
        assert [started.request_id for started in talk.of(do.StartReply)] == ["", "request_1"]

    def test_the_newest_request_is_answered(self) -> None:
        talk = Talk()
        talk.answers()
        talk.send(on.ReplyRequested(request_id="request_1"))
        talk.send(on.ReplyRequested(request_id="request_2"))
        talk.finishes()
        assert talk.got(do.StartReply).request_id == "request_2"


# ---------------------------------------------------------------- items


class TestInsertion:
    def start(self) -> Talk:
        talk = Talk()
        for text in ("one", "two"):
            talk.send(on.TextReceived(speaker="user", text=text, reply=False))
        assert ids(talk) == ("item_1", "item_2")
        return talk

    @pytest.mark.parametrize(
        ("after", "there"),
        [
            (None, ("item_1", "item_2", "mine")),
            ("", ("mine", "item_1", "item_2")),
            ("item_1", ("item_1", "mine", "item_2")),
            ("item_2", ("item_1", "item_2", "mine")),
            ("unknown", ("item_1", "item_2")),
        ],
    )
    def test_a_place(self, after: str | None, there: tuple[str, ...]) -> None:
        talk = self.start()
        talk.wait(5.0)
        assert insert(talk, "mine", after=after) == []
        assert ids(talk) == there
        if "mine" in there:
            assert talk.machine.transcript["mine"].at == 5.0

    @pytest.mark.parametrize("item_id", ["item_1", ""])
    def test_an_id_that_is_taken_or_none(self, item_id: str) -> None:
        talk = self.start()
        insert(talk, item_id, "again")
        assert talk.history() == [("user", "one"), ("user", "two")]

    def test_the_id_of_an_open_turn_is_taken(self) -> None:
        talk = Talk()
        talk.onset()
        item_id = talk.machine.speaker("user").item_id
        insert(talk, item_id, "Mine.")
        assert not talk.history()
        talk.stop()
        talk.final("Mine it is.")
        talk.audio(2.0)
        assert talk.machine.transcript[item_id].text == "Mine it is."

    def test_the_id_of_a_turn_that_was_none_is_free(self) -> None:
        talk = Talk()
        talk.onset()
        item_id = talk.machine.speaker("user").item_id
        talk.stop()
        talk.final("")
        insert(talk, item_id, "Mine.")
        assert talk.history() == [("system", "Mine.")]

    def test_a_client_may_take_the_transcripts_next_id(self) -> None:
        talk = self.start()
        insert(talk, talk.machine.transcript.next_id())
        insert(talk, "item_5")
        talk.onset()
        assert talk.machine.speaker("user").item_id == "item_4"
        talk.stop()
        talk.final("")
        talk.onset()
        assert talk.machine.speaker("user").item_id == "item_6"

    def test_a_draft_that_does_not_know_the_item_is_begun_anew(self) -> None:
        talk = Talk()
        talk.says("What is the weather?")
        first = talk.machine.reply.reply_id
        insert(talk, "mine", "It rains.")
        assert talk.got(do.CancelReply).reply_id == first
        assert talk.got(do.StartReply).speculative
        insert(talk, "mine", "again")
        insert(talk, "other", after="unknown")
        assert talk.state() is Replying.DRAFT, "an edit that was dropped changes nothing"
        assert len(talk.of(do.StartReply)) == 2
        talk.audio(2.0)
        assert [role for role, _ in talk.history()] == ["system", "user", "agent"]

    def test_a_text_that_asks_for_no_reply_is_an_edit_too(self) -> None:
        talk = Talk()
        talk.says("What is the weather?", speaker="ann")
        talk.send(on.TextReceived(speaker="bob", text="It rains.", reply=False))
        assert talk.got(do.CancelReply)
        assert talk.got(do.StartReply).speculative

    def test_an_item_breaks_the_silence(self) -> None:
        talk = Talk(ConversationSettings(idle_timeout_s=5.0))
        talk.wait(4.0)
        insert(talk, "mine")
        assert not talk.wait(4.0)
        assert [type(effect) for effect in talk.wait(2.0)] == [do.ReportIdle]


class TestRemoval:
    def test_an_item(self) -> None:
        talk = Talk()
        talk.send(on.TextReceived(speaker="user", text="one", reply=False))
        assert talk.send(on.ItemRemoved(item_id="item_1")) == []
        assert talk.send(on.ItemRemoved(item_id="item_1")) == []
        assert not talk.history()

    def test_of_a_reply_that_is_playing_ends_it(self) -> None:
        talk = Talk()
        talk.answers()
        reply = talk.machine.reply
        talk.send(on.ItemRemoved(item_id=reply.item_id))
        assert talk.got(do.StopPlayout).reply_id == reply.reply_id
        recorded = talk.got(do.RecordReply)
        assert (recorded.heard, recorded.interrupted) == ("One two", True)
        assert talk.history() == [("user", "Count for me please.")]

    def test_of_a_reply_that_is_not_audible_yet_ends_it(self) -> None:
        talk = Talk()
        talk.turn("Count for me please.")
        talk.send(on.ItemRemoved(item_id=talk.machine.reply.item_id))
        assert talk.got(do.CancelReply)
        assert talk.got(do.RecordReply).heard == ""
        assert talk.history() == [("user", "Count for me please.")]

    def test_of_a_halted_reply_leaves_the_turn(self) -> None:
        talk = Talk()
        talk.answers()
        talk.onset()
        talk.audio(LONG_S)
        talk.send(on.ItemRemoved(item_id=talk.machine.reply.item_id))
        assert talk.got(do.StopPlayout)
        talk.stop()
        talk.final("No, count backwards.")
        talk.audio(2.0)
        assert talk.history()[1] == ("user", "No, count backwards.")

    @pytest.mark.parametrize("item_id", ["unknown", ""])
    def test_of_nothing_does_nothing(self, item_id: str) -> None:
        talk = Talk()
        talk.says("Count for me please.")
        assert talk.state() is Replying.DRAFT
        assert talk.send(on.ItemRemoved(item_id=item_id)) == []
        talk.audio(2.0)
        assert talk.send(on.ItemRemoved(item_id=item_id)) == []
        assert talk.state() is Replying.COMMITTED

    def test_of_another_item_leaves_the_reply_but_not_a_draft(self) -> None:
        talk = Talk()
        talk.answers()
        assert talk.send(on.ItemRemoved(item_id="item_1")) == []
        talk.finishes()
        talk.says("And backwards?")
        talk.send(on.ItemRemoved(item_id="item_2"))
        assert talk.got(do.CancelReply)
        assert talk.got(do.StartReply).speculative


class TestTruncation:
    def truncate(self, talk: Talk, item_id: str, text: str) -> list[do.Effect]:
        return talk.send(on.ItemTruncated(item_id=item_id, heard=text))

    @pytest.mark.parametrize("text", ["One", "One two three"])
    def test_of_a_reply_that_is_playing_ends_it_there(self, text: str) -> None:
        talk = Talk()
        talk.answers(heard="One two")
        item_id = talk.machine.reply.item_id
        self.truncate(talk, item_id, text)
        assert talk.got(do.StopPlayout)
        assert (talk.got(do.RecordReply).heard, talk.got(do.RecordReply).interrupted) == (text, True)
        assert heard(talk, item_id) == (text, True)
        assert talk.state() is Replying.NONE

    def test_to_nothing_leaves_no_trace(self) -> None:
        talk = Talk()
        talk.answers()
        self.truncate(talk, talk.machine.reply.item_id, "")
        assert talk.history() == [("user", "Count for me please.")]

    def test_while_it_is_halted(self) -> None:
        """What a client does when it is told that somebody speaks."""
        talk = Talk()
        talk.answers(heard="One two three")
        talk.onset()
        talk.audio(LONG_S)
        self.truncate(talk, talk.machine.reply.item_id, "One two")
        assert talk.got(do.StopPlayout)
        talk.stop()
        talk.final("Mhm.")
        assert talk.got(do.DiscardTurn).reason == "backchannel"
        assert talk.history() == [("user", "Count for me please."), ("agent", "One two")]

    def test_of_a_reply_that_is_over(self) -> None:
        talk = Talk()
        talk.answers("One two three.")
        item_id = talk.machine.reply.item_id
        talk.finishes()
        assert heard(talk, item_id) == ("One two three.", False)
        assert self.truncate(talk, item_id, "One two three. ") == []
        assert heard(talk, item_id) == ("One two three. ", False)
        assert self.truncate(talk, item_id, "One") == []
        assert heard(talk, item_id) == ("One", True)
        assert self.truncate(talk, item_id, "") == []
        assert item_id in talk.machine.transcript

    @pytest.mark.parametrize("item_id", ["unknown", "", "item_1"])
    def test_of_anything_else_changes_nothing(self, item_id: str) -> None:
        talk = Talk()
        talk.answers()
        before = talk.history()
        assert self.truncate(talk, item_id, "x") == []
        assert talk.history() == before
        assert talk.state() is Replying.PLAYING

    def test_a_draft_read_it_differently(self) -> None:
        talk = Talk()
        talk.answers("One two three.")
        item_id = talk.machine.reply.item_id
        talk.finishes()
        talk.says("And backwards?")
        self.truncate(talk, item_id, "One")
        assert talk.got(do.CancelReply)
        assert talk.got(do.StartReply).speculative


# ---------------------------------------------------------------- settings


def change(talk: Talk, settings: ConversationSettings) -> list[do.Effect]:
    out = talk.send(on.SettingsChanged(settings=settings))
    deadline = talk.machine.next_deadline()
    assert deadline is None or deadline > talk.now
    return out


def quiet(talk: Talk) -> None:
    """Nobody has spoken yet."""


def speaking(talk: Talk) -> None:
    talk.onset()
    talk.audio(0.6)
    talk.partial("count for")


def awaiting_the_final(talk: Talk) -> None:
    speaking(talk)
    talk.stop()


def holding(talk: Talk) -> None:
    talk.says("Count for me please.")


def closing(talk: Talk) -> None:
    speaking(talk)
    talk.send(on.InputCommitted(speaker="user"))


def thinking(talk: Talk) -> None:
    talk.turn("Count for me please.")
    talk.writes("One two three four.")


def answering(talk: Talk) -> None:
    talk.answers()


def talked_over(talk: Talk) -> None:
    talk.answers()
    talk.onset()
    talk.audio(LONG_S)


def talked_over_and_silent(talk: Talk) -> None:
    talked_over(talk)
    talk.stop()


def halted_before_it_was_audible(talk: Talk) -> None:
    thinking(talk)
    talk.onset()


def owing_a_request(talk: Talk) -> None:
    speaking(talk)
    talk.send(on.ReplyRequested(request_id="request_1"))


SITUATIONS: list[Callable[[Talk], None]] = [
    *(quiet, speaking, awaiting_the_final, holding, closing, thinking, answering),
    *(talked_over, talked_over_and_silent, halted_before_it_was_audible, owing_a_request),
]
CHANGES = {
    "nothing": ConversationSettings(),
    "manual": MANUAL,
    "manual turns": ConversationSettings(automatic_turns=False),
    "no replies": ConversationSettings(automatic_replies=False),
    "no drafts": ConversationSettings(speculate=False),
    "not interrupted": NOT_INTERRUPTED,
    "not interrupted, manual": ConversationSettings(automatic_turns=False, interruption=InterruptionSettings(enabled=False)),
    "short hold": ConversationSettings(endpointing=EndpointingSettings(min_hold_s=0.05, max_hold_s=0.05)),
    "idle": ConversationSettings(idle_timeout_s=2.0),
}


@pytest.mark.parametrize("to", CHANGES)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_whatever_changes_silence_leads_back_to_listening(situation: Callable[[Talk], None], to: str) -> None:
    """Nobody says a word after the change: no final comes, no playout goes on, nobody commits. Then the talk goes on."""
    for back in CHANGES.values():
        talk = Talk()
        situation(talk)
        change(talk, CHANGES[to])
        change(talk, back)
        if talk.machine.speaker("user").state is Listening.SPEAKING:
            talk.stop()
        talk.wait(600.0)
        assert talk.state() is Replying.NONE
        assert talk.machine.speaker("user").state is Listening.QUIET
        started = {effect.reply_id for effect in talk.of(do.StartReply)}
        recorded = {effect.reply_id for effect in talk.of(do.RecordReply)}
        assert started <= recorded | {effect.reply_id for effect in talk.of(do.CancelReply)}
        if situation is owing_a_request:
            assert "request_1" in {effect.request_id for effect in talk.of(do.StartReply)}
        if back.automatic_turns:
            talk.turn("Still there?")
        else:
            by_hand(talk, "Still there?")
        assert ("user", "Still there?") in talk.history()


def by_hand(talk: Talk, text: str) -> list[do.Effect]:
    """A turn in manual mode."""
    talk.send(on.InputCommitted(speaker="user"))
    asked = talk.got(do.RequestFinal).utterance_id
    return talk.send(on.TranscriptFinal(speaker="user", utterance_id=asked, text=text))


class TestManualMode:
    @pytest.mark.parametrize("situation", [speaking, awaiting_the_final, holding])
    def test_what_was_said_waits_for_the_commit(self, situation: Callable[[Talk], None]) -> None:
        """The ears keep its audio, so the commit asks for a final of all of it."""
        talk = Talk()
        situation(talk)
        change(talk, MANUAL)
        assert not talk.of(do.DiscardTurn), "that would forget the audio"
        assert not talk.wait(60.0)
        by_hand(talk, "Count for me please, backwards.")
        assert talk.got(do.CommitTurn).text == "Count for me please, backwards."
        assert talk.history() == [("user", "Count for me please, backwards.")]

    def test_late_news_of_the_turn_is_dropped(self) -> None:
        talk = Talk()
        speaking(talk)
        change(talk, MANUAL)
        talk.stop()
        talk.partial("count for me")
        talk.final("Count for me please.")
        assert talk.machine.speaker("user").state is Listening.QUIET
        assert not talk.history()

    def test_a_request_does_not_wait_for_it(self) -> None:
        talk = Talk()
        speaking(talk)
        change(talk, MANUAL)
        talk.send(on.ReplyRequested(request_id="request_1"))
        assert talk.got(do.StartReply).request_id == "request_1"

    def test_a_commit_under_way_is_finished(self) -> None:
        talk = Talk()
        closing(talk)
        change(talk, MANUAL)
        talk.final("Count for me.")
        assert talk.got(do.CommitTurn).text == "Count for me."

    def test_a_reply_that_was_talked_over_goes_on(self) -> None:
        talk = Talk()
        talked_over(talk)
        change(talk, MANUAL)
        assert talk.got(do.ResumePlayout)
        assert talk.state() is Replying.PLAYING

    def test_one_of_two_speakers_commits(self) -> None:
        talk = Talk()
        talk.says("Count for me.", speaker="ann")
        talk.onset("bob")
        talk.send(on.InputCommitted(speaker="bob"))
        change(talk, MANUAL)
        talk.final("Backwards.", speaker="bob")
        assert talk.history() == [("user", "Backwards.")]

    def test_and_back(self) -> None:
        talk = Talk()
        speaking(talk)
        change(talk, MANUAL)
        change(talk, ConversationSettings())
        talk.onset()
        talk.stop()
        talk.final("Count for me please.")
        talk.audio(2.0)
        assert talk.history()[0] == ("user", "Count for me please.")
        assert talk.state() is Replying.COMMITTED


class TestReplies:
    @pytest.mark.parametrize(
        "settings", [ConversationSettings(automatic_replies=False), ConversationSettings(speculate=False), MANUAL]
    )
    def test_a_draft_that_may_not_be_is_dropped(self, settings: ConversationSettings) -> None:
        talk = Talk()
        holding(talk)
        assert talk.state() is Replying.DRAFT
        change(talk, settings)
        assert talk.got(do.CancelReply)
        talk.audio(2.0)
        assert bool(talk.of(do.CommitTurn)) == settings.automatic_turns
        assert (talk.state() is Replying.COMMITTED) == (settings.automatic_turns and settings.automatic_replies)

    def test_a_draft_begins_where_it_may_be(self) -> None:
        talk = Talk(ConversationSettings(speculate=False))
        holding(talk)
        change(talk, ConversationSettings())
        assert talk.got(do.StartReply).speculative

    def test_a_reply_that_is_playing_stays(self) -> None:
        talk = Talk()
        answering(talk)
        assert change(talk, MANUAL) == []
        talk.finishes()
        assert talk.got(do.RecordReply).heard == "One two three four five six."

    @pytest.mark.parametrize("situation", [talked_over, talked_over_and_silent, halted_before_it_was_audible])
    def test_a_halted_reply_that_may_not_be_interrupted_goes_on(self, situation: Callable[[Talk], None]) -> None:
        talk = Talk()
        situation(talk)
        assert talk.state() is Replying.HALTED
        change(talk, NOT_INTERRUPTED)
        assert talk.got(do.ResumePlayout)
        audible = situation is not halted_before_it_was_audible
        assert talk.state() is (Replying.PLAYING if audible else Replying.COMMITTED)

    def test_a_halted_reply_stays_so_where_nothing_else_is_said(self) -> None:
        talk = Talk()
        talked_over(talk)
        assert change(talk, ConversationSettings(idle_timeout_s=5.0)) == []
        assert talk.state() is Replying.HALTED

    def test_interruptions_that_are_allowed_again_stop_it(self) -> None:
        talk = Talk(NOT_INTERRUPTED)
        talked_over(talk)
        assert talk.state() is Replying.PLAYING
        change(talk, ConversationSettings())
        talk.audio(0.1)
        assert talk.state() is Replying.HALTED


class TestTimes:
    def test_what_is_late_by_the_new_settings_is_late_at_once(self) -> None:
        talk = Talk()
        talk.wait(100.0)
        change(talk, ConversationSettings(idle_timeout_s=5.0))
        assert talk.got(do.ReportIdle).silent_s == 100.0

    def test_a_reply_that_takes_too_long_for_the_new_settings(self) -> None:
        talk = Talk()
        thinking(talk)
        talk.wait(10.0)
        change(talk, ConversationSettings(reply_timeout_s=5.0))
        assert talk.got(do.RecordReply).failed == "reply.timeout"
        assert talk.got(do.SayText).notice == "reply_lost"

    def test_a_shorter_hold_ends_the_turn_at_once(self) -> None:
        talk = Talk()
        talk.says("I would like to")
        talk.audio(0.3)
        assert not talk.of(do.CommitTurn)
        change(talk, CHANGES["short hold"])
        assert talk.got(do.CommitTurn).text == "I would like to"

    def test_a_longer_hold_keeps_it_open(self) -> None:
        talk = Talk()
        holding(talk)
        change(talk, ConversationSettings(endpointing=EndpointingSettings(min_hold_s=5.0, max_hold_s=5.0)))
        talk.audio(4.0)
        assert not talk.of(do.CommitTurn)
        talk.audio(2.0)
        assert talk.of(do.CommitTurn)


def test_a_conversation_that_goes_on_takes_edits_of_its_past() -> None:
    earlier = Transcript()
    for text in ("one", "two", "three"):
        earlier.write(Item(item_id="", role="user", text=text, at=0.0), at=1.0)
    talk = Talk(transcript=earlier)
    talk.send(on.ItemRemoved(item_id="item_2"))
    insert(talk, "mine", after="item_1")
    assert ids(talk) == ("item_1", "mine", "item_3")
