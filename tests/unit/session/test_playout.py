"""Playout: what was heard, where it goes on, and that it never says more than that."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from tests.virtual_time import run_virtual
from voice_agent.conversation.events import Event, PlayoutAdvanced, PlayoutFinished, PlayoutStarted
from voice_agent.engines.base import Word
from voice_agent.session.playout import Playout
from voice_agent.transports.in_memory import OUTPUT_RATE, InMemoryTransport

WORD_S = 0.3
TEXT = "one two three four"


class Rig:
    """A playout whose reply 1 has four words, one clause, all of its audio."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.transport = InMemoryTransport(speakers=())
        self.playout = Playout(self.transport, self.events.append)

    def fill(self, reply_id: int = 1, *, whole: bool = True) -> None:
        self.playout.begin(reply_id)
        self.playout.add_text(reply_id, TEXT)
        words = [Word(text=text, start_s=i * WORD_S, end_s=(i + 1) * WORD_S) for i, text in enumerate(TEXT.split())]
        pcm = np.full(round(len(words) * WORD_S * OUTPUT_RATE), 1000, dtype=np.int16)
        self.playout.append(reply_id, pcm, words, clause_start=0, text_start=0)
        self.playout.complete(reply_id, whole=whole)

    def heard(self) -> list[str]:
        return [event.heard for event in self.events if isinstance(event, PlayoutAdvanced)]

    def ends(self) -> list[str]:
        return [event.heard for event in self.events if isinstance(event, PlayoutFinished)]


def play(script: Callable[[Rig], Awaitable[None]]) -> Rig:
    async def main() -> Rig:
        rig = Rig()
        inputs = rig.transport.inputs()

        async def read() -> None:
            async for _ in inputs:
                raise AssertionError("nobody speaks")

        tasks = [asyncio.ensure_future(read()), asyncio.ensure_future(rig.playout.run())]
        await asyncio.sleep(0)
        await script(rig)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return rig

    return run_virtual(main())


def test_words_are_heard_one_after_the_other_and_then_all() -> None:
    async def script(rig: Rig) -> None:
        rig.fill()
        rig.playout.open(1)
        await asyncio.sleep(3.0)

    rig = play(script)
    assert rig.heard() == ["one", "one two", "one two three", TEXT]
    assert rig.ends() == [TEXT]
    assert isinstance(rig.events[0], PlayoutStarted)
    assert rig.transport.position() == round(4 * WORD_S * OUTPUT_RATE)


def test_nothing_is_heard_before_the_gate_is_open() -> None:
    async def script(rig: Rig) -> None:
        rig.fill()
        await asyncio.sleep(3.0)

    assert play(script).events == []


@pytest.mark.parametrize("at_s", [0.05, 0.45, 0.61, 1.1])
def test_after_a_pause_it_goes_on_with_the_word_that_was_cut(at_s: float) -> None:
    async def script(rig: Rig) -> None:
        rig.fill()
        rig.playout.open(1)
        await asyncio.sleep(at_s)
        rig.playout.pause(1)
        position = rig.transport.position()
        await asyncio.sleep(2.0)
        assert rig.transport.position() == position, "silent"
        rig.playout.open(1)
        await asyncio.sleep(3.0)

    rig = play(script)
    assert rig.ends() == [TEXT]
    assert rig.heard() == ["one", "one two", "one two three", TEXT]
    again = rig.transport.position() - round(4 * WORD_S * OUTPUT_RATE)
    assert 0 <= again < WORD_S * OUTPUT_RATE


def test_a_pause_before_the_first_sample_loses_nothing() -> None:
    async def script(rig: Rig) -> None:
        rig.fill()
        rig.playout.open(1)
        rig.playout.pause(1)
        rig.playout.pause(1)
        await asyncio.sleep(1.0)
        assert rig.events == []
        rig.playout.open(1)
        await asyncio.sleep(3.0)

    assert play(script).ends() == [TEXT]


def test_a_stopped_reply_is_silent_and_says_nothing_more() -> None:
    async def script(rig: Rig) -> None:
        rig.fill()
        rig.playout.open(1)
        await asyncio.sleep(0.5)
        rig.playout.stop(1)
        position, events = rig.transport.position(), len(rig.events)
        await asyncio.sleep(3.0)
        assert rig.transport.position() == position
        assert len(rig.events) == events

    assert play(script).ends() == []


def test_calls_for_another_reply_change_nothing() -> None:
    async def script(rig: Rig) -> None:
        rig.fill()
        rig.playout.open(1)
        for call in (rig.playout.pause, rig.playout.stop, rig.playout.open, rig.playout.complete):
            call(7)
        rig.playout.append(7, np.ones(10, dtype=np.int16), (), clause_start=0, text_start=0)
        rig.playout.add_text(7, "other")
        await asyncio.sleep(3.0)

    assert play(script).ends() == [TEXT]


def test_of_a_reply_that_is_not_whole_only_the_spoken_words_were_heard() -> None:
    async def script(rig: Rig) -> None:
        rig.fill(whole=False)
        rig.playout.add_text(1, " five six")
        rig.playout.open(1)
        await asyncio.sleep(3.0)

    assert play(script).ends() == [TEXT]


def test_audio_that_the_transport_loses_was_not_heard() -> None:
    async def script(rig: Rig) -> None:
        rig.fill()
        rig.playout.open(1)
        await asyncio.sleep(1.18)
        rig.transport.clear()
        await asyncio.sleep(10.0)

    rig = play(script)
    assert rig.ends() == ["one two three"]


def test_a_second_reply_begins_where_the_first_was_stopped() -> None:
    async def script(rig: Rig) -> None:
        rig.fill(1)
        rig.playout.open(1)
        await asyncio.sleep(0.5)
        rig.playout.stop(1)
        rig.fill(2)
        rig.playout.open(2)
        await asyncio.sleep(3.0)

    rig = play(script)
    finished = [event for event in rig.events if isinstance(event, PlayoutFinished)]
    assert [event.reply_id for event in finished] == [2]
    assert next(event.heard for event in rig.events if isinstance(event, PlayoutAdvanced) and event.reply_id == 2) == "one"


def test_synthesis_waits_when_much_lies_ready() -> None:
    async def script(rig: Rig) -> None:
        rig.playout.begin(1)
        rig.playout.append(1, np.ones(20 * OUTPUT_RATE, dtype=np.int16), (), clause_start=0, text_start=0)
        waiting = asyncio.ensure_future(rig.playout.room(1))
        await asyncio.sleep(1.0)
        assert not waiting.done()
        rig.playout.open(1)
        await asyncio.sleep(9.0)
        assert waiting.done()

    play(script)


def test_a_gap_within_a_reply_is_counted_once() -> None:
    async def script(rig: Rig) -> None:
        playout = rig.playout
        playout.begin(1)
        playout.open(1)
        playout.add_text(1, TEXT)
        piece = np.full(round(WORD_S * OUTPUT_RATE), 1000, dtype=np.int16)
        await asyncio.sleep(1.0)  # the listener waits for the reply to begin: no gap within it
        playout.append(1, piece, (), clause_start=0, text_start=0)
        await asyncio.sleep(1.0)
        playout.append(1, piece, (), clause_start=piece.size, text_start=0)
        playout.complete(1)
        await asyncio.sleep(1.0)

    assert play(script).playout.underruns == 1


def test_a_reply_without_gaps_has_none() -> None:
    async def script(rig: Rig) -> None:
        rig.fill()
        rig.playout.open(1)
        await asyncio.sleep(3.0)

    assert play(script).playout.underruns == 0
