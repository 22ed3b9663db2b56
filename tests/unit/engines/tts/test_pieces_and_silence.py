"""Long text in pieces; silence around a clause; times shared among words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.engines.tts.pieces import pieces
from voice_agent.engines.tts.silence import Pauses, first_audible, fit_tail, lead_samples
from voice_agent.engines.tts.speakable import speakable
from voice_agent.engines.tts.timing import WordTimes

RATE = 1000


@given(text=st.text(alphabet="ab .,\n。，é1", max_size=300), limit=st.integers(3, 60))
def test_pieces_join_to_the_text_and_keep_the_limit(text: str, limit: int) -> None:
    parts = list(pieces(text, limit))
    assert "".join(parts) == text
    assert all(0 < len(part) <= limit for part in parts)


def test_pieces_end_with_sentences_where_they_can() -> None:
    assert list(pieces("One two. Three four, five six seven", 16)) == ["One two.", " Three four,", " five six seven"]


def tone(silence_before: int, sound: int, silence_after: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.concatenate([np.zeros(silence_before), np.full(sound, 1000), np.zeros(silence_after)]).astype(np.int16)


def test_the_lead_is_found_and_15_ms_of_it_are_kept() -> None:
    assert first_audible(tone(100, 50, 0)) == 100
    assert lead_samples(100, RATE) == 85
    assert lead_samples(5, RATE) == 0
    assert first_audible(np.zeros(10, dtype=np.int16)) is None
    assert first_audible(np.zeros(0, dtype=np.int16)) is None
    assert first_audible(np.array([-32768], dtype=np.int16)) == 0


@pytest.mark.parametrize(
    ("after", "pause_s", "length", "sound"), [(500, 0.15, 250, 130), (10, 0.15, 250, 110), (500, 0.0, 130, 130), (0, 0.0, 100, 100)]
)
def test_the_tail_is_cut_or_filled(after: int, pause_s: float, length: int, sound: int) -> None:
    pcm, heard = fit_tail(tone(0, 100, after), RATE, pause_s)
    assert (pcm.size, heard) == (length, sound)


@pytest.mark.parametrize(
    ("text", "pause_s"),
    [("Yes.", 0.15), ('Yes?"', 0.15), ("好。", 0.15), ("well, ", 0.08), ("and so", 0.0), ("", 0.0), ("👍", 0.0), ("**Hi!**", 0.15)],
)
def test_pauses(text: str, pause_s: float) -> None:
    assert Pauses().after(text) == pause_s


def test_words_without_sound_take_no_time() -> None:
    times = WordTimes(speakable("👍 one three", "en"))
    words = times.until(3, 0.0, 0.8)
    assert [(word.text, round(word.start_s, 3), round(word.end_s, 3)) for word in words] == [
        ("👍", 0.0, 0.0),
        ("one", 0.0, 0.3),
        ("three", 0.3, 0.8),
    ]
    assert times.rest(0.8, 1.0) == ()
