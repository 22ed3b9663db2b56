"""Text as words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.conversation.words import begins_with, completeness, is_backchannel, is_echo, is_question, same_words, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("I'm don’t", ["i'm", "don't"]),
        ("uh-huh", ["uh", "huh"]),
        ("3.14 a_b", ["3", "14", "a", "b"]),
        ("¿Qué hora es?", ["qué", "hora", "es"]),
        ("d’accord", ["d'accord"]),
        ("你好。", ["你", "好"]),
        ("ありがとう", ["あ", "り", "が", "と", "う"]),
        ("안녕", ["안", "녕"]),
        ("Привет мир", ["привет", "мир"]),
        ("... ?!", []),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_same_words_whatever_the_case_and_the_punctuation() -> None:
    assert same_words("Hello there", "hello, there!")
    assert not same_words("Hello there", "Hello")


def test_begins_with_counts_whole_words() -> None:
    assert begins_with("Book a table for two.", "book a table")
    assert not begins_with("Book a table", "book a tab")
    assert not begins_with("Book", "book a table")
    assert begins_with("anything", "")
    assert begins_with("我想喝茶。", "我想")


@pytest.mark.parametrize("text", ["Mhm.", "uh-huh", "Okay.", "I see.", "Yeah, right.", "sí", "Ah, oui.", "genau", "ja ja ja"])
def test_backchannels(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize("text", ["", "...", "yes yes okay right then", "Okay, stop.", "no", "wait"])
def test_no_backchannels(text: str) -> None:
    assert not is_backchannel(text)


def test_an_echo_has_three_words_in_a_row() -> None:
    spoken = "The first train leaves at nine."
    assert is_echo("first train leaves", spoken)
    assert is_echo("THE FIRST TRAIN LEAVES AT NINE", spoken)
    assert not is_echo("first train", spoken)
    assert not is_echo("first leaves train", spoken)
    assert not is_echo("first train leaves at ten", spoken)
    assert not is_echo("", spoken)


@pytest.mark.parametrize("text", ["Is it?", "¿Qué hora es? ", "几点了？", "كم الساعة؟"])
def test_questions(text: str) -> None:
    assert is_question(text)


def test_no_question() -> None:
    assert not is_question("It is.")
    assert not is_question("")


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ("I want to", "I want tea"),
        ("I want tea and", "I want tea"),
        ("I want tea,", "I want tea"),
        ("I want tea...", "I want tea"),
        ("I want tea", "I want tea."),
        ("I want tea.", "Is there tea?"),
        ("um", "yes"),
        ("Quiero un", "Quiero un té."),
        ("je voudrais du", "je voudrais du thé."),
        ("ich möchte einen", "ich möchte einen Tee."),
        ("", "tea"),
        ("我想喝茶，", "我想喝茶。"),
    ],
)
def test_what_sounds_more_finished(less: str, more: str) -> None:
    assert completeness(less) < completeness(more)


def test_a_full_stop_behind_half_a_sentence_is_not_believed() -> None:
    """Recognisers put one there."""
    assert completeness("I want to.") < completeness("I want tea")


@given(st.text(max_size=60))
def test_any_text_can_be_judged(text: str) -> None:
    assert 0.0 <= completeness(text) <= 1.0
    assert same_words(text, text.strip())
    assert begins_with(text, text)
