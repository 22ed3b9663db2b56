"""Readers of money, percentages, measures, ranges and fractions."""

import re

from voice_agent.engines.tts.dates import say_day
from voice_agent.engines.tts.lexicon import Lexicon
from voice_agent.engines.tts.numbers import before_noun, cardinal, is_one, ordinal, pick, say_number, year
from voice_agent.engines.tts.patterns import Beside, patterns

_FRACTION = re.compile(r"(\d{1,3})/(\d{1,3})", re.ASCII)
_HEIGHT = re.compile(r"(\d)['\u2019\u2032](\d{1,2})", re.ASCII)
_WITH_HALF = re.compile(r"(\d{0,9})([½¼¾⅓⅔⅛])", re.ASCII)


def say_sign(mark: str, lex: Lexicon) -> str:
    """ "minus " for "-", "about " for "~", "" for none."""
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
    return say_sign(mark, lex) + say_money(symbol, whole, decimals, magnitude, beside, lex)


def say_money(symbol: str, whole: str, decimals: str, magnitude: str | None, beside: Beside, lex: Lexicon) -> str:
    """`beside.after` tells whether a "million" follows, which the currency then stands behind."""
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
    return f"{say_sign(match[1], lex)}{say_number(match[2], match[3], lex)} {lex.percent}" if match else None


def read_measure(core: str, beside: Beside, lex: Lexicon) -> str | None:
    match = patterns(lex.code).measure.fullmatch(core)
    if match is None:
        return None
    number = before_noun(say_number(match[2], match[3], lex), lex)
    return f"{say_sign(match[1], lex)}{number} {pick(lex.units[match[4]], one=is_one(match[2], match[3]))}"


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
    if top == bottom:
        return f"{cardinal(top, lex)} {cardinal(bottom, lex)}"  # "50/50"
    day, month = (top, bottom) if lex.day_first else (bottom, top)
    if 1 <= month <= 12 and 12 < day <= 31:
        return say_day(day, month, None, lex)
    return f"{cardinal(top, lex)} {lex.over} {cardinal(bottom, lex)}"


def read_height(core: str, beside: Beside, lex: Lexicon) -> str | None:
    """Feet and inches: 6'2"."""
    match = _HEIGHT.fullmatch(core) if lex.code == "en" else None
    return f"{cardinal(int(match[1]), lex)} foot {cardinal(int(match[2]), lex)}" if match else None


def read_half(core: str, beside: Beside, lex: Lexicon) -> str | None:
    match = _WITH_HALF.fullmatch(core)
    if match is None or match[2] not in lex.halves:
        return None
    return f"{cardinal(int(match[1]), lex)} {lex.and_} {lex.halves[match[2]]}" if match[1] else lex.halves[match[2]]
