"""What readers share: the words beside a word, and how each language writes numbers, prices and measures.

All patterns are anchored by their use and free of nested repetition.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from voice_agent.engines.tts.lexicon import Lexicon, Plural, lexicon
from voice_agent.engines.tts.numbers import number_pattern

LONGEST = 200
"""Characters. A URL may be this long; anything longer is left as it is."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The words before and after, without surrounding punctuation; "" at an end of the text."""

    before: str = ""
    after: str = ""


Reader: TypeAlias = Callable[[str, Beside, Lexicon], str | None]


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
