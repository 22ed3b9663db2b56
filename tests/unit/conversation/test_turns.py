"""Listening: when a turn ends, what is drafted before, and what happens when the recogniser is late, wrong or dead."""

import pytest

from tests.unit.conversation.talk import Talk
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.settings import ConversationSettings
from voice_agent.conversation.state import Listening, Replying
from voice_agent.conversation.transcript import Item

COMPLETE = "What time is it?"


def test_a_turn_is_drafted_at_its_final_and_committed_at_the_end_of_its_hold() -> None:
    talk = Talk()
    talk.says(COMPLETE)
    draft = talk.got(do.StartReply)
    assert draft.speculative
    assert [turn.text for turn in draft.pending] == [COMPLETE]
    talk.audio(2.0)
    assert talk.got(do.CommitTurn).text == COMPLETE
    assert talk.got(do.CommitReply).reply_id == draft.reply_id
    assert len(talk.of(do.StartReply)) == 1


def test_the_turn_stands_before_its_reply() -> None:
    talk = Talk()
    talk.turn(COMPLETE)
    talk.writes("Noon.")
    talk.plays()
    talk.finishes()
    assert talk.history() == [("user", COMPLETE), ("agent", "Noon.")]
    assert talk.got(do.RecordReply).heard == "Noon."


def test_speech_that_goes_on_makes_one_turn_and_drops_the_draft_of_its_first_half() -> None:
    talk = Talk()
    talk.says("I would like to")
    first = talk.got(do.StartReply)
    talk.audio(0.2)
    talk.onset()
    talk.audio(0.3)
    assert not talk.of(do.CancelReply), "no new word is known yet"
    talk.partial("I would like to book")
    assert talk.got(do.CancelReply).reply_id == first.reply_id
    talk.stop()
    talk.final("I would like to book a table.")
    second = talk.got(do.StartReply)
    talk.audio(2.0)
    assert talk.got(do.CommitReply).reply_id == second.reply_id
    assert [commit.text for commit in talk.of(do.CommitTurn)] == ["I would like to book a table."]


def test_a_draft_survives_speech_that_adds_no_words() -> None:
    talk = Talk()
    talk.says("Play some music.")
    talk.audio(0.2)
    talk.onset()
    talk.partial("play some music")
    talk.stop()
    talk.final("Play some music!")
    talk.audio(2.0)
    assert talk.got(do.CommitReply)
    assert len(talk.of(do.StartReply)) == 1


def test_a_turn_that_sounds_unfinished_is_held_longer() -> None:
    def held(text: str, probability: float) -> float:
        talk = Talk()
        talk.says(text)
        talk.send(on.TurnProbability(speaker="user", utterance_id=1, probability=probability))
        since = talk.now
        while not talk.of(do.CommitTurn):
            talk.audio(0.032)
        return talk.now - since

    assert held(COMPLETE, 0.95) < held("I would like to", 0.05)


def test_the_hold_counts_audio_and_not_the_clock() -> None:
    talk = Talk()
    talk.says(COMPLETE)
    hold = talk.machine.hold_s(talk.machine.speaker("user"))
    talk.send(on.AudioAdvanced(speaker="user", at=talk.now + hold + 0.01))
    assert talk.got(do.CommitTurn)


def test_audio_that_stays_away_ends_the_turn_all_the_same() -> None:
    settings = ConversationSettings()
    talk = Talk(settings)
    talk.says(COMPLETE)
    hold = talk.machine.hold_s(talk.machine.speaker("user"))
    assert not [e for e in talk.wait(hold + settings.stall_grace_s - 0.01) if isinstance(e, do.CommitTurn)]
    talk.wait(0.02)
    assert talk.got(do.CommitTurn).text == COMPLETE


def test_nothing_said_is_no_turn() -> None:
    talk = Talk()
    talk.says("  ")
    assert talk.got(do.DiscardTurn).reason == "empty"
    assert not talk.wait(60.0)
    assert not talk.of(do.StartReply)


