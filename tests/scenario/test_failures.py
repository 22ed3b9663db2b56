"""Engines and connections that fail, hang or are slow; leaving at every moment."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import cast

import numpy as np
import pytest

from tests.scenario.stage import CLOSES_WITHIN_S, CodedTts, Stage, StageTransport, loud, perform, quiet
from tests.virtual_time import run_virtual
from voice_agent.audio.pcm import Pcm16, Samples
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.state import Replying
from voice_agent.engines.base import LlmDelta, LlmRequest, SpeechChunk, SpeechRequest, TextDelta, Transcript
from voice_agent.engines.fakes import FakeLlm, FakeStt, FakeSttStream, FakeVad, FakeVadStream
from voice_agent.errors import EngineFailed, TransportError
from voice_agent.session.notices import notice_text
from voice_agent.session.report import TurnReport
from voice_agent.session.session import Observed
from voice_agent.transports.base import Input

COUNT = "One two three, four five six, seven eight nine ten."
SORRY = notice_text("reply_lost", "en")
WHAT = notice_text("not_understood", "en")
FOR_EVER_S = 3600.0


def broken(engine: str = "fake") -> EngineFailed:
    return EngineFailed("It broke", engine=engine)


class LlmThatStops(FakeLlm):
    """Writes some words, then breaks or hangs. `times`: so often, then it answers."""

    def __init__(self, *, words: int, hangs: bool = False, times: int = 1000) -> None:
        super().__init__(COUNT)
        self.words, self.hangs, self.times = words, hangs, times

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmDelta]:
        if self.times <= 0:
            async for delta in super().stream(request):
                yield delta
            return
        self.times -= 1
        for word in COUNT.split()[: self.words]:
            yield TextDelta(text=word + " ")
        if self.hangs:
            await asyncio.sleep(FOR_EVER_S)
        raise broken()


class TtsThatStops(CodedTts):
    """Speaks the first clause of `COUNT`, and breaks or hangs at the others."""

    def __init__(self, *, hangs: bool = False) -> None:
        super().__init__()
        self.hangs = hangs

    async def speak(self, request: SpeechRequest, *, session: str) -> AsyncIterator[SpeechChunk]:
        if not request.text.startswith("One") and request.text.strip() in COUNT:
            if self.hangs:
                await asyncio.sleep(FOR_EVER_S)
            raise broken()
        async for chunk in super().speak(request, session=session):
            yield chunk


def one_turn(stage: Callable[[], Stage], *, lasts_s: float = 60.0) -> Stage:
    """One spoken turn and what comes of it. Afterwards the agent must listen again."""

    async def script(made: Stage) -> None:
        await made.says(loud(1.2))
        await asyncio.sleep(lasts_s)
        assert made.session.machine.reply.state is Replying.NONE
        assert not any(speaker.open for speaker in made.session.machine.speakers)

    return perform(stage, script)


# ---------------------------------------------------------------- speech to text


class FinalsFail(FakeStt):
    """Partials come, finals never do."""

    def stream(self, *, session: str, language: str | None = None, hint: str = "") -> FakeSttStream:
        return _FinalsFailStream(self)


class _FinalsFailStream(FakeSttStream):
    async def final(self) -> Transcript:
        raise broken()


def test_a_recogniser_that_fails_after_partials_loses_nothing() -> None:
    made = one_turn(lambda: Stage(stt=FinalsFail(["Hello there my friend."])))
    assert made.user_turns() == ["Hello there my friend."]
    assert made.reports()[0].heard_text


def test_a_recogniser_that_fails_is_told_by_voice() -> None:
    made = one_turn(lambda: Stage([broken()]))
    assert made.user_turns() == []
    assert " ".join(made.heard_words()) == WHAT


def test_a_recogniser_that_hangs_is_told_by_voice() -> None:
    made = one_turn(lambda: Stage(stt=FakeStt([""], delay_s=FOR_EVER_S)))
    assert " ".join(made.heard_words()) == WHAT


def test_a_recogniser_that_hangs_does_not_silence_the_agent() -> None:
    async def script(stage: Stage) -> None:
        await stage.says(loud(1.2))
        await stage.until_heard(2)
        stage.stt.delay_s = FOR_EVER_S
        await stage.says(loud(0.8))
        await asyncio.sleep(60.0)

    made = perform(lambda: Stage(["Please count to ten.", ""], llm=FakeLlm(COUNT)), script)
    assert made.of(do.ResumePlayout)
    assert ("agent", COUNT) in made.history()


def test_a_slow_recogniser_only_delays_the_reply() -> None:
    made = one_turn(lambda: Stage(stt=FakeStt(["Hello there my friend."], delay_s=3.0)))
    assert made.user_turns() == ["Hello there my friend."]
    assert made.reports()[0].heard_text


def test_two_utterances_and_a_recogniser_that_answers_only_the_second() -> None:
    async def script(stage: Stage) -> None:
        await stage.says(loud(1.0), quiet(0.2))
        stage.stt.delay_s = 0.1
        await stage.says(loud(1.0))
        await stage.until(TurnReport)

    made = perform(lambda: Stage(stt=FakeStt(["I want to book a table."], delay_s=FOR_EVER_S)), script)
    assert made.user_turns() == ["I want to book a table."]


# ---------------------------------------------------------------- language model


def test_a_model_that_fails_is_asked_again_once_and_then_excused() -> None:
    made = one_turn(lambda: Stage(["Hello there my friend."], llm=FakeLlm(lambda _request: broken())))
    assert len(made.llm.requests) == 2
    assert " ".join(made.heard_words()) == SORRY
    assert made.reports()[0].failed == "engine.failed"


def test_a_draft_that_failed_costs_nothing_when_the_second_try_works() -> None:
    made = one_turn(lambda: Stage(["Hello there my friend."], llm=LlmThatStops(words=0, times=1)))
    assert " ".join(made.heard_words()) == COUNT
    assert not made.of(do.SayText)


@pytest.mark.parametrize("words", [1, 4, 8])
def test_what_was_said_of_a_broken_reply_stands_in_history_and_no_more(words: int) -> None:
    made = one_turn(lambda: Stage(["Hello there my friend."], llm=LlmThatStops(words=words)))
    heard = made.heard_words()
    sorry = len(SORRY.split())
    assert " ".join(heard[-sorry:]) == SORRY
    [broke, *_] = made.reports()
    assert broke.failed == "engine.failed"
    assert broke.heard_text.split() == heard[:-sorry]
    spoken = [text for role, text in made.history() if role == "agent"]
    assert spoken == [text for text in (broke.heard_text, SORRY) if text]


@pytest.mark.parametrize("words", [0, 4])
def test_a_model_that_hangs_is_given_up(words: int) -> None:
    made = one_turn(lambda: Stage(["Hello there my friend."], llm=LlmThatStops(words=words, hangs=True)), lasts_s=120.0)
    assert " ".join(made.heard_words()).endswith(SORRY)
    assert made.reports()[0].failed == "reply.timeout"


def test_a_slow_model_only_delays_the_reply() -> None:
    made = one_turn(lambda: Stage(["Hello there my friend."], llm=FakeLlm(COUNT, delay_s=8.0, word_delay_s=0.5)))
    assert " ".join(made.heard_words()) == COUNT
    assert not made.of(do.SayText)


@pytest.mark.parametrize("answer", ["", "   ", "..."])
def test_an_empty_reply_does_not_leave_the_agent_waiting(answer: str) -> None:
    made = one_turn(lambda: Stage(["Hello there my friend."], llm=FakeLlm(answer)))
    assert made.of(do.RecordReply)


# ---------------------------------------------------------------- text to speech


def test_a_voice_that_fails_from_the_start_leaves_a_failed_reply_and_goes_on_listening() -> None:
    made = one_turn(lambda: Stage(["Hello there my friend."], tts=CodedTts(fail=broken())))
    assert not made.heard()
    assert [report.failed for report in made.reports()] == ["engine.failed", "engine.failed"], "the reply and the apology"
    assert [role for role, _ in made.history()] == ["user"]


def test_a_clause_that_was_not_spoken_is_not_in_history() -> None:
    made = one_turn(lambda: Stage(["Hello there my friend."], llm=FakeLlm(COUNT), tts=TtsThatStops()))
    first = made.reports()[0]
    assert first.failed == "engine.failed"
    assert first.heard_text == made.tts.spoken[0].strip()
    assert len(first.heard_text) < len(COUNT)
    assert " ".join(made.heard_words()) == f"{first.heard_text} {SORRY}"


def test_a_voice_that_hangs_is_given_up() -> None:
    made = one_turn(lambda: Stage(["Hello there my friend."], llm=FakeLlm(COUNT), tts=TtsThatStops(hangs=True)), lasts_s=120.0)
    first = made.reports()[0]
    assert first.failed == "reply.timeout"
    assert " ".join(made.heard_words()) == f"{first.heard_text} {SORRY}"


def test_a_slow_voice_loses_no_word() -> None:
    made = one_turn(lambda: Stage(["Hello there my friend."], llm=FakeLlm(COUNT), tts=CodedTts(delay_s=4.0)))
    assert " ".join(made.heard_words()) == COUNT
    assert made.history()[-1] == ("agent", COUNT)


# ---------------------------------------------------------------- everything


def test_when_everything_fails_the_session_lives() -> None:
    async def script(stage: Stage) -> None:
        for _ in range(3):
            await stage.says(loud(1.2))
            await asyncio.sleep(30.0)
        stage.transport.type_text("Anybody there?")
        await asyncio.sleep(30.0)
        assert stage.session.machine.reply.state is Replying.NONE

    llm = FakeLlm(lambda _request: broken())
    made = perform(lambda: Stage([broken(), broken(), "Hello?"], llm=llm, tts=CodedTts(fail=broken())), script)
    assert not made.heard()
    assert made.of(do.EndSession)[0].reason == "closed"


class DeafVad(FakeVad):
    def stream(self) -> FakeVadStream:
        return _DeafStream()


class _DeafStream(FakeVadStream):
    def probability(self, window: Samples) -> float:
        raise broken("vad")


def test_a_session_that_cannot_hear_ends_and_says_why() -> None:
    async def script(stage: Stage) -> None:
        stage.transport.say(loud(0.5))
        await asyncio.sleep(1.0)

    made = perform(lambda: Stage(vad=DeafVad()), script)
    assert made.of(do.EndSession)[0].reason == "engine.failed"


class NoWay(StageTransport):
    """Breaks after a while, on the way in or out."""

    def __init__(self, *, way: str, error: Exception) -> None:
        super().__init__(speakers=("user",), tap=lambda _in, _out: None)
        self.way, self.error = way, error

    async def inputs(self) -> AsyncGenerator[Input, None]:
        count = 0
        async with contextlib.aclosing(cast(AsyncGenerator[Input, None], super().inputs())) as inputs:
            async for item in inputs:
                yield item
                count += 1
                if self.way == "in" and count > 200:
                    raise self.error

    async def write(self, pcm: Pcm16) -> None:
        if self.way == "out":
            raise self.error
        await super().write(pcm)


@pytest.mark.parametrize("way", ["in", "out"])
@pytest.mark.parametrize(
    ("error", "reason"), [(TransportError("Broken"), "transport.failed"), (ConnectionResetError("reset"), "internal")]
)
def test_a_transport_that_breaks_ends_the_session(way: str, error: Exception, reason: str) -> None:
    async def script(stage: Stage) -> None:
        await stage.says(loud(1.2))
        await asyncio.sleep(10.0)

    made = perform(lambda: Stage(["Hello there my friend."], transport=NoWay(way=way, error=error)), script)
    assert made.of(do.EndSession)[0].reason == reason


# ---------------------------------------------------------------- leaving


async def busy(stage: Stage) -> None:
    """Something of everything: a turn with a pause, a barge-in, a false one, a text, a failed reply."""
    await stage.says(loud(0.8), quiet(0.2), loud(0.8))
    await stage.until_heard(2)
    await stage.says(loud(1.0))
    await asyncio.sleep(2.5)
    await stage.says(loud(0.8))
    stage.transport.type_text("And by text?")
    await asyncio.sleep(3.0)


def busy_stage() -> Stage:
    return Stage(["Please count to ten.", "No, stop it.", ""], llm=FakeLlm(COUNT, delay_s=0.2, word_delay_s=0.05))


def moments() -> int:
    """How many events and effects the busy conversation has (without those that only count audio)."""
    made = perform(busy_stage, busy)
    return sum(not isinstance(what, on.AudioAdvanced) for _, what in made.seen)


def leave_at(moment: int, how: str) -> Stage:
    """The busy conversation until its event or effect number `moment`; then the person is gone, or the session is closed."""

    async def play() -> Stage:
        made = busy_stage()
        seen = itertools.count()
        gone = asyncio.Event()

        def count(what: Observed) -> None:
            if not isinstance(what, on.AudioAdvanced) and next(seen) == moment:
                if how == "hangs up":
                    made.transport.hang_up()
                gone.set()

        made.on_observed = count
        async with made:
            script = asyncio.ensure_future(busy(made))
            await gone.wait()
            script.cancel()
            await asyncio.wait([script])
            if how == "hangs up":
                await made.until_ended()
        return made

    return run_virtual(play())


@pytest.mark.parametrize("how", ["hangs up", "is closed"])
def test_leaving_at_every_moment_ends_quickly_and_leaves_nothing(how: str) -> None:
    """`Stage` and `run_virtual` look for tasks that were left."""
    count = moments()
    assert count > 60
    for moment in range(count - 2):
        made = leave_at(moment, how)
        assert made.closing_took_s <= CLOSES_WITHIN_S, f"at {moment}"
        [end] = made.of(do.EndSession)
        assert end.reason == ("left" if how == "hangs up" else "closed")
        assert made.seen[-1][1] is end
        recorded = [record.reply_id for record in made.of(do.RecordReply)]
        assert len(recorded) == len(set(recorded))


def test_a_session_can_be_cancelled_at_any_time() -> None:
    async def play() -> None:
        made = busy_stage()
        running = asyncio.ensure_future(made.session.run())
        await asyncio.sleep(2.0)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        await made.session.aclose()

    run_virtual(play())


def test_closing_twice_and_before_the_start_is_nothing() -> None:
    async def play() -> None:
        made = busy_stage()
        await made.session.aclose()
        async with made:
            await made.session.aclose()

    run_virtual(play())


def test_leaving_while_the_inbox_is_full_leaves_no_task() -> None:
    async def script(stage: Stage) -> None:
        stage.transport.mute("user")
        for block in np.array_split(loud(5.0), 240):
            stage.transport.send_audio(block)
        await asyncio.sleep(0)

    perform(Stage, script)
