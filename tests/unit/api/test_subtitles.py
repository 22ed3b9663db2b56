import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.api.subtitles import CUE_CHARS, CUE_S, LINE_CHARS, cues, srt, vtt
from voice_agent.api.transcribing import Segment, estimated_words
from voice_agent.engines.base import INPUT_RATE, Word


def segment(text: str, start_s: float, end_s: float) -> Segment:
    voiced = [(round(start_s * INPUT_RATE), round(end_s * INPUT_RATE))]
    words = estimated_words(text, voiced)
    return Segment(text=text, start_s=start_s, end_s=end_s, confidence=0.9, language="en", words=words, estimated=True)


def test_srt() -> None:
    assert srt([segment("Hello there.", 0.5, 1.25), segment("Bye.", 3661.0, 3662.0)]) == (
        "1\n00:00:00,500 --> 00:00:01,250\nHello there.\n\n2\n01:01:01,000 --> 01:01:02,000\nBye.\n\n"
    )


def test_vtt() -> None:
    assert vtt([segment("Is 1 < 2 & 3 --> 4?", 0.0, 1.0)]) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nIs 1 &lt; 2 &amp; 3 --&gt; 4?\n\n"
    )


def test_nothing_said() -> None:
    assert srt([]) == ""
    assert vtt([]) == "WEBVTT\n\n"


def test_a_long_segment_is_cut_after_a_sentence_or_a_clause() -> None:
    text = "This is the first one. Here the second one begins, and after the comma it goes on for a good long while yet, too."
    found = [cue.text for cue in cues([segment(text, 0.0, 9.0)])]
    assert found == [
        "This is the first one.",
        "Here the second one begins,",
        "and after the comma it goes on for a good long while yet, too.",
    ]


def test_a_pause_is_as_good_as_a_comma() -> None:
    words = [
        Word(text=f"word{n}", start_s=n * 0.5 + (2.0 if n >= 7 else 0.0), end_s=n * 0.5 + 0.5 + (2.0 if n >= 7 else 0.0))
        for n in range(14)
    ]
    long = Segment(
        text=" ".join(word.text for word in words),
        start_s=0.0,
        end_s=9.0,
        confidence=1.0,
        language="en",
        words=tuple(words),
        estimated=False,
    )
    assert [len(cue.text.split()) for cue in cues([long])] == [7, 7]


@given(
    st.lists(st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=30), min_size=1, max_size=80),
    st.floats(0.1, 25.0),
)
def test_cues_hold_every_word_once_and_can_be_read(words: list[str], seconds: float) -> None:
    long = segment(" ".join(words), 1.0, 1.0 + seconds)
    found = list(cues([long]))
    assert " ".join(cue.text for cue in found).split() == long.text.split()
    for cue in found:
        assert len(cue.text) <= CUE_CHARS
        assert cue.end_s - cue.start_s <= CUE_S + 1e-6 or len(cue.text.split()) == 1
        assert 1.0 <= cue.start_s <= cue.end_s <= 1.0 + seconds + 1e-3
    assert all(first.end_s <= second.start_s + 1e-9 for first, second in pairwise(found))
    blocks = srt([long]).strip().split("\n\n")
    for block in blocks:
        assert re.match(r"\d+\n\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}\n", block)
        assert all(len(line) <= LINE_CHARS for line in block.splitlines()[2:])


@pytest.mark.parametrize("text", ["one", "one two three four"])
def test_estimated_words_keep_to_the_speech(text: str) -> None:
    words = estimated_words(text, [(0, 16_000), (32_000, 48_000)])
    assert words[0].start_s == 0.0
    assert words[-1].end_s == 3.0
    if len(words) > 1:
        assert [word.text for word in words if word.end_s <= 1.0] == ["one", "two"]
        assert [word.text for word in words if word.start_s >= 2.0] == ["three", "four"]


@given(
    st.lists(st.integers(1, 12), max_size=40),
    st.lists(st.tuples(st.integers(1, 50_000), st.integers(1, 50_000)), min_size=1, max_size=8),
)
def test_estimated_words_are_in_order(lengths: list[int], speech: list[tuple[int, int]]) -> None:
    voiced, position = [], 0
    for pause, length in speech:
        voiced.append((position + pause, position + pause + length))
        position += pause + length
    words = estimated_words(" ".join("x" * length for length in lengths), voiced)
    assert len(words) == len(lengths)
    times = [time for word in words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert all(voiced[0][0] / INPUT_RATE <= time <= voiced[-1][1] / INPUT_RATE for time in times)
