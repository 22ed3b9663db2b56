"""When each spoken word begins, from the times of Kokoro's phonemes. Pure.

The phonemizer joins little words ("of the" becomes one) and keeps punctuation, so the marks are where both sides meet: between
two marks, equal counts are paired one to one and unequal ones in proportion to their length.
"""

from collections.abc import Sequence

_MARKS = ".,;:!?…—"


def word_starts(spoken: Sequence[str], phonemes: str, edges: Sequence[float]) -> list[float]:
    """Start in seconds of each of `spoken`. `edges[i]` is where character i of `phonemes` begins, and the last where all ends.

    Never falls. Without edges (a model that exports no durations) pass `even_edges(phonemes, seconds)`.
    """
    starts: list[float] = []
    for words, first, last in _segments(spoken, phonemes):
        starts += _within(words, phonemes, first, last, edges)
    for index in range(1, len(starts)):
        starts[index] = max(starts[index], starts[index - 1])
    return starts


def even_edges(phonemes: str, seconds: float) -> list[float]:
    """As if all phonemes were equally long."""
    return [seconds * index / max(1, len(phonemes)) for index in range(len(phonemes) + 1)]


def _segments(spoken: Sequence[str], phonemes: str) -> list[tuple[Sequence[str], int, int]]:
    """Runs of words with the span of phonemes that they are spoken by; one run with all where the marks do not agree."""
    word_ends = [index + 1 for index, word in enumerate(spoken) if word[-1] in _MARKS or index + 1 == len(spoken)]
    mark_ends, end = list[int](), len(phonemes)
    for index, char in enumerate(phonemes):
        if char in _MARKS and (index + 1 == end or phonemes[index + 1] not in _MARKS):
            mark_ends.append(index + 1)
    if not mark_ends or mark_ends[-1] != end:
        mark_ends.append(end)
    if len(word_ends) != len(mark_ends):
        return [(spoken, 0, end)]
    pairs = zip([0, *word_ends], word_ends, [0, *mark_ends], mark_ends, strict=False)
    return [(spoken[a:b], first, last) for a, b, first, last in pairs]


def _within(words: Sequence[str], phonemes: str, first: int, last: int, edges: Sequence[float]) -> list[float]:
    begins = [at for at in range(first, last) if phonemes[at] != " " and (at == first or phonemes[at - 1] == " ")]
    if len(begins) == len(words):
        return [edges[at] for at in begins]
    start = begins[0] if begins else first
    total, before, starts = sum(map(len, words)), 0, list[float]()
    for word in words:
        starts.append(edges[start + (last - start) * before // total])
        before += len(word)
    return starts
