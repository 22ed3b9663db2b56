"""Verdicts about speech over the agent."""

import pytest

from voice_agent.conversation.interruption import Evidence, Verdict, ignorable, judge
from voice_agent.conversation.settings import InterruptionSettings

SETTINGS = InterruptionSettings()
AGENT = "The first train leaves at nine in the morning."
A_MOMENT_S = (SETTINGS.words_after_s + SETTINGS.guard_s) / 2


def verdict(
    speech_s: float,
    text: str = "",
    *,
    confidence: float = 1.0,
    began_as_filler: bool = False,
    humming: bool = False,
    settings: InterruptionSettings = SETTINGS,
) -> Verdict:
    evidence = Evidence(speech_s=speech_s, text=text, confidence=confidence, began_as_filler=began_as_filler, humming=humming)
    return judge(evidence, agent_text=AGENT, settings=settings)


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
        (SETTINGS.guard_s, "um, uh", Verdict.WAIT),
        (60.0, "first train leaves at", Verdict.IGNORE),
    ],
)
def test_verdicts(speech_s: float, text: str, expected: Verdict) -> None:
    assert verdict(speech_s, text) is expected


def test_words_that_are_not_sure_wait() -> None:
    unsure = SETTINGS.sure_confidence / 2
    assert verdict(A_MOMENT_S, "wait", confidence=unsure) is Verdict.WAIT
    assert verdict(SETTINGS.guard_s, "wait", confidence=unsure) is Verdict.STOP


def test_humming_does_not_stop_the_agent_until_it_goes_on_for_long() -> None:
    assert verdict(SETTINGS.guard_s, humming=True) is Verdict.WAIT
    assert verdict(SETTINGS.guard_s, "I'm them.", confidence=0.6, humming=True) is Verdict.WAIT
    assert verdict(SETTINGS.guard_s, "stop", humming=True) is Verdict.STOP  # a dark microphone makes all speech a hum
    assert verdict(SETTINGS.backchannel_s, humming=True) is Verdict.STOP


def test_what_sounded_like_a_filler_must_be_contradicted_clearly() -> None:
    between = (SETTINGS.sure_confidence + SETTINGS.corrected_confidence) / 2
    assert verdict(A_MOMENT_S, "London", confidence=between) is Verdict.STOP
    assert verdict(SETTINGS.guard_s, "London", confidence=between, began_as_filler=True) is Verdict.WAIT
    assert verdict(A_MOMENT_S, "okay, stop", began_as_filler=True) is Verdict.STOP


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
    evidence = Evidence(speech_s=SETTINGS.backchannel_s / 2, text=text, confidence=1.0)
    assert ignorable(evidence, agent_text=AGENT, asked=asked, settings=SETTINGS) is expected


@pytest.mark.parametrize(
    ("speech_s", "confidence", "expected"),
    [
        (SETTINGS.backchannel_s / 2, SETTINGS.corrected_confidence / 2, True),
        (SETTINGS.backchannel_s / 2, SETTINGS.corrected_confidence, False),
        (SETTINGS.backchannel_s * 2, SETTINGS.corrected_confidence / 2, False),
    ],
)
def test_a_short_mhm_that_was_misheard_takes_no_turn(speech_s: float, confidence: float, expected: bool) -> None:
    evidence = Evidence(speech_s=speech_s, text="Unful.", confidence=confidence, began_as_filler=True)
    assert ignorable(evidence, agent_text=AGENT, asked=False, settings=SETTINGS) is expected