def test_without_speculation_the_reply_starts_with_the_commit() -> None:
    talk = Talk(ConversationSettings(speculate=False))
    talk.says(COMPLETE)
    assert not talk.of(do.StartReply)
    talk.audio(2.0)
    assert not talk.got(do.StartReply).speculative
    assert not talk.of(do.CommitReply)


# ---------------------------------------------------------------- the recogniser fails


def test_a_failed_final_is_replaced_by_what_was_understood() -> None:
    talk = Talk()
    talk.onset()
    talk.audio(0.6)
    talk.partial("what time is it", confidence=0.9)
    talk.stop()
    talk.no_final()
    talk.audio(2.0)
    commit = talk.got(do.CommitTurn)
    assert commit.text == "what time is it"
    assert commit.confidence < 0.5


def test_a_final_that_never_comes_is_given_up() -> None:
    talk = Talk()
    talk.onset()
    talk.audio(0.6)
    talk.stop()
    talk.wait(60.0)
    [said] = talk.of(do.SayText)
    assert talk.of(do.DiscardTurn)[0].reason == "failed"
    assert said.notice == "not_understood"
    assert talk.machine.speaker("user").state is Listening.QUIET


def test_not_understood_is_not_said_over_another_speaker() -> None:
    talk = Talk()
    talk.onset("ann")
    talk.onset("bob")
    talk.stop("ann")
    talk.no_final("ann")
    assert not talk.of(do.SayText)
    talk.stop("bob")
    talk.final("", speaker="bob")
    assert talk.got(do.SayText).notice == "not_understood"


def test_a_late_final_of_an_earlier_utterance_is_dropped() -> None:
    talk = Talk()
    talk.onset()
    talk.stop()
    talk.onset()
    talk.send(on.TranscriptFinal(speaker="user", utterance_id=1, text="old"))
    assert talk.machine.speaker("user").text == ""
    talk.stop()
    talk.final("new")
    assert talk.machine.speaker("user").text == "new"


def test_a_partial_after_the_final_is_dropped() -> None:
    talk = Talk()
    talk.says(COMPLETE)
    talk.partial("what")
    assert talk.machine.speaker("user").text == COMPLETE


def test_answers_about_people_who_are_not_there_are_dropped() -> None:
    talk = Talk()
    for event in (
        on.TranscriptFinal(speaker="nobody", utterance_id=1, text="boo"),
        on.SpeechStopped(speaker="nobody", utterance_id=1, at=0.0),
        on.AudioAdvanced(speaker="nobody", at=1.0),
        on.SpeakerLeft(speaker="nobody"),
    ):
        assert talk.send(event) == []
    assert talk.machine.speakers == ()


# ---------------------------------------------------------------- several speakers


def test_two_speakers_are_answered_once_in_the_order_in_which_they_stopped() -> None:
    talk = Talk()
    talk.onset("ann")
    talk.onset("bob")
    talk.stop("bob")
    talk.final("I want tea.", speaker="bob")
    talk.wait(5.0)
    assert not talk.of(do.CommitTurn), "Ann still speaks"
    talk.stop("ann")
    talk.final("And I want coffee.", speaker="ann")
    talk.wait(5.0)
    assert [(c.speaker, c.text) for c in talk.of(do.CommitTurn)] == [("bob", "I want tea."), ("ann", "And I want coffee.")]
    assert len(talk.of(do.CommitReply)) == 1


def test_a_second_speaker_drops_the_draft_for_the_first() -> None:
    talk = Talk()
    talk.says("I want tea.", speaker="ann")
    draft = talk.got(do.StartReply)
    talk.onset("bob")
    talk.partial("wait", speaker="bob")
    assert talk.got(do.CancelReply).reply_id == draft.reply_id


