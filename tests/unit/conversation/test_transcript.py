"""The transcript: order, ids, and that it holds what was heard."""

from collections.abc import Callable

import pytest

from voice_agent.conversation.transcript import Item, Transcript


def item(item_id: str, text: str = "x", role: str = "user") -> Item:
    return Item(item_id=item_id, role="agent" if role == "agent" else "user", text=text, at=0.0)


def ids(transcript: Transcript) -> list[str]:
    return [entry.item_id for entry in transcript]


def test_items_stand_in_the_order_in_which_they_came() -> None:
    transcript = Transcript()
    first = transcript.write(item(""), at=1.0)
    second = transcript.write(item(""), at=2.0)
    assert ids(transcript) == [first, second]
    assert transcript[second].at == 2.0
    assert len(transcript) == 2


def test_items_can_be_put_between_others() -> None:
    transcript = Transcript()
    for name in ("a", "b"):
        transcript.add(item(name))
    transcript.add(item("between"), after="a")
    transcript.add(item("head"), after="")
    transcript.add(item("tail"), after="b")
    assert ids(transcript) == ["head", "a", "between", "b", "tail"]


def test_an_id_is_given_once() -> None:
    transcript = Transcript()
    transcript.add(item("item_1"))
    assert transcript.next_id() != "item_1"
    with pytest.raises(KeyError):
        transcript.add(item("item_1"))
    written = transcript.write(item(""), at=0.0)
    transcript.remove(written)
    assert transcript.next_id() != written, "not even when its item is gone"


UNKNOWN: dict[str, Callable[[Transcript], object]] = {
    "get": lambda transcript: transcript["none"],
    "remove": lambda transcript: transcript.remove("none"),
    "truncate": lambda transcript: transcript.truncate("none", ""),
    "finish": lambda transcript: transcript.finish_reply("none", heard="x", written="x", interrupted=False),
    "add behind": lambda transcript: transcript.add(item("new"), after="none"),
}


@pytest.mark.parametrize("use", UNKNOWN.values(), ids=UNKNOWN)
@pytest.mark.parametrize("items", [0, 2])
def test_an_unknown_id_is_an_error(use: Callable[[Transcript], object], items: int) -> None:
    transcript = Transcript()
    for _ in range(items):
        transcript.write(item(""), at=0.0)
    with pytest.raises(KeyError):
        use(transcript)
    assert len(transcript) == items


def test_a_reply_of_which_nothing_was_heard_leaves_no_trace() -> None:
    transcript = Transcript()
    transcript.add(item("r", "", role="agent"))
    transcript.finish_reply("r", heard=" ", written="Never heard.", interrupted=True)
    assert len(transcript) == 0


def test_a_reply_holds_what_was_heard_and_what_was_written() -> None:
    transcript = Transcript()
    transcript.add(item("r", "", role="agent"))
    transcript.truncate("r", "One")
    assert transcript.last_agent_text() == "One"
    transcript.finish_reply("r", heard="One two", written="One two three.", interrupted=True)
    reply = transcript["r"]
    assert (reply.text, reply.written, reply.interrupted) == ("One two", "One two three.", True)


def test_the_last_agent_text_is_empty_when_it_has_not_spoken() -> None:
    transcript = Transcript()
    transcript.add(item("a"))
    assert transcript.last_agent_text() == ""
