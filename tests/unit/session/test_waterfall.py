"""Where the time went."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.session.notices import notice_text
from voice_agent.session.waterfall import MARKS, Waterfall


def test_stages_are_the_way_from_mark_to_mark() -> None:
    waterfall = Waterfall()
    for name, at in (("speech_end", 1.0), ("vad", 1.1), ("stt", 1.3), ("llm", 1.4), ("hold", 1.35), ("playout", 1.6)):
        waterfall.mark(name, at)  # type: ignore[arg-type]  # plain strings in a table
    assert waterfall.stages_ms() == {"vad": 100.0, "stt": 200.0, "llm": 100.0, "hold": 0.0, "playout": 200.0}
    assert waterfall.total_ms() == 600.0


def test_the_first_time_counts() -> None:
    waterfall = Waterfall()
    waterfall.mark("llm", 1.0)
    waterfall.mark("llm", 2.0)
    assert waterfall.marks == {"llm": 1.0}


def test_what_was_never_heard_has_no_total() -> None:
    assert Waterfall({"speech_end": 1.0}).total_ms() is None


@given(st.lists(st.floats(0.0, 10.0), min_size=len(MARKS) - 2, max_size=len(MARKS) - 2))
def test_stages_add_up_to_the_whole(between: list[float]) -> None:
    waterfall = Waterfall(dict(zip(MARKS, [0.0, *between, 10.0], strict=True)))
    assert sum(waterfall.stages_ms().values()) == pytest.approx(10_000.0, abs=1.0)


def test_notices_are_said_in_the_persons_language_or_in_english() -> None:
    assert notice_text("not_understood", "es-MX") == notice_text("not_understood", "es")
    assert notice_text("not_understood", "es") != notice_text("not_understood", "en")
    assert notice_text("reply_lost", "xx") == notice_text("reply_lost", "en")
