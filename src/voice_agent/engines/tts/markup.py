"""Marks that are seen and not heard: markdown, HTML tags, emoji, control characters. Pure, one word or line at a time."""

import re
from html import unescape

_UNSPOKEN = re.compile(
    "["
    "\U0001f000-\U0001faff"  # emoji, cards, pictographs
    "\u2600-\u27bf\u2b00-\u2bff"  # weather, dingbats, stars
    "\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f"  # what joins and colours them
    "\u200b\u200c\u200e\u200f\u2060\ufeff\u00ad"  # invisible characters
    "\u00a9\u00ae\u2122"
    "\x00-\x08\x0e-\x1b\x7f\ud800-\udfff"
    "]+"
)
_LINK = re.compile(r"!?\[?([^\[\]()]{0,500})\]\([^()\s]{0,2000}\)")
_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]{0,15}/?>")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s]{1,2000})>")
_FENCE = re.compile(r"(?:```|~~~)")
_CITATION = re.compile(r"\[\d{1,3}\]")
_ENTITY = re.compile(r"&(?:[a-zA-Z]{2,8}|#\d{1,6});")
_LIST_MARK = re.compile(r"[-*+•◦▪–]|\d{1,3}[.)]")
_RULE = re.compile(r"[-=_*|:+]{2,}|\|")

LONGEST_WORD = 4000
"""Characters up to which links and tags are looked for inside a word."""


def is_fence(line: str) -> bool:
    """A line that opens or closes a block of code."""
    return _FENCE.match(line.lstrip()) is not None


def is_list_mark(word: str) -> bool:
    return _LIST_MARK.fullmatch(word) is not None


def is_heading_mark(word: str) -> bool:
    return 1 <= len(word) <= 6 and not word.strip("#")


def is_rule(word: str) -> bool:
    """A cell border, a table's separator, a horizontal rule."""
    return len(word) <= 400 and _RULE.fullmatch(word) is not None


def strip_word(word: str) -> str:
    """`word` without emoji, emphasis, code ticks, tags and the target of a link."""
    if word.isalpha():
        return word
    word = _UNSPOKEN.sub("", word)
    if len(word) <= LONGEST_WORD:
        if "](" in word:
            word = _LINK.sub(r"\1", word)
        elif "[" in word:
            word = _CITATION.sub("", word)
        if ";" in word:
            word = _ENTITY.sub(lambda match: unescape(match[0]), word)
        word = word.removeprefix("!") if word.startswith("![") else word
        if "<" in word:
            word = _TAG.sub("", _AUTOLINK.sub(r"\1", word))
    return word.replace("**", "").replace("__", "").replace("~~", "").replace("`", "")
