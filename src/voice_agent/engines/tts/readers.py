"""Readers: each recognises one kind of written thing (a date, a price, a version …) and says how it is spoken.

A reader gets one word without its surrounding punctuation, and the words beside it; it answers with the spoken words, or None
where this is not its kind. Words longer than `LONGEST` are never shown to them, so that no text can make them slow.
"""

from voice_agent.engines.tts.dates import read_date, read_ratio, read_time
from voice_agent.engines.tts.identifiers import (
    read_decade,
    read_mixed,
    read_number,
    read_numbered,
    read_ordinal,
    read_phone,
    read_version,
)
from voice_agent.engines.tts.lexicon import Lexicon
from voice_agent.engines.tts.patterns import Beside, Reader
from voice_agent.engines.tts.quantities import (
    read_fraction,
    read_half,
    read_height,
    read_measure,
    read_money,
    read_percent,
    read_span,
)

_READERS: tuple[Reader, ...] = (
    read_half, read_height, read_date, read_time, read_ratio, read_phone, read_version, read_money, read_percent, read_ordinal,
    read_decade,    read_measure, read_span, read_fraction, read_numbered, read_number, read_mixed,
)  # fmt: skip
"""In the order in which they are asked."""


def read_numeric(core: str, beside: Beside, lex: Lexicon) -> str | None:
    """A word with a digit; None where it is of no known kind."""
    for read in _READERS:
        if (said := read(core, beside, lex)) is not None:
            return said
    return _read_per(core, lex) or _read_joined(core, lex)


def _read_per(core: str, lex: Lexicon) -> str | None:
    """ "$2.99/lb" and "50k/year"."""
    amount, slash, unit = core.partition("/")
    if not slash or not lex.per or not (unit.isalpha() or unit in lex.units):
        return None
    said = _read_part(amount, lex)
    return f"{said} {lex.per} {lex.units[unit][0] if unit in lex.units else unit}" if said else None


def _read_joined(core: str, lex: Lexicon) -> str | None:
    """Two things with a dash between: "9am-5pm" is a range, "3rd-party" is not."""
    first, dash, second = core.replace("\u2013", "-").partition("-")
    if not dash or not first or not second or "-" in second:
        return None
    start = _read_part(first, lex)
    if start is None:
        return None
    if second.isalpha():
        return f"{start} {second}"
    end = _read_part(second, lex)
    return f"{start} {lex.to} {end}" if end else None


def _read_part(part: str, lex: Lexicon) -> str | None:
    if not any(char.isdigit() for char in part):
        return None
    return next((said for read in _READERS if (said := read(part, Beside(), lex)) is not None), None)
