"""Readers of telephone numbers, versions, ordinals, years and plain numbers."""

import re

from voice_agent.engines.tts.lexicon import Lexicon
from voice_agent.engines.tts.numbers import before_noun, cardinal, digits, ordinal, say_number, year
from voice_agent.engines.tts.patterns import Beside, patterns
from voice_agent.engines.tts.quantities import say_money, say_sign

_PHONE = re.compile(
    r"\+\d[\d.()-]{6,20}|\(\d{2,4}\)[\d.-]{4,16}|\d{3}[-.]\d{3}[-.]\d{4}|\d{3}-\d{4}|\+?\d{1,3}-\d{3}-\d{3}-\d{4}", re.ASCII
)
_VERSION = re.compile(r"[vV]?\d{1,9}(?:\.\d{1,9}){2,8}", re.ASCII)
_ENGLISH_ORDINAL = re.compile(r"(\d{1,9})(?:st|nd|rd|th)", re.ASCII)
_ROMANCE_ORDINAL = re.compile(r"(\d{1,6})(?:\.?[ºª]|er|ère|e|ème|re)", re.ASCII)
_DECADE = re.compile(r"'?(\d{2}|\d{4})s", re.ASCII)
_NUMBERED = re.compile(r"#(\d{1,9})", re.ASCII)
_MIXED = re.compile(r"([A-Za-z]{1,30})[-+](\d{1,9})|(\d{1,9})-([^\W\d_]{2,30})", re.ASCII)
_DIGITS = re.compile(r"\d+", re.ASCII)
_PHONE_GROUP = re.compile(r"\+\d{1,3}|\d{3,4}", re.ASCII)


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
        return say_sign(sign, lex) + say_money(beside.before, whole, decimals, None, beside, lex)
    if beside.after in lex.currencies and len(decimals) == 3:
        return say_sign(sign, lex) + say_money(beside.after, whole, decimals, None, Beside(), lex)
    if beside.after in lex.units or beside.after in lex.currencies:
        return say_sign(sign, lex) + before_noun(say_number(whole, decimals, lex), lex)
    said = (_plain_digits(core, beside, lex) if core == whole and core.isdigit() else None) or say_number(whole, decimals, lex)
    return say_sign(sign, lex) + said


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
    """ "GPT-4", "UTC+2" and "5-star"."""
    match = _MIXED.fullmatch(core)
    if match is None:
        return None
    plus = f" {lex.symbols.get('+', '')}" if "+" in core else ""
    return f"{match[1]}{plus} {cardinal(int(match[2]), lex)}" if match[1] else f"{cardinal(int(match[3]), lex)} {match[4]}"
