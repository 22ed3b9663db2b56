"""Verdicts about speech over the agent."""

import pytest

from voice_agent.conversation.interruption import Verdict, ignorable, judge
from voice_agent.conversation.settings import InterruptionSettings

SETTINGS = InterruptionSettings()
AGENT = "The first train leaves at nine in the morning."
A_MOMENT_S = (SETTINGS.words_after_s + SETTINGS.guard_s) / 2


def verdict(
    speech_s: float, text: str = "", *, confidence: float = 1.0, agent: str = AGENT, settings: InterruptionSettings = SETTINGS
) -> Verdict:
    return judge(speech_s=speech_s, text=text, confidence=confidence, agent_text=agent, settings=settings)


@pytest.mark.parametrize(
    ("speech_s", "text", "expected"),
    [
        (SETTINGS.words_after_s / 2, "", Verdict.WAIT),
        (SETTINGS.words_after_s / 2, "wait a moment", Verdict.WAIT),  # a breath, whatever was recognised in it
        (A_MOMENT_S, "", Verdict.WAIT),
        (A_MOMENT_S, "wait", Verdict.STOP),
        (SETTINGS.guard_s, "", Verdict.STOP),
        (SETTINGS.guard_s, "mhm", Verdict.WAIT),
        (SETTINGS.backchannel_s, "mhm", Verdict.STOP),
        (60.0, "first train leaves at", Verdict.IGNORE),
    ],
)
def test_verdicts(speech_s: float, text: str, expected: Verdict) -> None:
    assert verdict(speech_s, text) is expected


def test_words_that_are_not_sure_wait() -> None:
    unsure = SETTINGS.sure_confidence / 2
    assert verdict(A_MOMENT_S, "wait", confidence=unsure) is Verdict.WAIT
    assert verdict(SETTINGS.guard_s, "wait", confidence=unsure) is Verdict.STOP


def test_punctuation_alone_is_no_word() -> None:
    assert verdict(A_MOMENT_S, "...") is Verdict.WAIT


def test_nothing_stops_an_agent_that_must_not_be_interrupted() -> None:
    assert verdict(60.0, "stop", settings=InterruptionSettings(enabled=False)) is Verdict.WAIT


@pytest.mark.parametrize(
    ("text", "asked", "expected"),
    [
        ("Mhm.", False, True),
        ("Yes.", True, False),
        ("Yes, but not today.", False, False),
        ("leaves at nine in the morning", False, True),
        ("leaves at nine in the morning", True, True),
        ("leaves at ten in the morning", False, False),
        ("train leaves", False, False),  # two words alone may be anybody's
    ],
)
def test_what_takes_no_turn(text: str, asked: bool, expected: bool) -> None:
    assert ignorable(text, agent_text=AGENT, asked=asked) is expected
