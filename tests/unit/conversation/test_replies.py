"""The agent's side: interruptions, backchannels, going on, failures, idle, the end."""

import pytest

from tests.unit.conversation.talk import Talk
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.settings import ConversationSettings, InterruptionSettings
from voice_agent.conversation.state import Replying
from voice_agent.conversation.transcript import Transcript

LONG_S = 1.0
"""Speech that stops the agent whatever it is."""


# ---------------------------------------------------------------- talked over


def test_a_barge_in_pauses_at_once_and_stops_with_the_words() -> None:
    talk = Talk()
    talk.answers(heard="One two three")
    talk.onset()
    talk.audio(LONG_S)
    assert talk.got(do.PausePlayout)
    assert talk.state() is Replying.HALTED
    talk.stop()
    talk.final("No, count backwards.")
    recorded = talk.got(do.RecordReply)
    assert recorded.interrupted
    assert recorded.heard == "One two three"
    assert talk.got(do.StopPlayout)
    talk.audio(2.0)
    assert talk.history()[-3:-1] == [("agent", "One two three"), ("user", "No, count backwards.")]


def test_words_stop_the_agent_before_the_guard_does() -> None:
    def halted_after(said: str) -> float:
        talk = Talk()
        talk.answers()
        began = talk.now
        talk.onset()
        while talk.state() is Replying.PLAYING:
            talk.audio(0.032)
            if said:
                talk.partial(said)
        return talk.now - began

    assert halted_after("wait a moment") < halted_after("")


def test_words_that_are_not_sure_wait_for_the_guard() -> None:
    talk = Talk()
    talk.answers()
    talk.onset()
    talk.audio(0.2)
    talk.partial("wait a moment", confidence=0.1)
    assert talk.state() is Replying.PLAYING
    talk.partial("wait a moment", confidence=0.9)
    assert talk.got(do.PausePlayout)


def test_a_backchannel_does_not_stop_the_agent() -> None:
    talk = Talk()
    talk.answers()
    talk.onset()
    talk.partial("mhm")
    talk.audio(0.7)
    talk.stop()
    talk.final("Mhm.")
    assert talk.got(do.DiscardTurn).reason == "backchannel"
    assert not talk.of(do.PausePlayout)
    assert talk.state() is Replying.PLAYING


def test_a_backchannel_that_stopped_the_agent_lets_it_go_on() -> None:
    talk = Talk()
    talk.answers()
    talk.onset()
    talk.audio(LONG_S)
    assert talk.got(do.PausePlayout)
    talk.stop()
    talk.final("Okay.")
    assert talk.got(do.ResumePlayout)
    assert talk.state() is Replying.PLAYING


def test_yes_after_a_question_is_the_answer() -> None:
    talk = Talk()
    talk.answers("Do you want more?", heard="Do you want more?")
    talk.onset()
    talk.audio(0.3)
    talk.stop()
    talk.final("Yes.")
    assert talk.got(do.StopPlayout)
    talk.audio(2.0)
    assert talk.got(do.CommitTurn).text == "Yes."


def test_a_cough_lets_the_agent_go_on() -> None:
    talk = Talk()
    talk.answers()
    talk.onset()
    talk.audio(LONG_S)
    talk.stop()
    talk.final("")
    assert talk.got(do.ResumePlayout)
    talk.finishes()
    assert not talk.got(do.RecordReply).interrupted


def test_the_agent_does_not_answer_itself() -> None:
    talk = Talk()
    talk.answers("The first train leaves at nine in the morning.", heard="The first train")
    talk.onset()
    talk.partial("first train leaves")
    talk.audio(LONG_S)
    assert not talk.of(do.PausePlayout)
    talk.stop()
    talk.final("First train leaves at nine.")
    assert talk.got(do.DiscardTurn).reason == "echo"


