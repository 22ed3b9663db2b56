"""Readers for words without digits, or whose digits do not count: addresses, abbreviations, units, joined words."""

import re

from voice_agent.engines.tts.lexicon import Lexicon
from voice_agent.engines.tts.numbers import pick
from voice_agent.engines.tts.patterns import Beside, patterns
from voice_agent.engines.tts.quantities import is_magnitude

_SCHEME = re.compile(r"(?:https?|ftp)://(?:www\.)?|www\.", re.IGNORECASE)
_DOMAIN = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61})\.){1,6}(?:com|org|net|io|ai|dev|app|edu|gov|co|uk|de|fr|es|it|pt|eu|us|info|me|tv|ch|at|ca|br|mx|jp|cn)"
    r"(?::\d{1,5})?(?:[/?#].*)?",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_INITIALS = re.compile(r"(?:[^\W\d_]\.){1,6}[^\W\d_]?")
_HANDLE = re.compile(r"([@#])([^\W\d_][\w-]{0,60})")
_JOINTS = str.maketrans(
    {"_": " ", "/": " ", "\\": " ", "|": " ", "*": " ", "=": " ", "~": " ", "^": " ", "<": " ", ">": " ", "#": " "}
)

SPOKEN_PATH = 40
"""Characters of a URL's path that are still said; a longer one tells a listener nothing."""


def read_address(core: str, lex: Lexicon) -> str | None:
    """A URL, a domain or an e-mail address."""
    if "." not in core or (lex.code and not lex.dot):
        return None
    if _EMAIL.fullmatch(core):
        name, _, host = core.partition("@")
        return f"{_spell(name, lex)} {lex.at} {_spell(host, lex)}"
    scheme = _SCHEME.match(core)
    bare = core[scheme.end() :] if scheme else core
    if not bare or (scheme is None and not _DOMAIN.fullmatch(core)):
        return None
    host, _, path = re.split(r"[?#]", bare, maxsplit=1)[0].partition("/")
    said = _spell(host, lex)
    path = path.strip("/")
    if path and len(path) <= SPOKEN_PATH and lex.slash:
        said += "".join(f" {lex.slash} {_spell(part, lex)}" for part in path.split("/"))
    return said


def _spell(name: str, lex: Lexicon) -> str:
    said = name.replace(".", f" {lex.dot} ").replace(":", " ").replace("_", " ").replace("-", " ")
    return " ".join(said.replace("+", " plus ").replace("%", " ").split())


def read_abbreviation(core: str, beside: Beside, lex: Lexicon, *, dotted: bool) -> str | None:
    """`dotted`: a full stop follows `core`, which may be part of it."""
    low = core.lower()
    if dotted and low in ("no", "p", "pp") and not beside.after[:1].isdigit():
        return None
    if dotted and low == "st" and not beside.after[:1].isupper():
        return "Street" if lex.code == "en" else None
    # "min." after a number is minutes, elsewhere an unknown; "am." ends "I am." far more often than a time
    if dotted and low in ("min", "am", "pm") and not beside.before[-1:].isdigit():
        return None
    said = lex.abbreviations.get(low + "." if dotted else low) or lex.abbreviations.get(low)
    if said is None and low in ("am", "pm") and beside.before[-1:].isdigit():
        said = lex.abbreviations.get(f"{low[0]}.m.")
    if said is None and "." in core and _INITIALS.fullmatch(core) and len(core) <= 12:
        said = "-".join(core.replace(".", "").upper())  # "A I" would begin with an article
    return said


def read_month(core: str, beside: Beside, lex: Lexicon) -> str | None:
    """ "Nov" beside a number."""
    number = lex.month_names.get(core.lower())
    beside_number = beside.after[:1].isdigit() or beside.before[-1:].isdigit()
    return lex.months[number - 1] if number and beside_number else None


def read_unit(core: str, beside: Beside, lex: Lexicon) -> str | None:
    """A unit or currency that stands after its number: "5 km", "3,50 €", "20 %". One that was said with its number is ""."""
    if not lex.numbers:
        return None
    number, span = patterns(lex.code).number, patterns(lex.code).span
    if core in lex.units and span.fullmatch(beside.before):
        return lex.units[core][1]
    match = number.fullmatch(beside.before)
    if match is None:
        said_with_number = core in lex.currencies and number.fullmatch(beside.after) is not None
        said_with_number |= core == lex.hour[0] and ":" in beside.before and beside.before[-1:].isdigit()
        return "" if said_with_number else None
    one = match[2] == "1" and not match[3]
    if core == "%":
        return lex.percent
    if core in lex.currencies and len(match[3]) == 3:
        return ""
    names = lex.units.get(core) or lex.currencies.get(core)
    return pick(names, one=one) if names else None


def read_operator(word: str, beside: Beside, lex: Lexicon) -> str | None:
    """A "*" or "/" that stands between two numbers."""
    said = {"*": lex.times, "x": lex.times, "/": lex.divided}.get(word)
    return said if said and beside.before[-1:].isdigit() and beside.after[:1].isdigit() else None


def read_magnitude(core: str, beside: Beside, lex: Lexicon) -> str | None:
    """The "million" of "$5 million", after which the currency is said."""
    if not lex.numbers or not is_magnitude(core):
        return None
    match = patterns(lex.code).money.fullmatch(beside.before)
    if match is not None:
        return f"{core} {lex.currencies[match[2]][1]}"
    span = patterns(lex.code).span.fullmatch(beside.before)
    return f"{core} {lex.currencies[span[1]][1]}" if span is not None and span[1] else None


def read_handle(core: str, lex: Lexicon) -> str | None:
    match = _HANDLE.fullmatch(core)
    if match is None:
        return None
    name = match[2].replace("_", " ")
    return (
        f"{lex.at} {name}"
        if match[1] == "@" and lex.at != "@"
        else f"hashtag {name}"
        if lex.code == "en" and match[1] == "#"
        else name
    )


def separate(core: str, lex: Lexicon) -> str:
    """What no reader knew, without marks that an engine would spell out."""
    said = core.translate(_JOINTS)
    for mark in "&+@%":
        if mark in said:
            said = said.replace(mark, f" {lex.symbols.get(mark, '')} ")
    for half, words in lex.halves.items():
        if half in said:
            said = said.replace(half, f" {words} ")
    return said.replace("()", "")
