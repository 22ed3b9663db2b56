"""Conversations from beginning to end, with engines of a script."""

import asyncio
import itertools

import numpy as np
import pytest

from tests.scenario.stage import Stage, loud, perform, quiet
from voice_agent.conversation import effects as do
from voice_agent.conversation.settings import ConversationSettings
from voice_agent.engines.fakes import FakeLlm, FakeStt, FakeTurnDetector
from voice_agent.session.listening import ListeningSettings
from voice_agent.session.prompt import CUT_OFF_MARK
from voice_agent.session.report import TurnReport
from voice_agent.transports.base import Control

COUNT = "One two three four five six seven eight nine ten."
BARGE_IN_S = 0.35


def test_a_quiet_turn() -> None:
    async def script(stage: Stage) -> None:
        await stage.says(loud(1.2))
        await stage.until(TurnReport)

    stage = perform(lambda: Stage(["Hello there my friend."]), script)
    [report] = stage.reports()
    assert stage.history() == [("user", "Hello there my friend."), ("agent", report.reply_text)]
    assert " ".join(stage.heard_words()) == report.reply_text == report.heard_text
    assert not report.interrupted
    assert report.speculation.hit
    assert report.speculation.wasted_tokens == 0
    assert report.voice_to_voice_ms is not None
    assert sum(report.waterfall_ms.values()) == pytest.approx(report.voice_to_voice_ms, abs=1.0)
    spoken_until = stage.onsets_s()[0] + 1.2
    assert stage.heard()[0].start_s - spoken_until == pytest.approx(report.voice_to_voice_ms / 1000.0, abs=0.1)


def test_a_pause_in_mid_sentence_makes_one_turn() -> None:
    async def script(stage: Stage) -> None:
        await stage.says(loud(1.0), quiet(0.3), loud(1.0))
        await stage.until(TurnReport)

    stage = perform(lambda: Stage(["I want to book a table."], turn=FakeTurnDetector(0.3)), script)
    assert stage.user_turns() == ["I want to book a table."]
    assert len(stage.reports()) == 1
    assert stage.of(do.RequestFinal)[-1].utterance_id == 2


def test_a_barge_in_stops_the_agent_quickly_and_history_holds_what_was_heard() -> None:
    async def script(stage: Stage) -> None:
        await stage.says(loud(1.2))
        await stage.until_heard(3)
        await stage.says(loud(1.0))
        await stage.until(do.RecordReply)
        await stage.until(do.RecordReply)

    stage = perform(lambda: Stage(["Please count to ten.", "No, stop it."], llm=FakeLlm(COUNT, delay_s=0.1)), script)
    first, second = stage.reports()[:2]
    cut = [heard for heard in stage.heard() if heard.start_s < stage.onsets_s()[1] + 1.0][-1]
    assert cut.end_s - stage.onsets_s()[1] < BARGE_IN_S
    assert first.interrupted
    assert stage.history()[1] == ("agent", first.heard_text)
    assert COUNT.startswith(first.heard_text)
    assert len(stage.heard_words()) > len(first.heard_text.split())
    assert second.user_text == "No, stop it."
    asked = [message.content for message in stage.llm.requests[-1].messages if message.role == "assistant"]
    assert asked == [first.heard_text + CUT_OFF_MARK]


def test_a_backchannel_does_not_stop_the_agent() -> None:
    async def script(stage: Stage) -> None:
        await stage.says(loud(1.2))
        await stage.until_heard(3)
        await stage.says(loud(0.35))
        await stage.until(TurnReport)

    stage = perform(lambda: Stage(["Please count to ten.", "mhm"], llm=FakeLlm(COUNT)), script)
    assert " ".join(stage.heard_words()) == COUNT
    assert not stage.of(do.PausePlayout)
    assert stage.user_turns() == ["Please count to ten."]


def test_after_a_false_barge_in_the_agent_goes_on_with_the_word_that_was_cut() -> None:
    async def script(stage: Stage) -> None:
        await stage.says(loud(1.2))
        await stage.until_heard(3)
        await stage.says(loud(0.8))
        await stage.until(TurnReport)

    stage = perform(lambda: Stage(["Please count to ten.", ""], llm=FakeLlm(COUNT)), script)
    [report] = stage.reports()
    assert stage.of(do.PausePlayout)
    assert stage.of(do.ResumePlayout)
    words = COUNT.split()
    heard = stage.heard()
    cut = next(index for index, (one, other) in enumerate(itertools.pairwise(heard)) if one.word == other.word)
    assert [piece.word for piece in heard] == [*words[: cut + 1], *words[cut:]], "one word twice, none missing"
    assert heard[cut].end_s - heard[cut].start_s < stage.tts.word_s, "it was cut ..."
    assert heard[cut + 1].end_s - heard[cut + 1].start_s == pytest.approx(stage.tts.word_s), "... and said again as a whole"
    assert heard[cut + 1].start_s > heard[cut].end_s
    assert report.heard_text == COUNT
    assert not report.interrupted