def test_an_echo_is_recognised_wherever_playout_is() -> None:
    talk = Talk()
    early = "The first train leaves at nine in the morning. "
    talk.answers(early + "And then there are many others all day long. " * 20, heard="The first train leaves")
    talk.says("first train leaves at nine")
    assert talk.got(do.DiscardTurn).reason == "echo"


@pytest.mark.parametrize("text", ["leaves at nine in the morning", "okay"])
def test_an_echo_or_a_backchannel_understood_after_the_end_is_still_none(text: str) -> None:
    talk = Talk()
    talk.answers("The first train leaves at nine in the morning.", heard="The first train leaves")
    talk.onset()
    talk.audio(0.3)
    talk.stop()
    talk.finishes()
    talk.final(text)
    assert talk.got(do.DiscardTurn)
    talk.wait(10.0)
    assert [commit.text for commit in talk.of(do.CommitTurn)] == ["Count for me please."]


def test_okay_after_the_agent_has_finished_is_a_turn() -> None:
    talk = Talk()
    talk.answers()
    talk.finishes()
    talk.wait(1.0)
    talk.turn("Okay.")
    assert talk.got(do.CommitTurn).text == "Okay."


def test_speech_before_the_reply_is_audible_holds_it_back() -> None:
    talk = Talk()
    talk.turn("Count for me please.")
    talk.onset()
    assert talk.got(do.PausePlayout)
    talk.audio(0.5)
    talk.stop()
    talk.final("Down from ten.")
    assert talk.got(do.CancelReply)
    assert talk.got(do.RecordReply).heard == ""
    talk.audio(2.0)
    assert talk.history()[:2] == [("user", "Count for me please."), ("user", "Down from ten.")]


def test_noise_before_the_reply_is_audible_only_delays_it() -> None:
    talk = Talk()
    talk.turn("Count for me please.")
    talk.onset()
    talk.stop()
    talk.final("")
    assert talk.got(do.ResumePlayout)
    assert talk.state() is Replying.COMMITTED
    talk.writes("One.")
    talk.plays()
    talk.finishes()
    assert talk.history()[-1] == ("agent", "One.")


def test_a_pause_and_the_first_sample_may_cross() -> None:
    talk = Talk()
    talk.turn("Count for me please.")
    talk.writes("One two.")
    talk.onset()
    talk.plays()
    assert talk.state() is Replying.HALTED
    talk.stop()
    talk.final("")
    assert talk.state() is Replying.PLAYING


def test_a_pause_and_the_end_of_playout_may_cross() -> None:
    talk = Talk()
    talk.answers()
    talk.onset()
    talk.audio(LONG_S)
    talk.finishes()
    assert not talk.got(do.RecordReply).interrupted
    talk.stop()
    talk.final("What was that?")
    talk.audio(2.0)
    assert talk.got(do.CommitTurn).text == "What was that?"


def test_the_agent_goes_on_when_the_recogniser_hangs() -> None:
    settings = ConversationSettings()
    talk = Talk(settings)
    talk.answers()
    talk.onset()
    talk.audio(LONG_S)
    talk.stop()
    talk.wait(settings.halt_timeout_s + 0.1)
    assert talk.got(do.ResumePlayout)
    assert settings.halt_timeout_s < settings.transcript_timeout_s


def test_the_agent_stays_silent_when_the_recogniser_hangs_on_words_it_has_heard() -> None:
    settings = ConversationSettings()
    talk = Talk(settings)
    talk.answers()
    talk.onset()
    talk.audio(LONG_S)
    talk.partial("Please stop")
    talk.stop()
    talk.wait(settings.halt_timeout_s + 0.1)
    assert not talk.of(do.ResumePlayout)
    talk.wait(10.0)
    assert talk.of(do.CommitTurn)[-1].text == "Please stop"


def test_with_interruptions_off_the_turn_is_answered_after_the_reply() -> None:
    talk = Talk(ConversationSettings(interruption=InterruptionSettings(enabled=False)))
    talk.answers()
    talk.turn("And now backwards.")
    assert talk.of(do.CommitTurn)[-1].text == "And now backwards."
    assert not talk.of(do.PausePlayout)
    assert len(talk.of(do.StartReply)) == 1
    talk.finishes()
    assert talk.got(do.StartReply)


