"""Cutting a reply into clauses while it is being generated.

Speech can start when the first clause is there, so that one is short; each later one may be longer, because there is by then
audio to play while it is synthesised. The text is read character by character, and a cut depends only on the characters
read so far, so the clauses are the same however the text was divided into deltas. Joined, they are the text, white space and all.

Between two words lies a `_Boundary`. It is judged when the first character of the second word is known, which is the
look-ahead that tells "3. Then" from "3.14", "No. 5" from "No. I …", and a French "Bien !" from "Bien" and something else.
A clause keeps the white space after it, so that the next one begins with a word.
"""

import re
from dataclasses import dataclass, replace
from enum import IntEnum
from math import inf


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseLimits:
    """Sizes in words; a Chinese or Japanese character counts as 1 / `cjk_per_word` of one.

    The defaults come from what synthesis costs: Kokoro on two cores needs half the time it speaks, so a clause may be `growth`
    times as long as all that was cut before it without a gap (reference: about 100 ms + 38 ms a token).
    """

    first_min: int = 3
    """A comma ends the first clause from here on; a sentence end always does."""
    first_max: int = 8
    """The first clause is cut here even without punctuation: about 2.5 s of speech."""
    second_max: int = 15
    later_min: int = 3
    """A shorter sentence is joined to the next one: very short pieces sound different."""
    later_max: int = 30
    growth: float = 2.0
    pair_max: int = 8
    """Brackets and quotes of up to this many words are not cut inside."""
    cjk_per_word: int = 2
    """Chinese and Japanese are spoken at about 5 characters a second, English at about 2.5 words."""
    max_chars: int = 2000
    """A clause without one place to cut ends here: whatever this is, it is not a word."""


class _Rank(IntEnum):
    """How good a place to cut a boundary is."""

    NEVER = 0  # "Dr. | Smith", "555 | 1234"
    WEAK = 1  # "of | the"
    WORD = 2
    PHRASE = 3  # before "and", "because", "with"
    CLAUSE = 4
    SENTENCE = 5


@dataclass(frozen=True, slots=True)
class _Boundary:
    position: int  # in characters from the start of the whole text
    words: float  # before it, from the start of the whole text
    rank: _Rank
    inside: bool  # a short pair of brackets or quotes


_SENTENCE_MARKS = ".!?。！？｡؟।"
_CLAUSE_MARKS = ",;:—–…，、；：､،؛"
_ELLIPSIS = ("...", "…")
_CLOSERS = ")]}»”’\"'*_`」』）】〉》"
_TRAILING = _SENTENCE_MARKS + _CLAUSE_MARKS + "-)]}»”」』）】〉》％%"
_PAIRS = {"(": ")", "[": "]", "{": "}", "“": "”", "„": "“", "«": "»", "「": "」", "『": "』", "（": "）", "【": "】", "《": "》"}

_GLUED = frozenset(
    [
        "dr.",
        "mr.",
        "mrs.",
        "ms.",
        "prof.",
        "st.",
        "mt.",
        "e.g.",
        "i.e.",
        "vs.",
        "fig.",
        "vol.",
        "ed.",
        "approx.",
        "gen.",
        "col.",
        "lt.",
        "sgt.",
        "capt.",
        "rev.",
        "hon.",
        "pres.",
        "gov.",
        "sen.",
        "rep.",
        "cf.",
        "p.",
        "pp.",
        "ca.",
        "sr.",
        "sra.",
        "srta.",
        "ud.",
        "uds.",
        "dra.",
        "av.",
        "m.",
        "mm.",
        "mme.",
        "mlle.",
        "mgr.",
        "hr.",
        "fr.",
        "nr.",
        "bzw.",
        "z.b.",
        "d.h.",
        "u.a.",
        "sig.",
        "sig.ra",
        "dott.",
        "p.ej.",
    ]
)
_MAY_END = frozenset(
    ["a.m.", "p.m.", "etc.", "inc.", "ltd.", "co.", "corp.", "jr.", "al.", "usw.", "u.s.", "u.k.", "u.n.", "e.u.", "d.c."]
)
_NUMBERED = frozenset({"no.", "nos.", "art.", "sec.", "ch.", "núm.", "n°."})
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+\Z")
_LIST_NUMBER = re.compile(r"\(?(?:\d{1,3}|[a-zA-Z])[.)]\Z")

