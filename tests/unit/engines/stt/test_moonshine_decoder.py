"""Greedy decoding with drafts, on a session that computes in place of the model."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from voice_agent.engines.stt.moonshine_decoder import BEGIN, END, GROWING, HEADS, PAST, GreedyDecoder, Tokens

VOCABULARY = 40
HIDDEN = np.zeros((1, 3, 288), dtype=np.float32)
MASK = np.ones((1, 1000), dtype=np.int64)


class Automaton:
    """Says what follows a sequence of tokens, as `next_token` has it. The sequence is kept in the cache, so a cache that is cut or
    fed wrongly gives other tokens. `margin` is how far the likeliest token lies before the second."""

    def __init__(
        self, next_token: Callable[[tuple[int, ...]], int], *, margin: Callable[[int], float] = lambda _length: 5.0
    ) -> None:
        self._next_token = next_token
        self._margin = margin
        self.calls: list[int] = []

    def run(self, outputs: Sequence[str], feed: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        ids = feed["input_ids"][0]
        self.calls.append(len(ids))
        cached = bool(feed["use_cache_branch"][0])
        seen = [int(token) for token in feed[GROWING[0]][0, 0, :, 0]] if cached else []
        rows = []
        for token in ids:
            seen.append(int(token))
            rows.append(self._logits(tuple(seen)))
        cache = np.zeros((1, HEADS, len(seen), 1), dtype=np.float32)
        cache[0, :, :, 0] = seen
        assert len(outputs) == 1 + len(GROWING if cached else PAST)
        return [np.stack(rows)[np.newaxis], *([cache] * (len(outputs) - 1))]

    def _logits(self, seen: tuple[int, ...]) -> NDArray[np.float32]:
        logits = np.full(VOCABULARY, -20.0, dtype=np.float32)
        best = self._next_token(seen)
        logits[best] = 0.0
        logits[best % (VOCABULARY - 3) + 3] = -5.0
        return logits


def spelling(text: Sequence[int]) -> Callable[[tuple[int, ...]], int]:
    """A model that says `text`, whatever it is fed before, as long as it is fed its own words."""

    def next_token(seen: tuple[int, ...]) -> int:
        assert seen[0] == BEGIN
        said = len(seen) - 1
        return text[said] if said < len(text) else END

    return next_token


def decode(session: Automaton, *, draft: Sequence[int] = (), cap: int = 30, stop: Callable[[], bool] = lambda: False) -> Tokens:
    return GreedyDecoder(session).decode(HIDDEN, MASK, cap=cap, draft=tuple(draft), stop=stop)


def test_without_a_draft_each_token_is_a_step() -> None:
    session = Automaton(spelling([5, 6, 7]))
    tokens = decode(session)
    assert tokens.ids == [5, 6, 7]
    assert tokens.done
    assert tokens.scored == 4
    assert tokens.logprob == pytest.approx(-4 * np.log1p(np.exp(-5.0)), abs=1e-4)
    assert session.calls == [1, 1, 1, 1]


def test_a_right_draft_takes_two_passes() -> None:
    session = Automaton(spelling(list(range(5, 25))))
    assert decode(session, draft=list(range(5, 25))).ids == list(range(5, 25))
    assert session.calls == [1, 20]


def test_a_wrong_end_of_the_draft_is_replaced() -> None:
    session = Automaton(spelling([5, 6, 7, 8, 9]))
    assert decode(session, draft=[5, 6, 30, 31]).ids == [5, 6, 7, 8, 9]
    assert session.calls == [1, 4, 1, 1, 1]


def test_a_draft_that_says_too_much_ends_where_the_model_ends() -> None:
    session = Automaton(spelling([5, 6]))
    tokens = decode(session, draft=[5, 6, 7, 8])
    assert (tokens.ids, tokens.done, session.calls) == ([5, 6], True, [1, 4])


@given(
    text=st.lists(st.integers(3, 12), max_size=12),
    draft=st.lists(st.integers(2, 12), max_size=14),
    shared=st.integers(0, 12),
    cap=st.integers(1, 20),
)
def test_the_text_does_not_depend_on_the_draft(text: list[int], draft: list[int], shared: int, cap: int) -> None:
    alone, drafted = (
        decode(Automaton(spelling(text)), cap=cap),
        decode(Automaton(spelling(text)), draft=text[:shared] + draft, cap=cap),
    )
    assert drafted.ids == alone.ids
    assert drafted.done == alone.done
    assert drafted.logprob == pytest.approx(alone.logprob, abs=1e-3)
    assert len(drafted.ids) <= cap


def test_a_loop_ends_the_decode_with_one_copy() -> None:
    session = Automaton(spelling([5] + [6, 7] * 100))
    assert decode(session, cap=100).ids == [5, 6, 7]
    assert len(session.calls) < 15


def test_the_cap_ends_the_decode() -> None:
    assert decode(Automaton(spelling(list(range(3, 33)))), cap=6).ids == [3, 4, 5, 6, 7, 8]


def test_stop_is_asked_between_tokens_and_keeps_what_there_is() -> None:
    session = Automaton(spelling(list(range(3, 33))))
    tokens = decode(session, stop=lambda: len(session.calls) >= 4)
    assert tokens.ids == [3, 4, 5, 6]
    assert not tokens.done
    assert decode(session, stop=lambda: True).ids == []
