"""Long text in pieces that an engine can be stopped between, without reading all of it first."""

from collections.abc import Iterator

_SENTENCE_ENDS = ".!?…。！？\n"
_CLAUSE_ENDS = ",;:—、，；："


def pieces(text: str, limit: int) -> Iterator[str]:
    """Parts of `text` of at most `limit` characters, cut after a sentence, else a clause, else a word, else anywhere.

    Joined, they are the text. A cut lies behind white space, or behind a mark of a script that needs none.
    """
    start = 0
    while len(text) - start > limit:
        end = start + _cut(text[start : start + limit + 1], limit)
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


def _cut(window: str, limit: int) -> int:
    """Where to cut `window`, which is one character longer than a piece may be."""
    word, clause = 0, 0
    for index in range(limit, limit // 3, -1):
        before, after = window[index - 1], window[index]
        if before == "\n" or before in "。！？" or (before in _SENTENCE_ENDS and after.isspace()):
            return index
        if not clause and (before in "、，；：" or (before in _CLAUSE_ENDS and after.isspace())):
            clause = index
        if not word and after.isspace():
            word = index
    return clause or word or limit
