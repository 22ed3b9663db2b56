"""The stream of one listener: bounded, alive, without words unless asked."""

import contextlib

import orjson
import pytest

from voice_agent.api.own.feed import LISTENERS_LIMIT, QUEUE_LIMIT, Feed, Listener
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.transcript import Item
from voice_agent.errors import OverloadedError
from voice_agent.session.report import Speculation, TurnReport
from voice_agent.session.session import Observed

REPORT = TurnReport(
    turn=1,
    reply_id=1,
    user_text="my secret",
    confidence=0.9,
    language="en",
    reply_text="your secret",
    heard_text="your",
    interrupted=True,
    failed="",
    engines={"llm": "fake (script)"},
    waterfall_ms={"vad": 1.0},
    voice_to_voice_ms=1.0,
    speculation=Speculation(hit=True, wasted_tokens=0, drafts=0),
)


async def told(listener: Listener) -> list[tuple[str, dict[str, object]]]:
    """Everything, after the feed was closed."""
    frames = [frame async for frame in listener.frames()]
    assert all(frame.endswith("\n\n") for frame in frames)
    lines = [dict(line.split(": ", 1) for line in frame.splitlines() if line) for frame in frames]
    return [(fields["event"], orjson.loads(fields["data"])) for fields in lines]


async def test_a_slow_reader_loses_the_oldest_and_is_told_how_many() -> None:
    feed = Feed()
    with feed.listen(content=True) as listener:
        for number in range(QUEUE_LIMIT + 3):
            feed.tell(float(number), do.StopPlayout(reply_id=number))
        feed.close()
        events = await told(listener)
    assert events[0] == ("dropped", {"type": "dropped", "count": 3})
    assert events[1] == ("effect", {"now": 3.0, "type": "StopPlayout", "reply_id": 3})
    assert len(events) == QUEUE_LIMIT + 2
    assert events[-1][0] == "end"


async def test_a_comment_comes_when_nothing_happens() -> None:
    feed = Feed()
    with feed.listen(content=False) as listener:
        frames = listener.frames(heartbeat_s=0.001)
        assert (await anext(frames)).startswith(":")
        feed.tell(1.0, on.SpeechStarted(speaker="user", utterance_id=1, at=0.9))
        while (frame := await anext(frames)).startswith(":"):
            pass
    assert frame.startswith("id: 1\nevent: event\n")


async def test_words_are_told_only_where_asked() -> None:
    happened: list[Observed] = [
        on.TranscriptFinal(speaker="Joseph", utterance_id=1, text="my secret", language="en"),
        on.ItemInserted(item=Item(item_id="item_9", role="user", text="secret", at=1.0)),
        on.ReplyRequested(instructions="be secret"),
        do.CallTool(reply_id=1, item_id="item_2", call_id="c", name="secret", arguments='{"secret": 1}'),
        REPORT,
    ]
    feed = Feed()
    with feed.listen(content=True) as open_one, feed.listen(content=False) as other:
        for number, what in enumerate(happened):
            feed.tell(float(number), what)
        feed.close()
        seen, redacted = await told(open_one), await told(other)
    assert orjson.dumps(seen).count(b"secret") == 7
    assert b"secret" not in orjson.dumps(redacted)
    assert b"Joseph" not in orjson.dumps(redacted)
    assert [kind for kind, _ in seen] == [kind for kind, _ in redacted]


async def test_audio_that_advances_is_told_to_nobody() -> None:
    feed = Feed()
    with feed.listen(content=True) as listener:
        feed.tell(1.0, on.AudioAdvanced(speaker="user", at=1.0))
        feed.close()
        assert [kind for kind, _ in await told(listener)] == ["end"]


async def test_who_comes_late_is_told_the_end() -> None:
    feed = Feed()
    feed.close()
    with feed.listen(content=True) as listener:
        assert [kind for kind, _ in await told(listener)] == ["end"]


def test_listeners_are_bounded_and_forgotten_when_they_go() -> None:
    feed = Feed()
    with feed.listen(content=True):
        assert len(feed) == 1
    assert len(feed) == 0
    with contextlib.ExitStack() as listening:
        for _ in range(LISTENERS_LIMIT):
            listening.enter_context(feed.listen(content=True))
        with pytest.raises(OverloadedError):
            feed.check_room()
