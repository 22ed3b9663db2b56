"""The hold: how long silence must last before a turn counts as ended. Pure arithmetic.

Three sources are fused: how finished it sounds (turn probability), how finished the words are, and how long this speaker's own
pauses inside turns are. The sound leads: a recogniser puts a full stop behind half a sentence. Words that promise more (a
comma, "and", "to") take it back, a question mark supports it. Each is wrong at times, so none is a gate: together they only
make the wait longer or shorter.
"""

from dataclasses import dataclass

from voice_agent.conversation.settings import EndpointingSettings
from voice_agent.conversation.words import completeness

CERTAIN = 0.9
"""From this score on the shortest hold is enough: on the human clips no pause inside a turn reaches it unless the sentence
had ended there, and all conversational ends do."""

HOPELESS = 0.35
"""Down here the longest hold applies."""

PROMISES_MORE = 0.2
"""Words below this completeness take back what the sound says ..."""

TAKEN_BACK = 0.4
"""... to this share of it."""

ASKS = 0.9
"""Words above this completeness (a question) support it ..."""

SUPPORT = 0.4
"""... by this share of what is missing."""

PAUSE_DECAY = 0.75
"""Weight of the old estimate when a new pause is seen: the last four or so pauses count."""

MAX_LEARNED_S = 1.2
"""A pause beyond this was probably not a pause of speech but of thought; it is not waited for again."""

CUT_OFF_WINDOW_S = 1.0
"""Speech that begins this soon after a commit: the agent had cut in."""


def finished(text: str, probability: float | None) -> float:
    """Score in [0, 1] that the turn has ended. `probability` None: the sound is not known (yet)."""
    said = completeness(text)
    if probability is None:
        return said
    if said <= PROMISES_MORE:
        return probability * TAKEN_BACK
    if said >= ASKS:
        return probability + (1.0 - probability) * SUPPORT
    return probability


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
    doubt = min(1.0, max(0.0, (CERTAIN - finished(text, probability)) / (CERTAIN - HOPELESS)))
    shortest = settings.min_hold_s
    if settings.learn and doubt > 0.0:
        # A known pause of this speaker is waited for as soon as there is any doubt.
        shortest = max(shortest, min(settings.max_hold_s, pauses.typical_s * 1.1))
    return shortest + (settings.max_hold_s - shortest) * doubt
