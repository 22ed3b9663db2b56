"""What the policies can be told. All times in seconds; defaults were chosen on the human clips of `bench conversation`."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointingSettings:
    """How long silence must last before a turn has ended."""

    min_hold_s: float = 0.30
    """For a turn that sounds and reads complete. Below 200 ms people feel cut in on (reference: Templeton 2022, EVA)."""

    max_hold_s: float = 1.15
    """For one that plainly goes on: the longest pauses inside a turn of the human clips are 1.09 s. Silence of 0.7 s begins to
    mean trouble; past 1.5 s an agent seems absent."""

    learn: bool = True
    """Lengthen the hold for speakers who pause long, shorten it for those who never do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionSettings:
    """When talking over the agent stops it."""

    enabled: bool = True

    guard_s: float = 0.40
    """Speech that long stops the agent even when no word of it has been recognised. A "mhm" is mostly shorter."""

    words_after_s: float = 0.19
    """Recognised words stop it, once there is at least this much speech: less is a click or a breath, and what a recogniser
    makes of it is guessed."""

    sure_confidence: float = 0.45
    """Words less certain than this wait for the next partial or for `guard_s`."""

    backchannel_s: float = 1.0
    """Humming, "mhm", "okay", "um": only when it goes on for longer than this does it stop the agent."""

    corrected_confidence: float = 0.75
    """What began as "mhm" or "um" and is then recognised as something else must be this certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSettings:
    automatic_turns: bool = True
    """False: manual mode, turns end by `InputCommitted` alone."""

    automatic_replies: bool = True
    """False: a turn is only written down; `ReplyRequested` asks for the reply."""

    speculate: bool = True
    """Start the reply while the hold still runs."""

    endpointing: EndpointingSettings = field(default_factory=EndpointingSettings)
    interruption: InterruptionSettings = field(default_factory=InterruptionSettings)

    idle_timeout_s: float | None = None
    """Report silence after this long; None: never."""

    idle_reply: bool = False
    """Speak up when idle."""

    stall_grace_s: float = 0.4
    """Audio that stays away this long past a hold ends the turn all the same (muted, network stall)."""

    transcript_timeout_s: float = 6.0
    """A final that is later than this after the end of speech is given up."""

    reply_timeout_s: float = 20.0
    """A committed reply that is not audible after this long is given up."""

    playout_timeout_s: float = 20.0
    """Playout that makes no progress for this long is given up."""

    halt_timeout_s: float = 3.0
    """A paused reply goes on at the latest this long after the speaker fell silent, if nothing was recognised."""

    keep_unheard: bool = False
    """A reply of which nothing was heard stays in the transcript, empty: its listener was told of it and may name it."""