def test_several_false_barge_ins_lose_no_word() -> None:
    async def script(stage: Stage) -> None:
        await stage.says(loud(1.2))
        for words in (2, 5, 7):
            await stage.until_heard(words)
            await stage.says(loud(0.8), quiet(0.6))
        await asyncio.sleep(5.0)

    stage = perform(lambda: Stage(["Please count to ten."], llm=FakeLlm(COUNT)), script)
    assert len(stage.of(do.ResumePlayout)) == 3
    whole = [heard.word for heard in stage.heard() if heard.end_s - heard.start_s > stage.tts.word_s - 0.001]
    assert whole == COUNT.split()
    assert stage.history()[-1] == ("agent", COUNT)


def test_noise_alone_costs_no_reply() -> None:
    async def script(stage: Stage) -> None:
        for _ in range(5):
            await stage.says(loud(0.3), quiet(2.0))

    stage = perform(lambda: Stage([""] * 5), script)
    assert not stage.llm.requests
    assert not stage.heard()
    assert [discard.reason for discard in stage.of(do.DiscardTurn)] == ["empty"] * 5


def test_noise_between_the_turn_and_its_reply_only_delays_it() -> None:
    async def script(stage: Stage) -> None:
        await stage.says(loud(1.2))
        await stage.until(do.CommitReply)
        await stage.says(loud(0.3))
        await stage.until(TurnReport)

    stage = perform(lambda: Stage(["Please count to ten.", ""], llm=FakeLlm(COUNT, delay_s=2.0)), script)
    assert " ".join(stage.heard_words()) == COUNT
    assert stage.of(do.ResumePlayout)


def test_a_text_turn() -> None:
    async def script(stage: Stage) -> None:
        stage.transport.type_text("What is two plus two?")
        await stage.until(TurnReport)

    stage = perform(lambda: Stage(llm=FakeLlm("Four, I think.")), script)
    assert stage.history() == [("user", "What is two plus two?"), ("agent", "Four, I think.")]
    [report] = stage.reports()
    assert not report.speculation.hit
    assert report.voice_to_voice_ms is not None


def test_text_during_speech_is_answered_together_with_it() -> None:
    async def script(stage: Stage) -> None:
        stage.transport.say(loud(1.5))
        await asyncio.sleep(0.7)
        stage.transport.type_text("A table for two.")
        await stage.until(TurnReport)

    stage = perform(lambda: Stage(["At seven this evening, please."]), script)
    assert stage.user_turns() == ["A table for two.", "At seven this evening, please."]
    assert len(stage.reports()) == 1
    last = stage.llm.requests[-1].messages[-1]
    assert last.content == "A table for two.\nAt seven this evening, please."


def test_two_speakers_talking_over_each_other_are_answered_once() -> None:
    async def script(stage: Stage) -> None:
        stage.transport.say(loud(1.5), speaker="ann")
        await asyncio.sleep(0.5)
        stage.transport.say(loud(2.0), speaker="bob")
        await stage.until(TurnReport)

    stage = perform(lambda: Stage(["I want tea please.", "And I want coffee please."], speakers=("ann", "bob")), script)
    assert [(c.speaker, c.text) for c in stage.of(do.CommitTurn)] == [
        ("ann", "I want tea please."),
        ("bob", "And I want coffee please."),
    ]
    assert stage.llm.requests[-1].messages[-1].content == "ann: I want tea please.\nbob: And I want coffee please."
    assert len(stage.reports()) == 1


def test_a_speaker_who_leaves_in_mid_sentence_does_not_hold_up_the_others() -> None:
    async def script(stage: Stage) -> None:
        stage.transport.say(loud(60.0), speaker="ann")
        await stage.says(loud(1.0), speaker="bob")
        await asyncio.sleep(2.0)
        assert not stage.of(do.CommitTurn)
        stage.transport.leave("ann")
        await stage.until(TurnReport)

    stage = perform(lambda: Stage(["Once upon a time.", "I want coffee."], speakers=("ann", "bob")), script)
    assert [commit.speaker for commit in stage.of(do.CommitTurn)] == ["bob"]


def test_who_comes_back_is_not_confused_with_what_they_said_before() -> None:
    async def script(stage: Stage) -> None:
        await stage.says(loud(1.0), quiet(0.1), speaker="ann")
        stage.transport.leave("ann")
        await asyncio.sleep(0.01)
        stage.transport.join("ann")
        await stage.says(quiet(0.3), loud(0.8), speaker="ann")
        await stage.until(TurnReport)

    stage = perform(lambda: Stage(stt=FakeStt(["Never mind that.", "I want coffee."], delay_s=1.5), speakers=("ann",)), script)
    assert len(stage.of(do.RequestFinal)) == 2
    assert stage.user_turns() == ["I want coffee."]


# ---------------------------------------------------------------- by hand


BY_HAND = ConversationSettings(automatic_turns=False, automatic_replies=False)


def test_by_hand() -> None:
    async def script(stage: Stage) -> None:
        await stage.says(loud(1.5), quiet(3.0))
        assert not stage.of(do.RequestFinal)
        stage.transport.control(Control(kind="commit", speaker="user"))
        await stage.until(do.CommitTurn)
        await asyncio.sleep(5.0)
        assert not stage.llm.requests
        stage.transport.control(Control(kind="reply", text="Be brief."))
        await stage.until(TurnReport)

    stage = perform(
        lambda: Stage(["Hello there my friend."], conversation=BY_HAND, listening=ListeningSettings(manual=True)), script
    )
    assert stage.user_turns() == ["Hello there my friend."]
    assert stage.llm.requests[-1].messages[0].content.endswith("Be brief.")


