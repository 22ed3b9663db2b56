"""A conversation is cut at its beginning until it fits, and slots of the prompt cache stay with their sessions."""

from hypothesis import given
from hypothesis import strategies as st

from voice_agent.engines.base import LlmRequest, Message, ToolCall
from voice_agent.engines.llm.fitting import estimate_tokens, fit, hopeless
from voice_agent.engines.llm.slots import Slots

SYSTEM = Message(role="system", content="Be short.")


def user(text: str) -> Message:
    return Message(role="user", content=text)


def agent(text: str) -> Message:
    return Message(role="assistant", content=text)


def request(*messages: Message, max_tokens: int = 50) -> LlmRequest:
    return LlmRequest(messages=messages, session="s1", max_tokens=max_tokens)


def test_what_fits_is_left_as_it_is() -> None:
    short = request(SYSTEM, user("a"), agent("b"), user("c"))
    assert fit(short, 512) == short


def test_the_oldest_turns_go() -> None:
    turns = [message for number in range(20) for message in (user(f"q{number} " * 30), agent(f"a{number} " * 30))]
    fitted = fit(request(SYSTEM, *turns, user("now")), 512)
    assert fitted.messages[0] == SYSTEM
    assert fitted.messages[-1] == user("now")
    assert fitted.messages[1].content.startswith("q")
    assert fitted.messages[1:-1] == tuple(turns[-len(fitted.messages[1:-1]) :])
    assert sum(map(estimate_tokens, fitted.messages)) + fitted.max_tokens <= 512


def test_the_newest_turn_stays_with_its_tool_calls() -> None:
    call = ToolCall(call_id="c", name="light", arguments="{}")
    turn = (
        user("Light, please. " * 200),
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content="done", tool_call_id="c"),
    )
    fitted = fit(request(SYSTEM, user("a"), agent("b"), *turn), 512)
    assert fitted.messages == (SYSTEM, *turn)


def test_the_answer_gets_at_most_half() -> None:
    assert fit(request(user("a"), max_tokens=9999), 512).max_tokens == 256


def test_a_megabyte_is_hopeless() -> None:
    assert hopeless(request(user("word " * 200_000)), 2048)
    assert not hopeless(request(user("word " * 200)), 2048)


@given(
    st.lists(st.builds(Message, role=st.sampled_from(["system", "user", "assistant", "tool"]), content=st.text(max_size=200))),
    st.integers(64, 600),
)
def test_what_is_kept_is_the_head_and_a_tail(messages: list[Message], context: int) -> None:
    fitted = fit(request(*messages), context).messages
    head = 0
    while head < len(messages) and messages[head].role == "system":
        head += 1
    tail = len(fitted) - head
    assert fitted == (*messages[:head], *messages[len(messages) - tail :])


def test_a_session_finds_its_slot_again() -> None:
    slots = Slots(2)
    with slots.use("a") as first:
        pass
    with slots.use("b") as second:
        pass
    with slots.use("a") as again:
        pass
    assert first == again != second


def test_a_new_session_takes_the_slot_that_rested_longest() -> None:
    slots = Slots(2)
    for session in ("a", "b", "a"):
        with slots.use(session):
            pass
    with slots.use("c") as third, slots.use("a") as own:
        assert third != own
    with slots.use("b") as fourth:
        assert fourth == third


def test_a_busy_slot_is_not_taken_from_its_session() -> None:
    slots = Slots(2)
    with slots.use("a") as first, slots.use("b") as second:
        assert first != second
        with slots.use("a") as own:
            assert own == first
    with slots.use("c") as busy, slots.use("d") as other:
        assert busy != other