_BREAK_BEFORE = frozenset(
    [
        "and",
        "but",
        "or",
        "so",
        "because",
        "that",
        "which",
        "who",
        "when",
        "where",
        "while",
        "if",
        "although",
        "though",
        "since",
        "unless",
        "until",
        "with",
        "without",
        "for",
        "from",
        "in",
        "on",
        "at",
        "by",
        "to",
        "into",
        "about",
        "after",
        "before",
        "during",
        "through",
        "between",
        "as",
        "than",
        "like",
        "y",
        "e",
        "o",
        "u",
        "pero",
        "porque",
        "que",
        "cuando",
        "donde",
        "con",
        "sin",
        "para",
        "por",
        "en",
        "desde",
        "hasta",
        "aunque",
        "si",
        "como",
        "et",
        "ou",
        "mais",
        "donc",
        "car",
        "parce",
        "quand",
        "où",
        "avec",
        "sans",
        "pour",
        "dans",
        "sur",
        "chez",
        "vers",
        "comme",
        "und",
        "oder",
        "aber",
        "weil",
        "dass",
        "wenn",
        "mit",
        "ohne",
        "für",
        "von",
    ]
)
_WEAK_AFTER = _BREAK_BEFORE | frozenset(
    [
        "a",
        "an",
        "the",
        "my",
        "your",
        "his",
        "her",
        "its",
        "our",
        "their",
        "this",
        "these",
        "those",
        "of",
        "is",
        "are",
        "was",
        "were",
        "be",
        "very",
        "not",
        "no",
        "i",
        "you",
        "he",
        "she",
        "we",
        "they",
        "i'm",
        "it's",
        "el",
        "la",
        "los",
        "las",
        "un",
        "una",
        "de",
        "del",
        "al",
        "mi",
        "tu",
        "su",
        "le",
        "les",
        "une",
        "des",
        "du",
        "au",
        "aux",
        "mon",
        "ma",
        "mes",
        "ce",
        "cette",
        "der",
        "die",
        "das",
        "ein",
        "eine",
        "den",
        "dem",
    ]
)
_CJK_BREAK_BEFORE = frozenset("和与跟但而因所如并或及然可")


def _is_cjk(char: str) -> bool:
    """Letters of scripts that put no spaces between words: kana, Han (all planes)."""
    return "぀" <= char <= "ヿ" or "㐀" <= char <= "鿿" or "豈" <= char <= "﫿" or "𠀀" <= char <= "𳍿" or char in "々〆"


def _is_hiragana(char: str) -> bool:
    return "぀" <= char <= "ゟ"


