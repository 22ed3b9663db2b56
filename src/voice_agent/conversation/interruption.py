"""Does speech over the agent stop it? Judged anew with every piece of evidence. Pure."""

from enum import Enum

from voice_agent.conversation.settings import InterruptionSettings
from voice_agent.conversation.words import is_backchannel, is_echo, words


class Verdict(Enum):
    WAIT = "wait"
    """Not known yet: the agent talks on."""
    IGNORE = "ignore"
    """The agent hears itself."""
    STOP = "stop"
    """Someone wants the turn."""


def judge(*, speech_s: float, text: str, confidence: float, agent_text: str, settings: InterruptionSettings) -> Verdict:
    """`speech_s` is how long the utterance has lasted, `text` what was recognised of it so far ("" for nothing yet)."""
    if not settings.enabled:
        return Verdict.WAIT
    if is_echo(text, agent_text):
        return Verdict.IGNORE
    if is_backchannel(text):
        return Verdict.STOP if speech_s >= settings.backchannel_s else Verdict.WAIT
    if speech_s >= settings.guard_s:
        return Verdict.STOP
    sure = bool(words(text)) and confidence >= settings.sure_confidence
    return Verdict.STOP if sure and speech_s >= settings.words_after_s else Verdict.WAIT


def ignorable(text: str, *, agent_text: str, asked: bool) -> bool:
    """A finished utterance over the agent that takes no turn. A backchannel does if the agent has just `asked` something:
    then it is the answer."""
    return (is_backchannel(text) and not asked) or is_echo(text, agent_text)
