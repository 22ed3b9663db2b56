"""Readers of dates and times of day."""

import re

from voice_agent.engines.tts.lexicon import Lexicon
from voice_agent.engines.tts.numbers import before_noun, cardinal, ordinal, pick, year
from voice_agent.engines.tts.patterns import Beside

_ISO_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)
_DATE = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?(?:([ap])\.?m\.?)?", re.ASCII | re.IGNORECASE)
_FRENCH_CLOCK = re.compile(r"(\d{1,2})h(\d{2})?", re.ASCII)
_RATIO = re.compile(r"(\d{1,4}):(\d{1,4})", re.ASCII)

_GERMAN_DATIVE = frozenset({"am", "vom", "zum", "dem", "beim"})


def say_day(day: int, month: int, of_year: int | None, lex: Lexicon, *, before: str = "") -> str:
    """In the language\'s order; `before` is the word before, by which German chooses the ending."""
    name = lex.months[month - 1]
    if lex.code == "en":
        return f"{name} {ordinal(day, lex)}" + (f" {year(of_year, lex)}" if of_year is not None else "")
    if lex.code == "de":
        number = ordinal(day, lex) + ("n" if before.lower() in _GERMAN_DATIVE else "r")
    else:
        number = "premier" if lex.code == "fr" and day == 1 else cardinal(day, lex)
    joint = f" {lex.of} " if lex.of else " "
    return f"{number}{joint}{name}" + (f"{joint}{year(of_year, lex)}" if of_year is not None else "")


def read_date(core: str, beside: Beside, lex: Lexicon) -> str | None:
    if match := _ISO_DATE.fullmatch(core):
        of_year, month, day = (int(part) for part in match.groups())
    elif match := _DATE.fullmatch(core):
        first, second = int(match[1]), int(match[3])
        day, month = (first, second) if lex.day_first else (second, first)
        if month > 12 >= day:
            day, month = month, day
        of_year = int(match[4]) if len(match[4]) == 4 else 2000 + int(match[4])
    else:
        return None
    return say_day(day, month, of_year, lex, before=beside.before) if 1 <= month <= 12 and 1 <= day <= 31 else None


def read_time(core: str, beside: Beside, lex: Lexicon) -> str | None:
    match = _CLOCK.fullmatch(core) or (_FRENCH_CLOCK.fullmatch(core) if lex.code == "fr" else None)
    if match is None:
        return None
    groups = [*match.groups(), None, None][:4]
    hour, minute, second, half = int(match[1]), groups[1], groups[2], groups[3]
    if "h" not in core and minute is None and half is None:
        return None
    if hour > 24 or int(minute or 0) > 59 or int(second or 0) > 59:
        return None
    has_half = half is not None or beside.after.lower().startswith(("am", "pm", "a.m", "p.m"))
    said = _say_clock(hour, minute, lex, has_half=has_half)
    if second is not None:
        said += f" {lex.and_} " + cardinal(int(second), lex)
    return said + (" " + lex.abbreviations.get(f"{half.lower()}.m.", f"{half.upper()}-M") if half is not None else "")


def _say_clock(hour: int, minute: str | None, lex: Lexicon, *, has_half: bool) -> str:
    if lex.code == "en":
        if minute is None or int(minute) == 0:
            return cardinal(hour, lex) + ("" if has_half else " o'clock")
        return f"{cardinal(hour, lex)} " + (f"oh {cardinal(int(minute), lex)}" if minute[0] == "0" else cardinal(int(minute), lex))
    said = cardinal(hour, lex)
    if lex.code == "fr":
        said = "une" if hour == 1 else said
    if lex.hour[0]:
        said = f"{before_noun(said, lex)} {pick(lex.hour, one=hour == 1)}"
        return said if minute is None or int(minute) == 0 else f"{said} {cardinal(int(minute), lex)}"
    said = "una" if hour == 1 and lex.code in ("es", "it") else said
    return said if minute is None or int(minute) == 0 else f"{said} {lex.and_} {cardinal(int(minute), lex)}"


def read_ratio(core: str, beside: Beside, lex: Lexicon) -> str | None:
    match = _RATIO.fullmatch(core)
    return f"{cardinal(int(match[1]), lex)} {lex.to} {cardinal(int(match[2]), lex)}" if match else None