def test_the_client_can_stop_the_agent() -> None:
    talk = Talk()
    talk.answers()
    talk.send(on.ReplyCancelled())
    assert talk.got(do.StopPlayout)
    assert talk.got(do.RecordReply).interrupted
    assert talk.wait(60.0) == []


def test_a_greeting_is_said_only_into_silence() -> None:
    talk = Talk()
    talk.send(on.SayRequested(text="Hello!"))
    assert talk.got(do.SayText).text == "Hello!"
    talk.send(on.SayRequested(text="Hello again!"))
    assert len(talk.of(do.SayText)) == 1


# ---------------------------------------------------------------- stale answers


def test_answers_of_an_older_reply_change_nothing() -> None:
    talk = Talk()
    talk.answers()
    old = talk.machine.reply.reply_id
    talk.send(on.TextReceived(speaker="user", text="Stop."))
    before = talk.history()
    for event in (
        on.ReplyTextAdded(reply_id=old, text="late"),
        on.ReplyGenerated(reply_id=old),
        on.ReplyFailed(reply_id=old, code="late"),
        on.PlayoutStarted(reply_id=old),
        on.PlayoutAdvanced(reply_id=old, heard="One two three"),
        on.PlayoutFinished(reply_id=old, heard="One two three"),
    ):
        assert talk.send(event) == []
    assert talk.history() == before


# ---------------------------------------------------------------- failures


def test_a_failed_draft_is_tried_once_more_when_the_turn_ends() -> None:
    talk = Talk()
    talk.says("Count for me please.")
    first = talk.got(do.StartReply)
    talk.breaks()
    assert talk.got(do.CancelReply).reply_id == first.reply_id
    talk.audio(2.0)
    second = talk.got(do.StartReply)
    assert not second.speculative
    talk.breaks()
    assert talk.got(do.RecordReply).failed == "engine.failed"
    assert talk.got(do.SayText).notice == "reply_lost"
    assert len(talk.of(do.StartReply)) == 2


def test_the_apology_is_made_once() -> None:
    talk = Talk()
    talk.turn("Count for me please.")
    talk.breaks()
    talk.breaks()
    assert len(talk.of(do.SayText)) == 1
    assert talk.wait(120.0) == []
    assert talk.state() is Replying.NONE


def test_what_is_there_of_a_broken_reply_is_played_before_the_apology() -> None:
    talk = Talk()
    talk.answers("One two three", heard="One")
    talk.breaks(partly=True)
    assert talk.state() is Replying.PLAYING
    talk.finishes()
    assert talk.got(do.RecordReply).failed == "engine.failed"
    assert talk.got(do.SayText).notice == "reply_lost"


def test_a_halted_reply_that_breaks_is_not_apologised_for_over_the_speaker() -> None:
    talk = Talk()
    talk.turn("Count for me please.")
    talk.onset()
    talk.breaks()
    assert talk.got(do.RecordReply)
    assert not talk.of(do.SayText)
    talk.stop()
    talk.final("Are you there?")
    talk.audio(2.0)
    assert talk.got(do.CommitReply)
    assert not talk.of(do.SayText), "the new reply says it all"


def test_a_halted_reply_that_breaks_is_apologised_for_when_it_was_only_noise() -> None:
    talk = Talk()
    talk.turn("Count for me please.")
    talk.onset()
    talk.breaks()
    talk.stop()
    talk.final("")
    assert talk.got(do.SayText).notice == "reply_lost"


@pytest.mark.parametrize("audible", [False, True])
def test_a_reply_that_stands_still_is_given_up(audible: bool) -> None:
    talk = Talk()
    talk.turn("Count for me please.")
    talk.writes("One two three.")
    if audible:
        talk.plays("One")
    talk.wait(25.0)
    [recorded] = talk.of(do.RecordReply)
    assert recorded.failed == "reply.timeout"
    assert recorded.heard == ("One" if audible else "")
    [said] = talk.of(do.SayText)
    assert said.notice == "reply_lost"


