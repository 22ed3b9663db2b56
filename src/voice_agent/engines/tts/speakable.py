"""Written text to what is spoken: no markdown, no emoji, numbers and addresses as words.

Each white-space separated word of the original becomes none, one or several spoken words, in order, and the mapping is kept, so
that an engine's times for spoken words can be told for the words that the listener reads. Pure, and linear in the text.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from voice_agent.engines.tts.lexicon import Lexicon, lexicon
from voice_agent.engines.tts.markup import is_fence, is_heading_mark, is_list_mark, is_rule, strip_word
from voice_agent.engines.tts.patterns import LONGEST, Beside
from voice_agent.engines.tts.readers import read_numeric
from voice_agent.engines.tts.symbols import (
    read_abbreviation,
    read_address,
    read_handle,
    read_magnitude,
    read_month,
    read_operator,
    read_unit,
    separate,
)

_OPENING = "\"'“”„‘«»([{*_¿¡|"
_CLOSING = ".,;:!?…)]}\"'”“’»*_|。！？，、；："
_KEPT_OPENING = "¿¡("
_KEPT_CLOSING = ".,;:!?…)。！？，、；："
_ENDS = ".!?…:;,。！？，、；："
_MAY_END = frozenset({"a.m.", "p.m.", "etc.", "inc.", "ltd.", "corp.", "jr.", "usw.", "ecc."})
_STARTERS = frozenset(
    {
        "The",
        "It",
        "He",
        "She",
        "We",
        "They",
        "I",
        "This",
        "That",
        "There",
        "But",
        "And",
        "So",
        "In",
        "On",
        "At",
        "If",
        "When",
        "You",
    }
)
"""Words that begin a sentence when they stand capitalised after "U.S."."""


@dataclass(frozen=True, slots=True)
class Speakable:
    """`origins[i]` is the index in `words` (the original's words) that the i-th of `spoken_words` comes from; it never falls."""

    words: tuple[str, ...]
    spoken_words: tuple[str, ...]
    origins: tuple[int, ...]

    @property
    def spoken(self) -> str:
        return " ".join(self.spoken_words)

    def starts(self) -> tuple[int, ...]:
        """Where each spoken word begins in `spoken`, in characters."""
        return (0, *accumulate(len(word) + 1 for word in self.spoken_words))[: len(self.spoken_words)]

    def spoken_at(self, position: int, starts: tuple[int, ...]) -> int:
        """The index of the spoken word that the character at `position` of `spoken` belongs to. `starts` is `starts()`."""
        return max(0, bisect_right(starts, position) - 1)


def speakable(text: str, language: str) -> Speakable:
    """`language` is an ISO 639-1 code or tag; one without tables keeps its digits, which the engine then reads."""
    return _Speaker(lexicon(language)).speak(text)


class _Speaker:
    """One text on its way."""

    def __init__(self, lex: Lexicon) -> None:
        self._lex = lex
        self._spoken: list[str] = []
        self._origins: list[int] = []

    def speak(self, text: str) -> Speakable:
        words = text.split()
        if not any(map(str.isalnum, text)):
            return Speakable(words=tuple(words), spoken_words=(), origins=())  # symbols alone are not speech
        index = 0
        lines = text.splitlines()
        for number, line in enumerate(lines):
            on_line = line.split()
            breaks = is_fence(line)
            if on_line and not breaks:
                breaks = is_heading_mark(on_line[0]) or is_list_mark(on_line[0]) or on_line[0].startswith("|")
                self._line(words, index, len(on_line))
            index += len(on_line)
            if breaks or (number + 1 < len(lines) and not lines[number + 1].strip()):
                self._end_line(last=index >= len(words))
        return Speakable(words=tuple(words), spoken_words=tuple(self._spoken), origins=tuple(self._origins))

    def _end_line(self, *, last: bool) -> None:
        """A heading, a list item or a paragraph without a full stop would run into the next one."""
        if self._spoken and not last and self._spoken[-1][-1] not in _ENDS + ")":
            self._spoken[-1] += "."

    def _line(self, words: list[str], first: int, count: int) -> None:
        stripped = [strip_word(word) for word in words[first : first + count]]
        if self._lex.grouping == " ":
            _join_groups(stripped)
        bare = [_bare(word) for word in stripped]
        for offset, word in enumerate(stripped):
            if offset == 0 and (is_heading_mark(word) or (is_list_mark(word) and not word[0].isdigit()) or word == ">"):
                continue
            beside = Beside(bare[offset - 1] if offset else "", bare[offset + 1] if offset + 1 < count else "")
            self._word(word, beside, first + offset, last=first + offset + 1 == len(words))

    def _word(self, word: str, beside: Beside, index: int, *, last: bool) -> None:
        if (said := read_operator(word, beside, self._lex)) is not None:
            self._add(said, index)
            return
        if is_rule(word) or not word:
            self._pause(",", word.startswith("|"))
            return
        if word.isalpha() and self._lex.abbreviations.get(word.lower()) is None and not self._is_special(word, beside):
            self._add(word, index)
            return
        self._add(self._read(word, beside, last=last), index)

    def _is_special(self, word: str, beside: Beside) -> bool:
        """A word of letters that is read according to the number beside it: "Nov", "km", "am", "million"."""
        return (
            beside.before[-1:].isdigit()
            or word in self._lex.currencies
            or (word.lower() in self._lex.month_names and beside.after[:1].isdigit())
        )

    def _add(self, said: str, index: int) -> None:
        spoken = [part for part in said.split() if any(char.isalnum() for char in part)]
        if not spoken:
            marks = "".join(char for char in said if char in _ENDS)
            self._pause(marks or ",", bool(marks) or said.strip() in ("—", "–", "-"))
            return
        self._spoken += spoken
        self._origins += [index] * len(spoken)

    def _pause(self, marks: str, wanted: bool) -> None:
        """A punctuation mark that stands alone (French " !", a dash) belongs to the word before it."""
        if wanted and self._spoken and self._spoken[-1][-1] not in _ENDS:
            self._spoken[-1] += marks[:3]

    # ------------------------------------------------------------ one word

    def _read(self, word: str, beside: Beside, *, last: bool) -> str:
        start = len(word) - len(word.lstrip(_OPENING))
        core = word[start:]
        ending = core[len(core.rstrip(_CLOSING)) :]
        core = core[: len(core) - len(ending)] if ending else core
        if not core:
            return word
        opening = "".join(char for char in word[:start] if char in _KEPT_OPENING)
        closing = "".join(char for char in ending if char in _KEPT_CLOSING)
        said, closing = self._read_core(core, closing, beside, last=last)
        if closing and said[-1:] in ",.":
            said = said[:-1]
        return opening + said + closing

    def _read_core(self, core: str, closing: str, beside: Beside, *, last: bool) -> tuple[str, str]:
        lex = self._lex
        if len(core) > LONGEST:
            return separate(core, lex), closing
        dotted = closing.startswith(".") and not closing.startswith("..")
        short = read_abbreviation(core, beside, lex, dotted=dotted)
        if short is not None:
            may_end = core.lower() + "." in _MAY_END or "." in core
            ends = last or beside.after in _STARTERS or (may_end and beside.after[:1].isupper() and not core.isupper())
            return short, closing[1:] if dotted and not ends else closing
        month = read_month(core, beside, lex)
        if month is not None:
            return month, closing[1:] if dotted and beside.after[:1].isdigit() else closing
        return self._read_other(core, beside), closing

    def _read_other(self, core: str, beside: Beside) -> str:
        lex = self._lex
        if (said := read_address(core, lex)) is not None:
            return said
        for read in (read_unit, read_magnitude):
            if (said := read(core, beside, lex)) is not None:
                return said
        if (said := read_handle(core, lex)) is not None:
            return said
        has_digit = lex.numbers and any(char.isdigit() or char in lex.halves for char in core)
        if has_digit and (said := read_numeric(core, beside, lex)) is not None:
            return said
        return lex.symbols.get(core) or separate(core, lex)


def _join_groups(words: list[str]) -> None:
    """French "1 000,50" is one number: it is said at its last group."""
    for index in range(len(words) - 1):
        after = words[index + 1]
        head = words[index].lstrip(_OPENING + "-−")
        is_head = head.isascii() and head.isdigit() and head[0] != "0" and len(head) <= 12
        is_group = 3 <= len(after) <= 12 and after[:3].isdigit() and not after[3:4].isdigit()
        if is_head and is_group:
            words[index], words[index + 1] = "", words[index] + after


def _bare(word: str) -> str:
    """A neighbour as readers see it. Only the ends matter, so a long one is shortened."""
    word = word[:LONGEST]
    return word.lstrip(_OPENING).rstrip(_CLOSING)
