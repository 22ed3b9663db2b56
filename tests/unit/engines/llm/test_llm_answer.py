"""One streamed answer: text without thoughts, tool calls put together, what is not whole is an error."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.engines.base import LlmUsage, TextDelta, ToolCall
from voice_agent.engines.llm.answer import Answer
from voice_agent.engines.llm.reasoning import ThoughtFilter
from voice_agent.engines.llm.wire import Chunk, ToolFragment
from voice_agent.errors import EngineFailed


def filtered(pieces: list[str]) -> str:
    thoughts = ThoughtFilter()
    return "".join(thoughts.feed(piece) for piece in pieces) + thoughts.end()


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Four.", "Four."),
        ("<think>Two and two.</think>Four.", "Four."),
        ("A <think>x</think>B<think>y</think> C", "A B C"),
        ("<think>never ends", ""),
        ("3 < 4 and <thin", "3 < 4 and <thin"),
        ("<think><think></think>Yes</think>", "Yes</think>"),
        ("", ""),
    ],
)
@given(data=st.data())
def test_thoughts_are_dropped_wherever_the_stream_is_cut(text: str, spoken: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    edges = [0, *cuts, len(text)]
    assert filtered([text[start:end] for start, end in pairwise(edges)]) == spoken


def test_text_is_not_held_back() -> None:
    thoughts = ThoughtFilter()
    assert thoughts.feed("Hello") == "Hello"
    assert thoughts.feed(" there <") == " there "
    assert thoughts.feed("b") == "<b"


def test_white_space_in_front_is_dropped() -> None:
    answer = Answer("x")
    assert answer.add(Chunk(text="\n\n")) == []
    assert not answer.begun
    assert answer.add(Chunk(text=" Hi")) == [TextDelta(text="Hi")]
    assert answer.add(Chunk(text=" you")) == [TextDelta(text=" you")]


def test_a_whole_answer() -> None:
    answer = Answer("x")
    answer.add(Chunk(text="Hi"))
    answer.add(Chunk(finish="stop"))
    answer.add(Chunk(usage=LlmUsage(prompt_tokens=3, completion_tokens=1)))
    assert answer.finished
    assert answer.end() == [LlmUsage(prompt_tokens=3, completion_tokens=1)]


def test_calls_that_share_an_index_are_told_apart_by_their_id() -> None:
    answer = Answer("x")
    for call_id in ("a", "b"):
        answer.add(Chunk(fragments=(ToolFragment(index=0, call_id=call_id, name="light", arguments="{}"),)))
    answer.add(Chunk(finish="tool_calls"))
    assert [call.call_id for call in answer.end() if isinstance(call, ToolCall)] == ["a", "b"]


def test_a_call_without_an_id_gets_one() -> None:
    answer = Answer("x")
    answer.add(Chunk(fragments=(ToolFragment(index=0, name="light"),), finish="tool_calls"))
    assert answer.end() == [ToolCall(call_id="call_0", name="light", arguments="{}")]


@pytest.mark.parametrize(
    ("chunk", "code"),
    [
        (Chunk(text="Hi"), "llm.cut"),
        (Chunk(finish="stop"), "llm.empty_answer"),
        (Chunk(text="<think>Hm", finish="length"), "llm.empty_answer"),
        (Chunk(fragments=(ToolFragment(index=0, arguments="{}"),), finish="tool_calls"), "llm.bad_answer"),
        (Chunk(fragments=(ToolFragment(index=0, name="a", arguments="{" * 9),), finish="tool_calls"), "llm.bad_answer"),
        (Chunk(fragments=(ToolFragment(index=0, name="a", arguments="[" * 100_000),), finish="stop"), "llm.bad_answer"),
    ],
)
def test_what_is_not_a_whole_answer(chunk: Chunk, code: str) -> None:
    answer = Answer("x")
    answer.add(chunk)
    with pytest.raises(EngineFailed) as caught:
        answer.end()
    assert caught.value.code == code