def test_a_speaker_who_leaves_does_not_hold_up_the_others() -> None:
    talk = Talk()
    talk.onset("ann")
    talk.says("I want tea.", speaker="bob")
    talk.wait(5.0)
    talk.send(on.SpeakerLeft(speaker="ann"))
    talk.wait(5.0)
    assert [commit.speaker for commit in talk.of(do.CommitTurn)] == ["bob"]
    assert [discard.reason for discard in talk.of(do.DiscardTurn)] == ["left"]


def test_a_draft_dies_with_the_speaker_it_answers() -> None:
    talk = Talk()
    talk.says(COMPLETE)
    talk.send(on.SpeakerLeft(speaker="user"))
    assert talk.got(do.CancelReply)
    assert talk.state() is Replying.NONE


# ---------------------------------------------------------------- learning


def test_pauses_inside_turns_make_the_hold_longer() -> None:
    talk = Talk()

    def hold_after_an_utterance() -> float:
        talk.says("I would like tea")
        talk.send(on.TurnProbability(speaker="user", utterance_id=talk.utterance(), probability=0.8))
        return talk.machine.hold_s(talk.machine.speaker("user"))

    before = hold_after_an_utterance()
    talk.audio(before - 0.05)
    assert hold_after_an_utterance() > before


def test_cutting_in_is_learned_from() -> None:
    talk = Talk()
    talk.turn("I would like tea")
    talk.wait(3.0)
    talk.says("and")
    assert talk.machine.speaker("user").pauses.cut_offs == 0, "seconds later is no cutting in"
    while talk.machine.speaker("user").state is not Listening.QUIET:
        talk.audio(0.032)
    talk.onset()
    assert talk.machine.speaker("user").pauses.cut_offs == 1


# ---------------------------------------------------------------- by text


def test_a_text_turn_is_answered_at_once() -> None:
    talk = Talk()
    talk.send(on.TextReceived(speaker="user", text=" Hello "))
    assert talk.got(do.CommitTurn).by_text
    assert talk.got(do.CommitTurn).text == "Hello"
    assert not talk.got(do.StartReply).speculative


def test_text_can_be_written_down_only() -> None:
    talk = Talk()
    talk.send(on.TextReceived(speaker="user", text="Just so you know.", reply=False))
    assert talk.history() == [("user", "Just so you know.")]
    assert not talk.of(do.StartReply)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_empty_text_is_nothing(text: str) -> None:
    talk = Talk()
    assert talk.send(on.TextReceived(speaker="user", text=text)) == []


def test_text_stops_the_agent() -> None:
    talk = Talk()
    talk.answers(heard="One two")
    talk.send(on.TextReceived(speaker="user", text="Stop."))
    assert [type(effect) for effect in talk.effects if not isinstance(effect, do.ReportState)] == [
        do.StopPlayout,
        do.RecordReply,
        do.CommitTurn,
        do.StartReply,
    ]
    assert talk.got(do.RecordReply).interrupted
    assert talk.history()[-3:-1] == [("agent", "One two"), ("user", "Stop.")]


def test_text_during_speech_is_answered_together_with_the_speech() -> None:
    talk = Talk()
    talk.onset()
    talk.send(on.TextReceived(speaker="user", text="Table for two."))
    assert not talk.of(do.StartReply)
    talk.audio(0.5)
    talk.stop()
    talk.final("At seven, please.")
    draft = talk.got(do.StartReply)
    talk.audio(2.0)
    assert talk.got(do.CommitReply).reply_id == draft.reply_id
    assert len(talk.of(do.StartReply)) == 1
    assert talk.history()[:2] == [("user", "Table for two."), ("user", "At seven, please.")]


def test_text_during_noise_is_answered_when_the_noise_is_over() -> None:
    talk = Talk()
    talk.onset()
    talk.send(on.TextReceived(speaker="user", text="Hello."))
    talk.stop()
    talk.final("")
    assert talk.got(do.StartReply)


# ---------------------------------------------------------------- by hand


MANUAL = ConversationSettings(automatic_turns=False, automatic_replies=False)


