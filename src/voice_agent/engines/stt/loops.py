"""Decoders that repeat themselves: finding the loop at the end of a token sequence, and undoing it. Pure."""

from collections.abc import Sequence

LONGEST_LOOP = 12
"""Tokens. Longer loops were never seen within the token cap of a turn."""

REPEATS = {1: 8, 2: 5, 3: 4}
"""How often an n-gram must stand in a row to count as a loop. Short ones need more: people do say "1 0 0 0 0 1", and with
three for all lengths such digits were cut."""

REPEATS_OF_LONGER = 3


def loop_length(ids: Sequence[int]) -> int:
    """Length of the n-gram that `ids` ends with too often in a row, 0 if none."""
    for length in range(1, LONGEST_LOOP + 1):
        repeats = REPEATS.get(length, REPEATS_OF_LONGER)
        span = length * repeats
        if len(ids) < span:
            continue
        # A tail that is periodic with `length` equals itself shifted by it.
        if all(ids[-index] == ids[-index - length] for index in range(1, span - length + 1)):
            return length
    return 0


def without_loop(ids: Sequence[int], length: int) -> list[int]:
    """`ids` with one copy left of the n-gram of `length` that it ends with."""
    kept = list(ids)
    while len(kept) >= 2 * length and kept[-length:] == kept[-2 * length : -length]:
        del kept[-length:]
    return kept


def cut_at_loop(ids: Sequence[int]) -> list[int]:
    """The sequence up to its first loop, one copy kept: for engines that give their tokens only when all are there."""
    for end in range(1, len(ids) + 1):
        head = ids[max(0, end - LONGEST_LOOP * REPEATS_OF_LONGER - 1) : end]
        if length := loop_length(head):
            return without_loop(ids[:end], length)
    return list(ids)
