"""Does speech over the agent stop it? Judged anew with every piece of evidence. Pure.

The evidence, as it comes: how long the speech is, whether it has been nothing but humming, and what a recogniser makes of the
first quarter of a second. A recogniser guesses at such short audio, and guesses differently each time; so what once sounded
like "mhm" must be contradicted clearly.
"""

from dataclasses import dataclass
from enum import Enum

from voice_agent.conversation.settings import InterruptionSettings
from voice_agent.conversation.words import is_backchannel, is_echo, is_filler, words


class Verdict(Enum):
    WAIT = "wait"
    """Not known yet: the agent talks on."""
    IGNORE = "ignore"
    """The agent hears itself."""
    STOP = "stop"
    """Someone wants the turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Of one utterance over the agent. `text` is what was recognised of it so far ("" for nothing), `began_as_filler` that an
    earlier partial was only "mhm" or "um", `humming` that there has been no sound of an open mouth yet."""

    speech_s: float
    text: str
    confidence: float
    began_as_filler: bool = False
    humming: bool = False


def judge(evidence: Evidence, *, agent_text: str, settings: InterruptionSettings) -> Verdict:
    if not settings.enabled:
        return Verdict.WAIT
    if is_echo(evidence.text, agent_text):
        return Verdict.IGNORE
    if evidence.speech_s >= settings.backchannel_s:
        return Verdict.STOP
    if is_filler(evidence.text):
        return Verdict.WAIT
    doubtful = evidence.began_as_filler or evidence.humming
    needed = settings.corrected_confidence if doubtful else settings.sure_confidence
    sure = bool(words(evidence.text)) and evidence.confidence >= needed
    if sure and evidence.speech_s >= settings.words_after_s:
        return Verdict.STOP
    return Verdict.STOP if evidence.speech_s >= settings.guard_s and not doubtful else Verdict.WAIT


def ignorable(evidence: Evidence, *, agent_text: str, asked: bool, settings: InterruptionSettings) -> bool:
    """A finished utterance over the agent that takes no turn. A backchannel does if the agent has just `asked` something:
    then it is the answer."""
    if is_echo(evidence.text, agent_text):
        return True
    if asked:
        return False
    if is_backchannel(evidence.text) or is_filler(evidence.text):
        return True
    doubtful = evidence.began_as_filler or evidence.humming
    return doubtful and evidence.speech_s < settings.backchannel_s and evidence.confidence < settings.corrected_confidence
