"""The chat-completion format: chunks from the network are not trusted, and the words of an error quote nobody."""

import time
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.engines.base import LlmUsage
from voice_agent.engines.llm.faults import retry_after_s
from voice_agent.engines.llm.wire import Chunk, MalformedChunk, ToolFragment, read_chunk

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "content", "tool_calls", "function", "usage", "x_groq", "finish_reason", "index"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values)
def test_any_json_is_read_or_refused(data: Any) -> None:
    try:
        chunk = read_chunk(data)
    except MalformedChunk:
        return
    assert isinstance(chunk.text, str)
    assert isinstance(chunk.finish, str)


def test_a_chunk_with_everything() -> None:
    call = {"index": 1, "id": "a", "function": {"name": "light", "arguments": "{"}}
    data = {
        "choices": [{"delta": {"content": "Hi", "tool_calls": [call]}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}},
    }
    assert read_chunk(data) == Chunk(
        text="Hi",
        fragments=(ToolFragment(index=1, call_id="a", name="light", arguments="{"),),
        finish="stop",
        usage=LlmUsage(prompt_tokens=3, completion_tokens=1, cached_tokens=2),
    )


@pytest.mark.parametrize("data", [{}, {"choices": []}, {"choices": None}, {"choices": [{"delta": None}]}])
def test_a_chunk_with_nothing(data: dict[str, Any]) -> None:
    assert read_chunk(data) == Chunk()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "x"}, None),
        ({}, None),
        ({"retry-after": formatdate(0, usegmt=True)}, 0.0),
    ],
)
def test_when_to_ask_again(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_when_to_ask_again_as_a_date() -> None:
    wait = retry_after_s({"retry-after": formatdate(time.time() + 60, usegmt=True)})
    assert wait is not None
    assert 50 < wait < 61
