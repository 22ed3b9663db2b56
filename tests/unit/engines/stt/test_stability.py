"""Which words of an interim text are stable."""

from hypothesis import given
from hypothesis import strategies as st

from voice_agent.engines.stt.stability import agreed, stable_words, words_of

WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=8).map(tuple)


def test_case_and_punctuation_make_no_other_word() -> None:
    assert words_of("Where is it? ¿Dónde?") == ("where", "is", "it", "dónde")
    assert words_of("Rock - and roll") == ("rock", "-", "and", "roll"), "as many words as the text has"
    assert words_of("") == ()


def test_the_last_two_words_are_hidden_and_the_rest_must_be_told_twice() -> None:
    now = words_of("turn on the light in the")
    assert stable_words((), now) == 0
    assert stable_words(words_of("turn on the lie"), now) == 3
    assert stable_words(words_of("turn on the light in the kitchen"), now) == 4


def test_frozen_words_stay_stable() -> None:
    assert stable_words((), words_of("one two three"), fixed=3) == 3


@given(WORDS, WORDS, st.integers(0, 8))
def test_stable_words_are_words_of_both(before: tuple[str, ...], now: tuple[str, ...], fixed: int) -> None:
    fixed = min(fixed, len(now))
    count = stable_words(before, now, fixed=fixed)
    assert fixed <= count <= len(now)
    assert count <= max(fixed, agreed(before, now), 0)
