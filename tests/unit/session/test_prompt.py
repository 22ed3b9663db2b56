"""What the language model reads."""

from voice_agent.conversation.effects import PendingTurn
from voice_agent.conversation.transcript import Item, Transcript
from voice_agent.session.prompt import CUT_OFF_MARK, IDLE_NUDGE, PromptSettings, build_messages

SETTINGS = PromptSettings(instructions="Be kind.", history_items=4)


def transcript(*said: tuple[str, str], interrupted: bool = False) -> Transcript:
    """Of ("agent", text) and (speaker, text)."""
    made = Transcript()
    for who, text in said:
        agent = who == "agent"
        item = Item(
            item_id="",
            role="agent" if agent else "user",
            text=text,
            at=0.0,
            speaker="" if agent else who,
            interrupted=agent and interrupted,
        )
        made.write(item, at=0.0)
    return made


def read(made: Transcript, *pending: tuple[str, str], instructions: str = "", idle: bool = False) -> list[tuple[str, str]]:
    turns = tuple(PendingTurn(speaker=speaker, text=text) for speaker, text in pending)
    messages = build_messages(made, SETTINGS, pending=turns, instructions=instructions, idle=idle)
    return [(message.role, message.content) for message in messages]


def test_history_comes_before_the_pending_turn() -> None:
    made = transcript(("user", "Hello."), ("agent", "Hi!"))
    assert read(made, ("user", "How are you?")) == [
        ("system", "Be kind."),
        ("user", "Hello."),
        ("assistant", "Hi!"),
        ("user", "How are you?"),
    ]


def test_a_reply_that_was_cut_off_shows_it() -> None:
    made = transcript(("agent", "One two"), interrupted=True)
    assert read(made)[1] == ("assistant", "One two" + CUT_OFF_MARK)


def test_a_reply_that_is_still_silent_is_not_there() -> None:
    assert read(transcript(("user", "Hello."), ("agent", "")))[1:] == [("user", "Hello.")]


def test_neighbours_are_merged() -> None:
    made = transcript(("user", "One."), ("user", "Two."))
    assert read(made, ("user", "Three."))[1:] == [("user", "One.\nTwo.\nThree.")]


def test_several_speakers_are_named() -> None:
    made = transcript(("ann", "Tea."))
    assert read(made)[1:] == [("user", "Tea.")]
    assert read(made, ("bob", "Coffee."))[1:] == [("user", "ann: Tea.\nbob: Coffee.")]


def test_only_the_latest_items_are_given() -> None:
    made = transcript(*(("user" if i % 2 else "agent", str(i)) for i in range(10)))
    assert [content for _, content in read(made)[1:]] == ["6", "7", "8", "9"]


def test_instructions_and_the_nudge_of_one_reply() -> None:
    messages = read(transcript(), instructions="In French.", idle=True)
    assert messages == [("system", "Be kind.\n\nIn French."), ("user", IDLE_NUDGE)]
