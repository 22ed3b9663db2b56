"""Numbers as words. Pure; the words come from num2words, which is imported when the first number is met."""

import re
from functools import lru_cache
from typing import Literal

from voice_agent.engines.tts.lexicon import Lexicon, Plural

LONGEST_WHOLE = 15
"""Digits of the longest whole number that is said as one; a longer one is an identifier and is said digit by digit."""


@lru_cache(maxsize=4096)
def _words(value: int, code: str, form: Literal["cardinal", "ordinal", "year"]) -> str:
    from num2words import num2words

    return str(num2words(value, lang=code, to=form)).replace(",", "")


def cardinal(value: int, lex: Lexicon) -> str:
    return _words(value, lex.code, "cardinal")


def ordinal(value: int, lex: Lexicon) -> str:
    return _words(value, lex.code, "ordinal")


def year(value: int, lex: Lexicon) -> str:
    if lex.code == "en" and 2000 <= value <= 2009:
        return cardinal(value, lex)
    return _words(value, lex.code, "year")


def digits(text: str, lex: Lexicon) -> str:
    """Digit by digit; other characters are skipped."""
    return " ".join(cardinal(int(char), lex) for char in text if "0" <= char <= "9")


def before_noun(words: str, lex: Lexicon) -> str:
    """ "veintiuno" as it stands before "euros": "veintiún"."""
    for ending, replaced in lex.one_before_noun:
        if words == ending or words.endswith((" " + ending, ending if len(ending) > 4 else " " + ending)):
            return words[: -len(ending)] + replaced
    return words


def pick(forms: Plural, *, one: bool) -> str:
    return forms[0] if one else forms[1]


@lru_cache(maxsize=16)
def number_pattern(decimal: str, grouping: str) -> str:
    """A number in the language's writing, as two groups: whole part and decimals. "3.14" is read in every language."""
    mark = re.escape(decimal)
    group = "[ \u00a0\u202f]" if grouping == " " else re.escape(grouping)
    other = "" if decimal == "." else r"|\.\d{1,2}(?!\d)"
    return rf"(\d{{1,3}}(?:{group}\d{{3}})+|\d+)((?:{mark}\d+{other})?)"


def say_number(whole: str, decimals: str, lex: Lexicon) -> str:
    """ "1,234" and ".50" to "one thousand two hundred and thirty-four point five zero"."""
    bare = "".join(char for char in whole if "0" <= char <= "9")
    if not bare:
        return whole
    is_identifier = len(bare) > LONGEST_WHOLE or (len(bare) > 1 and bare[0] == "0")
    said = digits(bare, lex) if is_identifier else cardinal(int(bare), lex)
    fraction = decimals[1:]
    return f"{said} {lex.point} {_say_decimals(fraction, lex)}" if fraction else said


def _say_decimals(fraction: str, lex: Lexicon) -> str:
    if lex.code == "en" or fraction[0] == "0" or len(fraction) > 2:
        return digits(fraction, lex)
    return cardinal(int(fraction), lex)


def is_one(whole: str, decimals: str) -> bool:
    return whole == "1" and not decimals