def test_by_hand_what_was_said_can_be_withdrawn() -> None:
    async def script(stage: Stage) -> None:
        await stage.says(loud(1.5))
        stage.transport.control(Control(kind="clear", speaker="user"))
        await stage.says(loud(1.5))
        stage.transport.control(Control(kind="commit", speaker="user"))
        stage.transport.control(Control(kind="reply"))
        await stage.until(TurnReport)

    stage = perform(
        lambda: Stage(["Not this one.", "But this one."], conversation=BY_HAND, listening=ListeningSettings(manual=True)), script
    )
    assert stage.user_turns() == ["But this one."]


def test_the_person_can_stop_the_agent_by_hand() -> None:
    async def script(stage: Stage) -> None:
        stage.transport.type_text("Please count.")
        await stage.until_heard(3)
        stage.transport.control(Control(kind="cancel"))
        await stage.until(TurnReport)
        await asyncio.sleep(5.0)

    stage = perform(lambda: Stage(llm=FakeLlm(COUNT)), script)
    [report] = stage.reports()
    assert report.interrupted
    assert len(stage.heard_words()) <= 4


# ---------------------------------------------------------------- silence, gaps, haste


def test_ten_minutes_of_silence_cost_no_reply() -> None:
    async def script(stage: Stage) -> None:
        await asyncio.sleep(600.0)

    stage = perform(Stage, script)
    assert [type(what).__name__ for _, what in stage.seen] == ["SpeakerJoined", "Disconnected", "EndSession"]
    assert not stage.llm.requests


def test_idle_asks_once() -> None:
    async def script(stage: Stage) -> None:
        await asyncio.sleep(120.0)

    settings = ConversationSettings(idle_timeout_s=10.0, idle_reply=True)
    stage = perform(lambda: Stage(conversation=settings, llm=FakeLlm("Are you still there?")), script)
    assert stage.heard_words() == ["Are", "you", "still", "there?"]
    assert len(stage.of(do.ReportIdle)) == 1


def test_a_stream_that_stops_ends_the_turn() -> None:
    async def script(stage: Stage) -> None:
        stage.transport.say(loud(1.2))
        await asyncio.sleep(1.0)
        stage.transport.mute("user")
        await stage.until(TurnReport)

    stage = perform(lambda: Stage(["Hello there my friend."]), script)
    assert stage.user_turns() == ["Hello there my friend."]


def test_a_stream_that_stops_and_goes_on_is_heard_again() -> None:
    async def script(stage: Stage) -> None:
        stage.transport.mute("user")
        await asyncio.sleep(3.0)
        stage.transport.unmute("user")
        for _ in range(2):
            await stage.says(loud(1.0))
            await stage.until(TurnReport)
            stage.transport.mute("user")
            await asyncio.sleep(3.0)
            stage.transport.unmute("user")

    stage = perform(lambda: Stage(["One two three.", "Four five six."]), script)
    assert stage.user_turns() == ["One two three.", "Four five six."]


@pytest.mark.parametrize("block_s", [0.02, 0.1, 2.0, 30.0])
def test_audio_that_comes_faster_than_it_was_spoken(block_s: float) -> None:
    async def script(stage: Stage) -> None:
        stage.transport.mute("user")
        audio = np.concatenate([quiet(0.5), loud(1.2), quiet(3.0)])
        step = round(block_s * 16_000)
        for start in range(0, audio.size, step):
            stage.transport.send_audio(audio[start : start + step])
        await stage.until(TurnReport)

    stage = perform(lambda: Stage(["Hello there my friend."]), script)
    assert stage.user_turns() == ["Hello there my friend."]
    [report] = stage.reports()
    assert report.heard_text == report.reply_text


@pytest.mark.parametrize("block_s", [0.02, 0.1, 0.5])
def test_large_blocks_lose_no_utterance(block_s: float) -> None:
    """A block may hold the end of one turn's hold and the start of the next utterance."""

    async def script(stage: Stage) -> None:
        stage.transport.mute("user")
        audio = np.concatenate([loud(0.7), quiet(0.47), loud(0.7), quiet(0.53), loud(0.7), quiet(0.61), loud(0.7), quiet(3.0)])
        step = round(block_s * 16_000)
        for start in range(0, audio.size, step):
            await asyncio.sleep(block_s)
            stage.transport.send_audio(audio[start : start + step])
        await asyncio.sleep(10.0)

    said = ["one one one.", "two two two.", "three three three.", "four four four."]
    stage = perform(lambda: Stage(stt=FakeStt(said, delay_s=0.02), llm=FakeLlm("Fine.")), script)
    assert "".join(stage.user_turns()), "something was understood"
    assert not [discard for discard in stage.of(do.DiscardTurn) if discard.reason == "empty"], "no utterance was lost"