def test_by_hand_the_commit_asks_for_the_final_and_the_request_for_the_reply() -> None:
    talk = Talk(MANUAL)
    talk.send(on.InputCommitted(speaker="user"))
    asked = talk.got(do.RequestFinal)
    assert talk.machine.speaker("user").state is Listening.CLOSING
    talk.send(on.TranscriptFinal(speaker="user", utterance_id=asked.utterance_id, text="Hello."))
    assert talk.got(do.CommitTurn).text == "Hello."
    assert not talk.of(do.StartReply)
    talk.send(on.ReplyRequested(instructions="Be brief."))
    assert talk.got(do.StartReply).instructions == "Be brief."


def test_a_reply_asked_for_before_the_final_waits_for_it() -> None:
    talk = Talk(MANUAL)
    talk.send(on.InputCommitted(speaker="user"))
    asked = talk.got(do.RequestFinal)
    talk.send(on.ReplyRequested())
    assert not talk.of(do.StartReply)
    talk.send(on.TranscriptFinal(speaker="user", utterance_id=asked.utterance_id, text="Hello."))
    assert [type(e) for e in talk.effects if not isinstance(e, do.ReportState)] == [do.CommitTurn, do.StartReply]


def test_each_commit_has_an_utterance_of_its_own() -> None:
    talk = Talk(MANUAL)
    ids = []
    for text in ("One.", "Two."):
        talk.send(on.InputCommitted(speaker="user"))
        ids.append(talk.got(do.RequestFinal).utterance_id)
        talk.send(on.TranscriptFinal(speaker="user", utterance_id=ids[-1], text=text))
    assert ids[0] < ids[1]
    assert talk.history() == [("user", "One."), ("user", "Two.")]


def test_a_commit_of_nothing_is_discarded() -> None:
    talk = Talk(MANUAL)
    talk.send(on.InputCommitted(speaker="user"))
    talk.send(on.TranscriptFinal(speaker="user", utterance_id=talk.got(do.RequestFinal).utterance_id, text=""))
    assert talk.got(do.DiscardTurn).reason == "empty"


def test_what_was_said_can_be_withdrawn() -> None:
    talk = Talk()
    talk.says(COMPLETE)
    talk.send(on.InputCleared(speaker="user"))
    assert talk.got(do.DiscardTurn).reason == "cleared"
    assert talk.got(do.CancelReply)
    talk.wait(60.0)
    assert talk.history() == []


def test_a_commit_during_the_hold_ends_it() -> None:
    talk = Talk()
    talk.says(COMPLETE)
    draft = talk.got(do.StartReply)
    talk.send(on.InputCommitted(speaker="user"))
    assert talk.got(do.CommitReply).reply_id == draft.reply_id


def test_a_commit_while_the_final_is_made_does_not_ask_twice() -> None:
    talk = Talk()
    talk.onset()
    talk.stop()
    talk.send(on.InputCommitted(speaker="user"))
    talk.send(on.InputCommitted(speaker="user"))
    assert len(talk.of(do.RequestFinal)) == 1
    talk.final("Hello.")
    assert talk.got(do.CommitTurn)


def test_a_committed_backchannel_is_a_turn() -> None:
    """Who presses the button means it."""
    talk = Talk()
    talk.answers()
    talk.send(on.InputCommitted(speaker="user"))
    talk.send(on.TranscriptFinal(speaker="user", utterance_id=talk.got(do.RequestFinal).utterance_id, text="Okay."))
    assert talk.got(do.CommitTurn).text == "Okay."


def test_a_clients_item_cannot_take_the_place_of_a_turn_that_is_open() -> None:
    talk = Talk()
    talk.onset()
    taken = talk.machine.speaker("user").item_id
    talk.send(on.ItemInserted(item=Item(item_id=taken, role="system", text="Note.", at=0.0)))
    assert talk.history() == []
    talk.stop()
    talk.final(COMPLETE)
    talk.audio(2.0)
    assert talk.got(do.CommitTurn).item_id == taken