def test_a_reply_that_makes_progress_is_never_given_up() -> None:
    talk = Talk()
    talk.answers("word " * 100, heard="word")
    for count in range(2, 90):
        talk.wait(10.0)
        talk.hears("word " * count)
    assert not talk.of(do.RecordReply)


# ---------------------------------------------------------------- idle


def test_idle_is_reported_once_until_somebody_does_something() -> None:
    talk = Talk(ConversationSettings(idle_timeout_s=8.0))
    talk.wait(1000.0)
    assert len(talk.of(do.ReportIdle)) == 1
    talk.send(on.TextReceived(speaker="user", text="I am here.", reply=False))
    talk.wait(1000.0)
    assert len(talk.of(do.ReportIdle)) == 2
    assert not talk.of(do.StartReply)


def test_the_agent_speaks_up_once_and_not_for_ever() -> None:
    talk = Talk(ConversationSettings(idle_timeout_s=8.0, idle_reply=True))
    talk.wait(9.0)
    assert talk.got(do.StartReply).idle
    talk.writes("Are you still there?")
    talk.plays()
    talk.finishes()
    assert talk.wait(3600.0) == []


def test_idle_counts_from_the_end_of_the_reply() -> None:
    talk = Talk(ConversationSettings(idle_timeout_s=8.0))
    talk.answers()
    talk.wait(15.0)
    talk.finishes()
    assert not [effect for effect in talk.wait(7.9) if isinstance(effect, do.ReportIdle)]
    talk.wait(0.2)
    assert talk.got(do.ReportIdle)


def test_ten_minutes_of_silence_cost_nothing() -> None:
    talk = Talk()
    talk.send(on.SpeakerJoined(speaker="user"))
    assert talk.machine.next_deadline() is None
    assert talk.wait(600.0) == []


# ---------------------------------------------------------------- what people see


def test_the_agents_state_is_shown_as_it_changes() -> None:
    talk = Talk()
    talk.answers()
    talk.onset()
    talk.audio(LONG_S)
    talk.stop()
    talk.final("")
    talk.finishes()
    assert [report.state for report in talk.of(do.ReportState)] == ["thinking", "speaking", "listening", "speaking", "listening"]


# ---------------------------------------------------------------- the end


def test_the_end_keeps_what_was_said_and_heard() -> None:
    talk = Talk()
    talk.answers(heard="One two")
    talk.send(on.Disconnected(reason="left"))
    assert [type(effect) for effect in talk.effects] == [do.StopPlayout, do.RecordReply, do.EndSession]
    assert talk.history()[-1] == ("agent", "One two")


def test_the_end_keeps_a_turn_that_waits_in_its_hold() -> None:
    talk = Talk()
    talk.says("Remember the milk.")
    talk.send(on.Disconnected(reason="left"))
    assert talk.history() == [("user", "Remember the milk.")]
    assert talk.got(do.CancelReply)
    assert talk.got(do.EndSession).reason == "left"


def test_after_the_end_nothing_happens() -> None:
    talk = Talk()
    talk.answers()
    talk.send(on.Disconnected())
    assert talk.machine.next_deadline() is None
    assert talk.send(on.TextReceived(speaker="user", text="Hello?")) == []
    assert talk.machine.handle_timer(talk.now + 100.0) == []


def test_a_conversation_goes_on_from_an_earlier_transcript() -> None:
    first = Talk()
    first.answers(heard="One two")
    first.send(on.Disconnected())
    kept = Transcript()
    for item in first.machine.transcript:
        kept.add(item)
    second = Talk(transcript=kept)
    second.turn("Go on.")
    assert second.history() == [*first.history(), ("user", "Go on."), ("agent", "")]
