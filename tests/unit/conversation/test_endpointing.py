"""The hold. Its constants are tuned on recordings, so what is tested is how they act together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.conversation.endpointing import PauseModel, finished, hold_s
from voice_agent.conversation.settings import EndpointingSettings

SETTINGS = EndpointingSettings()
TEXTS = ("What time is it?", "It is noon.", "I want tea", "I want tea,", "I want to", "um", "")
PROBABILITIES = st.one_of(st.none(), st.floats(0.0, 1.0))
PAUSES = st.builds(PauseModel, typical_s=st.floats(0.0, 3.0))


@given(text=st.sampled_from(TEXTS), probability=PROBABILITIES, pauses=PAUSES)
def test_the_hold_stays_within_its_bounds(text: str, probability: float | None, pauses: PauseModel) -> None:
    assert SETTINGS.min_hold_s <= hold_s(text, probability, pauses, SETTINGS) <= SETTINGS.max_hold_s + 1e-9


@given(text=st.sampled_from(TEXTS), one=st.floats(0.0, 1.0), other=st.floats(0.0, 1.0), pauses=PAUSES)
def test_a_likelier_end_is_never_held_longer(text: str, one: float, other: float, pauses: PauseModel) -> None:
    low, high = sorted((one, other))
    assert hold_s(text, high, pauses, SETTINGS) <= hold_s(text, low, pauses, SETTINGS)


@given(text=st.sampled_from(TEXTS), probability=PROBABILITIES)
def test_the_score_is_a_share(text: str, probability: float | None) -> None:
    assert 0.0 <= finished(text, probability) <= 1.0


def test_a_certain_end_is_answered_after_the_shortest_hold() -> None:
    assert hold_s("What time is it?", 1.0, PauseModel(), SETTINGS) == pytest.approx(SETTINGS.min_hold_s)


def test_a_plain_pause_is_held_longest() -> None:
    assert hold_s("I want to", 0.0, PauseModel(), SETTINGS) == pytest.approx(SETTINGS.max_hold_s)


def test_words_that_promise_more_outweigh_the_sound() -> None:
    assert hold_s("I want to", 0.8, PauseModel(), SETTINGS) > hold_s("I want tea.", 0.8, PauseModel(), SETTINGS)


def test_a_question_supports_the_sound() -> None:
    assert hold_s("Is it noon?", 0.6, PauseModel(), SETTINGS) < hold_s("It is noon.", 0.6, PauseModel(), SETTINGS)


def test_a_speaker_who_pauses_long_is_waited_for() -> None:
    slow, quick = PauseModel(), PauseModel()
    for _ in range(3):
        slow.saw_pause(0.9)
        quick.saw_pause(0.2)
    assert hold_s("I want tea", 0.7, slow, SETTINGS) > hold_s("I want tea", 0.7, quick, SETTINGS)


def test_learning_can_be_switched_off() -> None:
    pauses = PauseModel(typical_s=0.9)
    settings = EndpointingSettings(learn=False)
    assert hold_s("I want tea", 0.7, pauses, settings) == hold_s("I want tea", 0.7, PauseModel(), settings)


def test_pauses_are_averaged_with_the_latest_weighing_most() -> None:
    pauses = PauseModel()
    pauses.saw_pause(0.4)
    assert pauses.typical_s == pytest.approx(0.4)
    pauses.saw_pause(0.8)
    assert 0.4 < pauses.typical_s < 0.8
    for _ in range(20):
        pauses.saw_pause(0.8)
    assert pauses.typical_s == pytest.approx(0.8, abs=0.01)


def test_a_pause_of_thought_is_not_learned_as_it_is() -> None:
    pauses = PauseModel()
    pauses.saw_pause(30.0)
    assert pauses.typical_s < 2.0


def test_a_cut_off_never_makes_the_hold_shorter() -> None:
    pauses = PauseModel(typical_s=0.8)
    pauses.saw_cut_off(0.1)
    assert pauses.typical_s >= 0.8 - 1e-9
    assert pauses.cut_offs == 1
