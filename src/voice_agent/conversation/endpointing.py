"""The hold: how long silence must last before a turn counts as ended. Pure arithmetic.

Three sources are fused: how finished the words are, how finished they sound (turn probability), and how long this speaker's
own pauses inside turns are. None is a gate alone: Smart Turn calls hard cuts complete and read speech incomplete, punctuation
of a recogniser is a guess, and people differ (reference: benchmarks §1 and §3d).
"""

from dataclasses import dataclass

from voice_agent.conversation.settings import EndpointingSettings
from voice_agent.conversation.words import completeness

NEUTRAL_PROBABILITY = 0.5
"""Taken while the turn detector has not answered, or where there is none."""

TEXT_WEIGHT = 0.55
"""Share of the words in the score; the rest is the sound. On the clips the words separate better once a recogniser
punctuates, the sound better where it does not."""

PAUSE_DECAY = 0.75
"""Weight of the old estimate when a new pause is seen: the last four or so pauses count."""

MAX_LEARNED_S = 1.2
"""A pause beyond this was probably not a pause of speech but of thought; it is not waited for again."""

CUT_OFF_WINDOW_S = 1.0
"""Speech that begins this soon after a commit: the agent had cut in."""


def finished(text: str, probability: float | None) -> float:
    """Score in [0, 1] that the turn has ended."""
    sound = NEUTRAL_PROBABILITY if probability is None else probability
    return TEXT_WEIGHT * completeness(text) + (1.0 - TEXT_WEIGHT) * sound


@dataclass(slots=True)
class PauseModel:
    """What is known of one speaker's pauses inside turns. `typical_s` is 0 until one was seen."""

    typical_s: float = 0.0
    cut_offs: int = 0

    def saw_pause(self, pause_s: float) -> None:
        """The speaker went on after `pause_s` of silence."""
        seen = min(pause_s, MAX_LEARNED_S)
        self.typical_s = seen if self.typical_s == 0.0 else PAUSE_DECAY * self.typical_s + (1 - PAUSE_DECAY) * seen

    def saw_cut_off(self, pause_s: float) -> None:
        """The agent had taken the turn and the speaker went on."""
        self.cut_offs += 1
        self.saw_pause(max(pause_s, self.typical_s))


def hold_s(text: str, probability: float | None, pauses: PauseModel, settings: EndpointingSettings) -> float:
    """Seconds of silence after which the turn is committed."""
    score = finished(text, probability)
    span = settings.max_hold_s - settings.min_hold_s
    # Quadratic: certain ends are answered at once, doubt grows the wait quickly.
    hold = settings.min_hold_s + span * (1.0 - score) ** 2
    if settings.learn and pauses.typical_s > 0.0:
        # The less finished it sounds, the more a known pause of this speaker counts.
        hold = max(hold, min(settings.max_hold_s, pauses.typical_s * 1.1) * (1.0 - score) + settings.min_hold_s * score)
    return hold
