"""What the doctor says to the engines, and how what they heard is compared with it. Pure."""

import re

PHRASE = "Hello, how are you today?"
"""Common words, which every recogniser knows, and a finished sentence for the turn detector. Moonshine follows espeak here
(confidence 0.91); sentences with rarer words it does not always."""

QUESTION = "Say hello."

UNDERSTOOD_SHARE = 0.6
"""Three of the five words. Fewer is a voice that the recogniser cannot follow, or one that does not work."""


def words_of(text: str) -> list[str]:
    """Lower case, without punctuation."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower().replace("\u2019", "'"))


def understood(spoken: str, heard: str) -> int:
    """How many words of `spoken` are in `heard`, in any order, each word of `heard` counted once."""
    left = words_of(heard)
    count = 0
    for word in words_of(spoken):
        if word in left:
            left.remove(word)
            count += 1
    return count
