"""A conversation without its words, in which the machine decides the same.

What the machine asks of a text is which words are equal, which belong to the lists of words.py, and how it is punctuated. So
every other word becomes an opaque token, the same one for the same word throughout the session ("w17"; for a script in which
each character is a word, another character of such a script). White space and punctuation stay; symbols and combining marks
become "¤". Speakers become "speaker1", "speaker2".

The listed words stay as they are: they are a public list of a few hundred function words, the same for every conversation, and
no name, number or topic is among them. What a redacted log still tells is who spoke when and how much, where somebody said
"yes" or hesitated, and which words came back.

Instructions, reasons and what functions are called with are text too. Codes, languages, closed sets and the ids of items and
requests are not, see `KEPT`.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import chain, count
from typing import TYPE_CHECKING, Any, TypeVar

from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.transcript import Item
from voice_agent.conversation.words import ANSWERS, BACKCHANNELS, HESITATIONS, SINGLE_CHARACTER_WORDS, UNFINISHED, WORD, words

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value", bound="DataclassInstance")

LISTED = BACKCHANNELS | HESITATIONS | UNFINISHED | ANSWERS
"""The words that policies know by name."""

SYMBOL = "¤"
"""Stands for whatever is neither word, white space nor punctuation. No policy knows it."""

KEPT: dict[type, frozenset[str]] = {
    on.TranscriptFinal: frozenset({"language"}),
    on.TranscriptFailed: frozenset({"code"}),
    on.ReplyFailed: frozenset({"code"}),
    on.ReplyRequested: frozenset({"request_id"}),
    on.ItemInserted: frozenset({"after"}),
    on.ItemRemoved: frozenset({"item_id"}),
    on.ItemTruncated: frozenset({"item_id"}),
    Item: frozenset({"item_id", "role", "language"}),
    do.CommitTurn: frozenset({"item_id", "language"}),
    do.DiscardTurn: frozenset({"reason"}),  # a closed set; the reason of a disconnect is free text
    do.StartReply: frozenset({"request_id"}),
    do.SayText: frozenset({"notice"}),
    do.CallTool: frozenset({"item_id"}),
    do.RecordReply: frozenset({"item_id", "failed"}),
    do.ReportState: frozenset({"state"}),
}
"""Fields that are no text. Every other string is redacted, so that a new field is safe until somebody lists it here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of the machine: `handle(event, now)`, or `handle_timer(now)` where `event` is None."""

    now: float
    event: on.Event | None
    effects: tuple[do.Effect, ...]


class Redactor:
    """Of one session: it remembers which word became which token.

    `words(redactor.text(t))` are the tokens of `words(t)`, one for one, for any text. Deltas of a reply must not cut words:
    see `WholeWords`.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}
        self._speakers: dict[str, str] = {}
        self._numbers = count(1)
        self._characters = (char for char in _single_character_words() if char not in LISTED)

    def step(self, step: Step) -> Step:
        return Step(
            now=step.now,
            event=None if step.event is None else self.value(step.event),
            effects=tuple(self.value(effect) for effect in step.effects),
        )

    def value(self, value: Value) -> Value:
        """An event or effect (or what is nested in one) whose text is redacted."""
        kept = KEPT.get(type(value), frozenset())
        changes: dict[str, Any] = {}
        for name in (field.name for field in fields(value)):
            old = getattr(value, name)
            if isinstance(old, tuple):
                changes[name] = tuple(self.value(inner) for inner in old)
            elif is_dataclass(old) and not isinstance(old, type):
                changes[name] = self.value(old)
            elif isinstance(old, str) and name not in kept:
                changes[name] = self._speaker(old) if name == "speaker" else self.text(old)
        return replace(value, **changes) if changes else value

    def text(self, text: str) -> str:
        """Lower case, as the machine compares it."""
        lower = text.lower()
        pieces: list[str] = []
        end = 0
        for match in WORD.finditer(lower):
            pieces += (_bare(lower[end : match.start()]), self._token(match.group()))
            end = match.end()
        pieces.append(_bare(lower[end:]))
        return "".join(pieces)

    def _token(self, found: str) -> str:
        [word] = words(found)
        if word in LISTED:
            return word
        if word not in self._tokens:
            self._tokens[word] = next(self._characters) if _is_single(word) else f"w{next(self._numbers)}"
        return self._tokens[word]

    def _speaker(self, name: str) -> str:
        return self._speakers.setdefault(name, f"speaker{len(self._speakers) + 1}") if name else ""


