"""The prompt of the small demo model: always the same beginning, at most one earlier turn, at most two sentences."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.engines.base import LlmRequest, Message, Tool
from voice_agent.engines.llm import small_prompt
from voice_agent.engines.llm.fitting import estimate_tokens
from voice_agent.engines.llm.small_prompt import SentenceLimit, opening, shape, shape_beginning

SYSTEM = Message(role="system", content="You are Zoe, and here is a long prompt. " * 20)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def agent(text: str) -> Message:
    return Message(role="assistant", content=text)


def request(*messages: Message) -> LlmRequest:
    tools = (Tool(name="light", description="", parameters={}),)
    return LlmRequest(messages=messages, session="s1", max_tokens=300, temperature=0.9, tools=tools, tool_choice="required")


def asked(*messages: Message) -> tuple[Message, ...]:
    """What follows the constant beginning."""
    shaped = shape(request(*messages)).messages
    assert shaped[: len(opening())] == opening()
    return shaped[len(opening()) :]


def test_the_request_is_made_small() -> None:
    shaped = shape(request(SYSTEM, user("Hello?")))
    assert shaped.messages == (*opening(), user("Hello?"))
    assert (shaped.temperature, shaped.max_tokens, shaped.tools, shaped.tool_choice) == (0.0, 60, (), "auto")
    assert shaped.session == "s1"


def test_one_earlier_turn_is_kept() -> None:
    assert asked(SYSTEM, user("a"), agent("b"), user("c"), agent("d"), user("e")) == (user("c"), agent("d"), user("e"))


@pytest.mark.parametrize(
    "reply", ["I'm so sorry to hear that.", "I'm so sorry to hear that!", "Yes. Yes. I like it. I like it.", " "]
)
def test_a_looping_reply_is_dropped(reply: str) -> None:
    assert asked(user("a"), agent("I'm so sorry to hear that."), user("c"), agent(reply), user("e")) == (user("e"),)


def test_tool_messages_are_left_out() -> None:
    tool = Message(role="tool", content="42", tool_call_id="c")
    assert asked(user("a"), agent(""), tool, agent("It is 42."), user("b")) == (user("a"), agent("It is 42."), user("b"))


@pytest.mark.parametrize("messages", [(), (SYSTEM,), (SYSTEM, agent("Hi.")), (user("   "),)])
def test_somebody_always_asks(messages: tuple[Message, ...]) -> None:
    assert asked(*messages)[-1] == user(small_prompt.GREETING)


def test_the_end_of_a_long_question_counts() -> None:
    (question,) = asked(user("blah " * 200_000 + "What is two plus three?"))
    assert question.content.endswith("What is two plus three?")
    assert len(question.content) <= small_prompt.MAX_CHARACTERS


def test_the_longest_request_fits() -> None:
    longest = shape(request(user("x" * 9999), agent("y " * 9999 + "z"), user("w" * 9999)))
    assert sum(estimate_tokens(message) for message in longest.messages) + longest.max_tokens <= small_prompt.CONTEXT_TOKENS


def test_what_can_be_warmed_is_how_the_request_begins() -> None:
    history = (SYSTEM, user("a"), agent("b"))
    warmed = shape_beginning(request(*history)).messages
    assert shape(request(*history, user("c"))).messages == (*warmed, user("c"))
    assert shape_beginning(request(*history, user("c"))) == shape(request(*history, user("c")))


def limited(pieces: list[str], *, complete: bool = True) -> str:
    limit = SentenceLimit()
    return "".join([limit.feed(piece) for piece in pieces] + [limit.end(complete=complete)])


@pytest.mark.parametrize(
    ("text", "complete", "spoken"),
    [
        ("One. Two! Three? Four.", True, "One. Two!"),
        ("One.", True, "One."),
        ("No end", True, "No end"),
        ("No end", False, "No end"),
        ("One. Half a sen", False, "One."),
        ("One. Whole without a stop", True, "One. Whole without a stop"),
        ("It is 3.14 or so. Mr. Smith knows. Not this.", True, "It is 3.14 or so. Mr. Smith knows."),
        ("I am sorry. I am sorry. I am sorry.", True, "I am sorry."),
        ('He said "Go." Then he went. And more.', True, 'He said "Go." Then he went.'),
        ("Wait... What? No.", True, "Wait... What?"),
        ("A list:\n1. Foo\n2. Bar", True, "A list:\n1. Foo"),
        ("", True, ""),
    ],
)
@given(data=st.data())
def test_two_sentences_wherever_the_stream_is_cut(text: str, complete: bool, spoken: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    edges = [0, *cuts, len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]
    assert limited(pieces, complete=complete).strip() == spoken


def test_the_first_sentence_is_not_held_back() -> None:
    limit = SentenceLimit()
    assert [limit.feed(piece) for piece in ("The", " sky", " is", " blue.", " And", " so", " on.", " More")] == [
        "The", " sky", " is", " blue.", "", "", "", " And so on.",
    ]  # fmt: skip
    assert limit.done
    assert limit.feed(" and more.") == ""
