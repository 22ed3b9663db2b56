"""Readers: each recognises one kind of written thing (a date, a price, an address …) and says how it is spoken.

A reader gets one word without its surrounding punctuation, and the words beside it; it answers with the spoken words, or None
where this is not its kind. All patterns are anchored and free of nested repetition, and words longer than `LONGEST` are never
shown to them, so that no text can make them slow.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from voice_agent.engines.tts.lexicon import Lexicon, Plural, lexicon
from voice_agent.engines.tts.numbers import (
    before_noun,
    cardinal,
    digits,
    is_one,
    number_pattern,
    ordinal,
    pick,
    say_number,
    year,
)

LONGEST = 200
"""Characters. A URL may be this long; anything longer is left as it is."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The words before and after, without surrounding punctuation; "" at an end of the text."""

    before: str = ""
    after: str = ""


Reader: TypeAlias = Callable[[str, Beside, Lexicon], str | None]

_ISO_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)
_DATE = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?(?:([ap])\.?m\.?)?", re.ASCII | re.IGNORECASE)
_FRENCH_CLOCK = re.compile(r"(\d{1,2})h(\d{2})?", re.ASCII)
_RATIO = re.compile(r"(\d{1,4}):(\d{1,4})", re.ASCII)
_PHONE = re.compile(
    r"\+\d[\d.()-]{6,20}|\(\d{2,4}\)[\d.-]{4,16}|\d{3}[-.]\d{3}[-.]\d{4}|\d{3}-\d{4}|\+?\d{1,3}-\d{3}-\d{3}-\d{4}", re.ASCII
)
_VERSION = re.compile(r"[vV]?\d{1,9}(?:\.\d{1,9}){2,8}", re.ASCII)
_ENGLISH_ORDINAL = re.compile(r"(\d{1,9})(?:st|nd|rd|th)", re.ASCII)
_ROMANCE_ORDINAL = re.compile(r"(\d{1,6})(?:\.?[ºª]|er|ère|e|ème|re)", re.ASCII)
_DECADE = re.compile(r"'?(\d{2}|\d{4})s", re.ASCII)
_FRACTION = re.compile(r"(\d{1,3})/(\d{1,3})", re.ASCII)
_WITH_HALF = re.compile(r"(\d{0,9})([½¼¾⅓⅔⅛])", re.ASCII)
_NUMBERED = re.compile(r"#(\d{1,9})", re.ASCII)
_MIXED = re.compile(r"([A-Za-z]{1,30})-(\d{1,9})|(\d{1,9})-([^\W\d_]{2,30})", re.ASCII)
_DIGITS = re.compile(r"\d+", re.ASCII)
_PHONE_GROUP = re.compile(r"\+\d{1,3}|\d{3,4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Patterns:
    """Those that depend on how the language writes numbers."""

    number: re.Pattern[str]
    money: re.Pattern[str]
    money_after: re.Pattern[str]
    percent: re.Pattern[str]
    measure: re.Pattern[str]
    span: re.Pattern[str]


def _any(words: dict[str, Plural]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) or r"(?!)"


@lru_cache(maxsize=8)
def patterns(code: str) -> Patterns:
    """Of the language with tables whose code this is."""
    lex = lexicon(code)
    number, currency, unit = number_pattern(lex.decimal, lex.grouping), _any(lex.currencies), _any(lex.units)
    sign = r"([-\u2212+~\u2248\u00b1<>\u2264\u2265]?)"
    built = {
        "number": rf"{sign}{number}",
        "money": rf"{sign}({currency}){number}([kKmMbBtT]n?)?",
        "money_after": rf"{sign}{number}({currency})",
        "percent": rf"{sign}{number}%",
        "measure": rf"{sign}{number}({unit})",
        "span": rf"({currency})?{number}[-\u2013\u2014](?:{currency})?{number}(%|{unit})?",
    }
    return Patterns(**{name: re.compile(pattern, re.ASCII) for name, pattern in built.items()})


# ---------------------------------------------------------------- dates and times


_GERMAN_DATIVE = frozenset({"am", "vom", "zum", "dem", "beim"})


def _say_day(day: int, month: int, of_year: int | None, lex: Lexicon, *, before: str = "") -> str:
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
    return _say_day(day, month, of_year, lex, before=beside.before) if 1 <= month <= 12 and 1 <= day <= 31 else None


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


# ---------------------------------------------------------------- quantities

_SIGNS = {"-": "minus", "−": "minus", "+": "+", "~": "~", "≈": "≈", "±": "±", "<": "<", ">": ">", "≤": "≤", "≥": "≥"}


def _sign(mark: str, lex: Lexicon) -> str:
    if not mark:
        return ""
    said = lex.minus if mark in "-−" else lex.symbols.get(mark, "")
    return said + " " if said else ""


def read_money(core: str, beside: Beside, lex: Lexicon) -> str | None:
    known = patterns(lex.code)
    if match := known.money.fullmatch(core):
        mark, symbol, whole, decimals, magnitude = match.groups()
    elif match := known.money_after.fullmatch(core):
        mark, whole, decimals, symbol = match.groups()
        magnitude = None
    else:
        return None
    return _sign(mark, lex) + _say_money(symbol, whole, decimals, magnitude, beside, lex)


def _say_money(symbol: str, whole: str, decimals: str, magnitude: str | None, beside: Beside, lex: Lexicon) -> str:
    currency = lex.currencies[symbol]
    if magnitude and magnitude.lower() in lex.magnitudes:
        return f"{say_number(whole, decimals, lex)} {lex.magnitudes[magnitude.lower()]} {currency[1]}"
    if is_magnitude(beside.after):
        return say_number(whole, decimals, lex)  # the currency follows the next word
    units = f"{before_noun(say_number(whole, '', lex), lex)} {pick(currency, one=whole == '1')}"
    if len(decimals) != 3:
        return f"{say_number(whole, decimals, lex)} {currency[1]}" if decimals else units
    hundredths = int(decimals[1:])
    if hundredths == 0:
        return units
    small = pick(lex.pence if symbol in ("£", "GBP") else lex.cents, one=hundredths == 1)
    cents = f"{before_noun(cardinal(hundredths, lex), lex)} {small}"
    return cents if whole == "0" else f"{units} {lex.and_} {cents}"


def is_magnitude(word: str) -> bool:
    """ "million" and its like, in any of the languages."""
    return word.lower() in {
        "thousand", "million", "billion", "trillion", "mil", "millón", "millones", "milliard", "milliards", "millions", "mille",
        "millionen", "milliarden", "milioni", "miliardi", "milhões", "bilhões",
    }  # fmt: skip


def read_percent(core: str, beside: Beside, lex: Lexicon) -> str | None:
    match = patterns(lex.code).percent.fullmatch(core)
    return f"{_sign(match[1], lex)}{say_number(match[2], match[3], lex)} {lex.percent}" if match else None


def read_measure(core: str, beside: Beside, lex: Lexicon) -> str | None:
    match = patterns(lex.code).measure.fullmatch(core)
    if match is None:
        return None
    number = before_noun(say_number(match[2], match[3], lex), lex)
    return f"{_sign(match[1], lex)}{number} {pick(lex.units[match[4]], one=is_one(match[2], match[3]))}"


def read_span(core: str, beside: Beside, lex: Lexicon) -> str | None:
    """A range such as "5–10 %", "$5-10" or "2020-2024"."""
    match = patterns(lex.code).span.fullmatch(core)
    if match is None:
        return None
    symbol, low, low_decimals, high, high_decimals, suffix = match.groups()
    if len(low) == len(high) == 4 and low[0] in "12" and not (symbol or suffix or low_decimals):
        return f"{year(int(low), lex)} {lex.to} {year(int(high), lex)}"
    said = f"{say_number(low, low_decimals, lex)} {lex.to} {say_number(high, high_decimals, lex)}"
    if symbol:
        return said if is_magnitude(beside.after) else f"{said} {lex.currencies[symbol][1]}"
    if suffix:
        return f"{said} {lex.percent if suffix == '%' else lex.units[suffix][1]}"
    return said


_ENGLISH_PARTS = {2: ("half", "halves"), 4: ("quarter", "quarters")}
_PARTS = {
    "es": {2: ("medio", "medios"), 3: ("tercio", "tercios"), 4: ("cuarto", "cuartos")},
    "fr": {2: ("demi", "demis"), 3: ("tiers", "tiers"), 4: ("quart", "quarts")},
}


def read_fraction(core: str, beside: Beside, lex: Lexicon) -> str | None:
    match = _FRACTION.fullmatch(core)
    if match is None:
        return None
    top, bottom = int(match[1]), int(match[2])
    if lex.code == "en" and top < bottom and (2 <= bottom <= 10 or bottom in (16, 32, 100)):
        singular = ordinal(bottom, lex)
        return f"{cardinal(top, lex)} {pick(_ENGLISH_PARTS.get(bottom, (singular, singular + 's')), one=top == 1)}"
    if part := _PARTS.get(lex.code, {}).get(bottom):
        return f"{before_noun(cardinal(top, lex), lex)} {pick(part, one=top == 1)}"
    day, month = (top, bottom) if lex.day_first else (bottom, top)
    if 1 <= month <= 12 and 12 < day <= 31:
        return _say_day(day, month, None, lex)
    return f"{cardinal(top, lex)} {lex.over} {cardinal(bottom, lex)}"


def read_half(core: str, beside: Beside, lex: Lexicon) -> str | None:
    match = _WITH_HALF.fullmatch(core)
    if match is None or match[2] not in lex.halves:
        return None
    return f"{cardinal(int(match[1]), lex)} {lex.and_} {lex.halves[match[2]]}" if match[1] else lex.halves[match[2]]


# ---------------------------------------------------------------- identifiers and plain numbers


def read_phone(core: str, beside: Beside, lex: Lexicon) -> str | None:
    if not _PHONE.fullmatch(core):
        return None
    groups = [digits(group, lex) for group in _DIGITS.findall(core)]
    return ("plus " if core[0] == "+" and lex.code == "en" else "") + ", ".join(groups)


def read_version(core: str, beside: Beside, lex: Lexicon) -> str | None:
    """ "3.2.1" and IP addresses. Where dots group thousands, "1.000.000" is a number and not for this reader."""
    if not _VERSION.fullmatch(core) or (lex.grouping == "." and patterns(lex.code).number.fullmatch(core)):
        return None
    between = f" {lex.point if lex.code == 'en' else lex.dot} "
    said = between.join(say_number(part, "", lex) for part in core.lstrip("vV").split("."))
    return ("version " if core[0] in "vV" else "") + said


def read_ordinal(core: str, beside: Beside, lex: Lexicon) -> str | None:
    pattern = {
        "en": _ENGLISH_ORDINAL,
        "es": _ROMANCE_ORDINAL,
        "fr": _ROMANCE_ORDINAL,
        "it": _ROMANCE_ORDINAL,
        "pt": _ROMANCE_ORDINAL,
    }
    match = pattern[lex.code].fullmatch(core) if lex.code in pattern else None
    return ordinal(int(match[1]), lex) if match else None


def read_decade(core: str, beside: Beside, lex: Lexicon) -> str | None:
    match = _DECADE.fullmatch(core)
    if match is None or lex.code != "en" or match[1][-1] != "0":
        return None
    said = year(int(match[1]), lex) if len(match[1]) == 4 else cardinal(int(match[1]), lex)
    return said[:-1] + "ies" if said.endswith("y") else said + "s"


def read_numbered(core: str, beside: Beside, lex: Lexicon) -> str | None:
    match = _NUMBERED.fullmatch(core)
    name = lex.abbreviations.get("no.") or lex.abbreviations.get("nº") or lex.abbreviations.get("nr.") or ""
    return f"{name} {cardinal(int(match[1]), lex)}".strip() if match else None


def read_number(core: str, beside: Beside, lex: Lexicon) -> str | None:
    match = patterns(lex.code).number.fullmatch(core)
    if match is None:
        return None
    sign, whole, decimals = match.groups()
    if beside.before in lex.currencies:
        return _sign(sign, lex) + _say_money(beside.before, whole, decimals, None, beside, lex)
    if beside.after in lex.currencies and len(decimals) == 3:
        return _sign(sign, lex) + _say_money(beside.after, whole, decimals, None, Beside(), lex)
    if beside.after in lex.units or beside.after in lex.currencies:
        return _sign(sign, lex) + before_noun(say_number(whole, decimals, lex), lex)
    said = (_plain_digits(core, beside, lex) if core == whole and core.isdigit() else None) or say_number(whole, decimals, lex)
    return _sign(sign, lex) + said


def _plain_digits(core: str, beside: Beside, lex: Lexicon) -> str | None:
    """A number of digits only, whose neighbours tell what it is: part of a date, of a telephone number, a year."""
    value, count = int(core), len(core)
    before, after = beside.before.lower().rstrip("."), beside.after.lower().rstrip(".")
    if lex.code == "en" and before in lex.month_names and 1 <= value <= 31:
        return ordinal(value, lex)
    if lex.code == "fr" and value == 1 and after in lex.month_names:
        return "premier"
    is_year = count == 4 and 1100 <= value <= 2099
    if 3 <= count <= 4 and any(_is_phone_group(word, beside_year=is_year) for word in (beside.before, beside.after)):
        return digits(core, lex)
    if lex.code in ("en", "de") and is_year:
        return year(value, lex)
    return None


def _is_phone_group(word: str, *, beside_year: bool) -> bool:
    """Beside what looks like a year, four digits are another year."""
    if not word or (beside_year and len(word) == 4):
        return False
    return _PHONE_GROUP.fullmatch(word) is not None or _PHONE.fullmatch(word) is not None


def read_mixed(core: str, beside: Beside, lex: Lexicon) -> str | None:
    """ "GPT-4" and "5-star"."""
    match = _MIXED.fullmatch(core)
    if match is None:
        return None
    return f"{match[1]} {cardinal(int(match[2]), lex)}" if match[1] else f"{cardinal(int(match[3]), lex)} {match[4]}"


NUMERIC: tuple[Reader, ...] = (
    read_half, read_date, read_time, read_ratio, read_phone, read_version, read_money, read_percent, read_ordinal, read_decade,
    read_measure, read_span, read_fraction, read_numbered, read_number, read_mixed,
)  # fmt: skip
"""In the order in which they are asked, for words with a digit."""