class WholeWords:
    """Moves each word of a reply that deltas have cut into the delta that began it, so that it can be redacted as one word.

    A step waits until its last word is known to be complete: by the next delta, or because the reply is over (that it has been
    generated or has failed is not enough: an engine may send more all the same, and the machine takes it). Steps behind it wait
    too, so their order stands. Each step stays one step. At every moment the reply has as many words as before; a word that is
    being written only reads as it will in the end. The one decision that could tell is about an echo of a word that has been
    written by half, which no loudspeaker can have said yet.
    """

    def __init__(self) -> None:
        self._waiting: list[Step] = []  # while a word is open, the first of them began it
        self._word = ""  # the open word as far as known; "" for none
        self._reply_id = 0  # of the current reply: what others add is stale and never goes on

    def push(self, step: Step) -> list[Step]:
        """The steps that are complete now, in order; often none."""
        ready: list[Step] = []
        event = step.event
        if isinstance(event, on.ReplyTextAdded) and event.reply_id == self._reply_id:
            rest = self._continue(event.text)
            if not self._word:
                ready = self.finish()
                self._word = _open_word(rest)
            step = replace(step, event=replace(event, text=rest))
        self._waiting.append(step)
        self._follow(step)
        return ready if self._word else ready + self.finish()

    def finish(self) -> list[Step]:
        """What still waits; the open word is taken as complete."""
        ready, self._waiting, self._word = self._waiting, [], ""
        return ready

    def _continue(self, text: str) -> str:
        """Gives the open word what belongs to it, and closes it where it ends. Returns the rest of `text`."""
        if not self._word:
            return text
        whole = self._word + text
        end = len(whole) if _open_word(whole) == whole else max(_word_end(whole), len(self._word))
        more, rest = whole[len(self._word) : end], whole[end:]
        first = self._waiting[0]
        assert isinstance(first.event, on.ReplyTextAdded), "only a delta begins a word"
        self._waiting[0] = replace(first, event=replace(first.event, text=first.event.text + more))
        self._word = "" if rest else whole
        return rest

    def _follow(self, step: Step) -> None:
        """Which reply is the current one, and does it go on?"""
        for effect in step.effects:
            match effect:
                case do.StartReply() | do.SayText():
                    self._reply_id, self._word = effect.reply_id, ""
                case do.CancelReply() | do.StopPlayout() | do.RecordReply() if effect.reply_id == self._reply_id:
                    self._reply_id, self._word = 0, ""
                case _:
                    pass


def _bare(gap: str) -> str:
    """What stands between words, without symbols and marks."""
    if gap in {"", " "}:
        return gap
    return "".join(char if char.isspace() or unicodedata.category(char).startswith("P") else SYMBOL for char in gap)


def _single_character_words() -> Iterator[str]:
    """All of them, so there are enough. Ideographs that hardly anybody has seen come first."""
    kana, ideographs, hangul = (map(chr, range(ord(first), ord(last) + 1)) for first, last in SINGLE_CHARACTER_WORDS)
    return chain(ideographs, hangul, kana)


def _is_single(word: str) -> bool:
    return len(word) == 1 and any(first <= word <= last for first, last in SINGLE_CHARACTER_WORDS)


def _word_end(text: str) -> int:
    """Of the word that `text` begins with."""
    found = WORD.match(text)
    assert found is not None, "a word is open"
    return found.end()


def _open_word(text: str) -> str:
    """The end of `text` if it is a word that more letters would make longer ("don'" becomes "don't"), else ""."""
    last = max(WORD.finditer(text), key=re.Match.start, default=None)
    if last is None or _is_single(last.group()) or text[last.end() :] not in {"", "'", "’"}:
        return ""
    return text[last.start() :]
