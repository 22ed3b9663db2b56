"""What every engine asks of a request before it speaks."""

from collections.abc import Sequence
from difflib import get_close_matches
from math import isfinite

from voice_agent.errors import EngineUnavailable, InputError

SLOWEST, FASTEST = 0.5, 2.0
"""Speeds beyond these are not understood well; Kokoro refuses them. What is asked for beyond is brought to the nearest."""

ACCEPTED = (0.25, 4.0)
"""Speeds that a request may name (those of the common speech APIs)."""

UNKNOWN_VOICE = "tts.unknown_voice"
UNKNOWN_LANGUAGE = "tts.unknown_language"

LISTED = 40
"""Voices that an error names at most."""


def check_speed(speed: float) -> float:
    """`speed` within what engines can do. Raises `InputError` (code "tts.bad_speed") for what is no speed at all."""
    if not isfinite(speed) or not ACCEPTED[0] <= speed <= ACCEPTED[1]:
        raise InputError(
            f"The speaking speed {speed!r} is not possible",
            remedy=f"Choose a number from {ACCEPTED[0]} to {ACCEPTED[1]}; 1.0 is normal",
            code="tts.bad_speed",
        )
    return min(FASTEST, max(SLOWEST, speed))


def unknown_voice(voice: str, known: Sequence[str], *, hint: str = "") -> InputError:
    """An error that names the voices most like `voice` and what is allowed."""
    close = get_close_matches(voice[:60].lower(), known, n=3)
    listed = ", ".join(known[:LISTED]) + (f" and {len(known) - LISTED} more" if len(known) > LISTED else "")
    did_you_mean = f"Did you mean {' or '.join(close)}? " if close else ""
    remedy = f"{did_you_mean}Choose one of: {listed}" + (f"; {hint}" if hint else "")
    return InputError(f"Unknown voice {voice[:60]!r}", remedy=remedy, code=UNKNOWN_VOICE)


def unknown_language(language: str, known: Sequence[str], *, engine: str) -> EngineUnavailable:
    """Another engine may know it, so this is no input error: a chain goes on to the next one."""
    return EngineUnavailable(
        f"{engine} has no voice for the language {language[:20]!r}",
        engine=engine,
        remedy="Choose a voice by name, or one of the languages " + ", ".join(known[:LISTED]),
        code=UNKNOWN_LANGUAGE,
    )
