"""Subtitles: SubRip (srt) and WebVTT. Cues are as short as people can read them, cut where sentences and clauses end."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from voice_agent.api.transcribing import Segment
from voice_agent.engines.base import Word

LINE_CHARS: Final = 42
CUE_CHARS: Final = 2 * LINE_CHARS
CUE_S: Final = 7.0
"""Two lines of 42 characters for at most 7 s: what broadcasters and streaming services agree on."""

PAUSE_S: Final = 0.3
"""Between two words: as good as a comma."""

_SENTENCE_ENDS: Final = (".", "!", "?", "…", "。", "！", "？")
_CLAUSE_ENDS: Final = (",", ";", ":", "，", "；", "：", "、")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """Seconds from the start of the recording."""

    text: str
    start_s: float
    end_s: float


def srt(segments: Iterable[Segment]) -> str:
    """ "" where nothing was said."""
    return "".join(
        f"{number}\n{_stamp(cue.start_s, ',')} --> {_stamp(cue.end_s, ',')}\n{_lines(cue.text)}\n\n"
        for number, cue in enumerate(cues(segments), start=1)
    )


def vtt(segments: Iterable[Segment]) -> str:
    return "WEBVTT\n\n" + "".join(
        f"{_stamp(cue.start_s, '.')} --> {_stamp(cue.end_s, '.')}\n{_escaped(_lines(cue.text))}\n\n" for cue in cues(segments)
    )


def cues(segments: Iterable[Segment]) -> Iterator[Cue]:
    """One for each segment, or several where that is too much to read."""
    for segment in segments:
        if len(segment.text) <= CUE_CHARS and segment.end_s - segment.start_s <= CUE_S:
            yield Cue(text=segment.text, start_s=segment.start_s, end_s=segment.end_s)
        else:
            yield from _cut(segment.words)


def _cut(words: Sequence[Word]) -> Iterator[Cue]:
    start = 0
    while start < len(words):
        end = _end(words, start)
        yield Cue(text=" ".join(word.text for word in words[start:end]), start_s=words[start].start_s, end_s=words[end - 1].end_s)
        start = end


def _end(words: Sequence[Word], start: int) -> int:
    """Where the cue that begins at `start` ends: with its last whole sentence, else its last clause or pause, else full."""
    full, chars = start, -1
    while full < len(words) and (full == start or _fits(words, start, full, chars)):
        chars += len(words[full].text) + 1
        full += 1
    if full == len(words):
        return full
    for ends in (_ends_sentence, _ends_clause):
        for end in range(full, start, -1):
            if ends(words[end - 1], words[end]):
                return end
    return full


def _ends_sentence(word: Word, following: Word) -> bool:
    return word.text.endswith(_SENTENCE_ENDS)


def _ends_clause(word: Word, following: Word) -> bool:
    return word.text.endswith(_CLAUSE_ENDS) or following.start_s - word.end_s >= PAUSE_S


def _fits(words: Sequence[Word], start: int, index: int, chars: int) -> bool:
    return chars + 1 + len(words[index].text) <= CUE_CHARS and words[index].end_s - words[start].start_s <= CUE_S


def _lines(text: str) -> str:
    return "\n".join(textwrap.wrap(text, LINE_CHARS, break_long_words=False, break_on_hyphens=False))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _stamp(seconds: float, point: str) -> str:
    whole, milliseconds = divmod(max(0, round(seconds * 1000)), 1000)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{point}{milliseconds:03}"