class ClauseCutter:
    """Of one reply. Not reusable after `finish`."""

    def __init__(self, limits: ClauseLimits | None = None) -> None:
        self._limits = limits or ClauseLimits()
        self._chars: list[str] = []  # of the clause that is being gathered
        self._start = 0  # its position in the whole text
        self._words_before = 0.0  # this clause
        self._words = 0.0  # complete ones, in the whole text
        self._cut = 0  # clauses
        self._pending: list[_Boundary] = []
        self._word_at = 0  # position of the word that is being read
        self._opens_line = True  # that word stands first on its line
        self._space = ""  # the white space after it, as far as it matters: "", " " or a line end
        self._pairs: list[tuple[str, float]] = []  # closing character, words when it was opened

    def push(self, text: str) -> list[str]:
        """The clauses that `text` completed, in order; often none."""
        clauses: list[str] = []
        for char in text:
            clauses += self._read(char)
        return clauses

    def finish(self) -> list[str]:
        """What is left, as one clause; nothing when nothing is left."""
        rest = "".join(self._chars)
        self._chars.clear()
        self._pending.clear()
        return [rest] if rest else []

    # ------------------------------------------------------------ reading

    def _read(self, char: str) -> list[str]:
        clauses: list[str] = []
        if char.isspace():
            self._space = "\n" if char in "\n\r\u2028\u2029" or self._space == "\n" else " "
        else:
            if self._begins_word(char):
                clauses = self._reached(char)
            self._space = ""
            self._track_pair(char)
        self._chars.append(char)
        if len(self._chars) >= self._limits.max_chars:
            here = _Boundary(self._start + len(self._chars), self._words, _Rank.WEAK, False)
            clauses.append(self._take(self._pending[-1] if self._pending else here))
        return clauses

    def _begins_word(self, char: str) -> bool:
        if not self._chars:
            return False
        if self._space == "\n":
            return True
        if char in _TRAILING:
            return False  # also after a space: « Bien ! », "word - word"
        if self._space:
            return self._last_visible() not in "«¿¡"
        last = self._chars[-1]
        if _is_cjk(char):
            return last not in _PAIRS
        return (
            _is_cjk(last)
            or last in "—。！？，、；："
            or (last in _CLOSERS and len(self._chars) > 1 and self._chars[-2] in "。！？")
        )

    def _last_visible(self) -> str:
        return next((char for char in reversed(self._chars) if not char.isspace()), " ")

    def _track_pair(self, char: str) -> None:
        if self._pairs and char == self._pairs[-1][0]:
            self._pairs.pop()
        elif char == '"':
            if not self._chars or self._chars[-1].isspace() or self._chars[-1] in _PAIRS:
                self._pairs.append(('"', self._words))
        elif char in _PAIRS:
            self._pairs.append((_PAIRS[char], self._words))
        if len(self._pairs) > 8:  # deeper than any prose: not pairs at all
            del self._pairs[0]

    # ------------------------------------------------------------ judging a boundary

    def _reached(self, char: str) -> list[str]:
        """A word is complete and `char` begins the next one."""
        tail = "".join(self._chars[max(self._word_at - self._start, len(self._chars) - 40, 0) :]).rstrip()
        self._count(tail)
        position = self._start + len(self._chars)
        inside = any(self._words - opened <= self._limits.pair_max for _, opened in self._pairs)
        boundary = _Boundary(position, self._words, self._rank(tail, char), inside)
        self._word_at, self._opens_line = position, self._space == "\n"
        return self._settle(boundary)

    def _count(self, tail: str) -> None:
        """Adds the word `tail`, and raises the boundary before it when it is one that a phrase begins with."""
        if any(char.isalnum() for char in tail):
            self._words += 1 / self._limits.cjk_per_word if _is_cjk(tail[0]) else 1.0
        if not self._pending:
            return
        before = self._pending[-1]
        word = tail.strip(_TRAILING + _CLOSERS).lower()
        if before.rank is _Rank.WORD and before.position == self._word_at and word in _BREAK_BEFORE:
            self._pending[-1] = replace(before, rank=_Rank.PHRASE)

    def _rank(self, tail: str, char: str) -> _Rank:
        core = tail.rstrip(_CLOSERS)
        if not core:
            return _Rank.SENTENCE if self._space == "\n" else _Rank.WEAK
        if self._opens_line and self._space and (_LIST_NUMBER.match(core) or core in ("-", "*", "•", "–", "#", "##", "###", ">")):
            return _Rank.NEVER
        if self._space == "\n":
            return _Rank.SENTENCE
        if core.endswith(_ELLIPSIS):
            return _Rank.CLAUSE
        if core[-1] in _SENTENCE_MARKS:
            return self._rank_stop(core.lstrip("([{\"'“«¿¡*_`").lower(), char)
        if core[-1] in _CLAUSE_MARKS or (core[-1] == "-" and core[-2:-1].isspace()):
            return _Rank.CLAUSE
        return self._rank_plain(core, char)

    @staticmethod
    def _rank_stop(word: str, char: str) -> _Rank:
        """`word` ends with a sentence mark, which may belong to an abbreviation."""
        if word in _NUMBERED and char.isdigit():
            return _Rank.NEVER
        if word in _MAY_END:
            return _Rank.SENTENCE if char.isupper() and not word.startswith(("u.", "e.", "d.")) else _Rank.WORD
        if word in _GLUED or (_INITIALS.match(word) and word != "i."):
            return _Rank.NEVER
        return _Rank.SENTENCE

    @staticmethod
    def _rank_plain(core: str, char: str) -> _Rank:
        last = core[-1]
        if last.isdigit() and (char.isdigit() or _is_cjk(char) or char in "°%€$£"):
            return _Rank.NEVER
        if last in "$€£+=/&@#" or char in "+=/&×÷":
            return _Rank.NEVER
        if _is_cjk(last) and _is_cjk(char):
            if char in _CJK_BREAK_BEFORE or (_is_hiragana(last) and not _is_hiragana(char)):
                return _Rank.PHRASE
            return _Rank.WEAK if _is_hiragana(char) else _Rank.WORD
        word = core.lstrip("([{\"'“«¿¡*_`").lower()
        return _Rank.WEAK if word in _WEAK_AFTER or last.isdigit() else _Rank.WORD

    # ------------------------------------------------------------ cutting

    def _settle(self, boundary: _Boundary) -> list[str]:
        """Takes the boundary in and cuts as often as the limits now ask."""
        clauses: list[str] = []
        waiting = [boundary]
        while waiting:
            newest = waiting.pop(0)
            if newest.rank is _Rank.NEVER:
                continue
            self._pending.append(newest)
            chosen = self._choose()
            if chosen is not None:
                # What lies behind the cut is judged again, as the start of the next clause.
                waiting = [later for later in self._pending if later.position > chosen.position] + waiting
                clauses.append(self._take(chosen))
        return clauses

    def _choose(self) -> _Boundary | None:
        """The boundary to cut at now that the last of `_pending` has been reached."""
        newest = self._pending[-1]
        size = newest.words - self._words_before
        if size <= 0:
            return None
        smallest, largest = self._sizes()
        if not newest.inside:
            if newest.rank is _Rank.SENTENCE and size >= smallest:
                return newest
            if self._cut == 0 and newest.rank is _Rank.CLAUSE and size >= self._limits.first_min:
                return newest
        return self._forced(size, largest) if size >= largest else None

    def _sizes(self) -> tuple[float, float]:
        """Words from which a sentence end cuts, and at which a cut is forced."""
        limits = self._limits
        if self._cut == 0:
            return 0.0, float(limits.first_max)
        ceiling = limits.second_max if self._cut == 1 else limits.later_max
        return float(limits.later_min), min(float(ceiling), max(float(limits.first_max), limits.growth * self._words_before))

    def _forced(self, size: float, largest: float) -> _Boundary | None:
        """The best place, the later the better, that leaves at least half a clause; a short pair may delay it."""
        patient = size < largest + self._limits.pair_max
        best: _Boundary | None = None
        for boundary in self._pending:
            words = boundary.words - self._words_before
            least = 0.0 if boundary.rank is _Rank.SENTENCE else largest / 2
            if words <= 0 or not least <= words <= (largest if patient else inf) or (patient and boundary.inside):
                continue
            if best is None or boundary.rank >= best.rank:
                best = boundary
        return best

    def _take(self, boundary: _Boundary) -> str:
        length = boundary.position - self._start
        clause = "".join(self._chars[:length])
        del self._chars[:length]
        self._start, self._words_before = boundary.position, boundary.words
        self._pending.clear()
        self._cut += 1
        return clause
