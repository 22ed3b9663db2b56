"""Redaction takes the words away and leaves the decisions: checked against words.py and against the machine itself."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.machine import Machine
from voice_agent.conversation.redaction import KEPT, LISTED, Redactor, Step, WholeWords
from voice_agent.conversation.settings import ConversationSettings, InterruptionSettings
from voice_agent.conversation.state import Replying
from voice_agent.conversation.transcript import Item
from voice_agent.conversation.words import WORD, begins_with, completeness, is_backchannel, is_echo, is_question, same_words, words

SECRET = [
    "Reservation",
    "reservar",
    "mesa",
    "cuánto",
    "Zürich",
    "4711",
    "rock’n’roll",
    "señor",
    "你",
    "好",
    "吗",
    "ありがとう",
    "안녕",
]
OPEN = ["I", "see", "to", "The", "yes", "Mhm", "si", "está", "um", "don't", "d'accord", "w1"]
GAPS = [" ", " ", " ", ", ", ". ", "? ", " ¿", "… ", "。", "？", "'", "-", "\n", " 🙂 "]

GREEK = "Σ"  # its lower case depends on what follows, even behind a full stop, so a text in pieces may differ from the whole
ANY_TEXT = st.text(st.characters(exclude_characters=GREEK, codec="utf-8"), max_size=20)


def phrases(vocabulary: Sequence[str], max_size: int = 6) -> st.SearchStrategy[str]:
    pairs = st.tuples(st.sampled_from(vocabulary), st.sampled_from(GAPS))
    return st.lists(pairs, max_size=max_size).map(lambda drawn: "".join(word + gap for word, gap in drawn))


TEXTS = phrases(SECRET + OPEN) | ANY_TEXT


# ---------------------------------------------------------------- words


def test_an_example() -> None:
    redactor = Redactor()
    assert redactor.text("Yes, I'd like a table. A table for María, ¿vale?") == "yes, i'd like a w1. a w1 for w2, ¿vale?"
    assert redactor.text("MARÍA! 5 €") == "w2! w3 ¤"


def test_a_character_stays_one_word() -> None:
    redactor = Redactor()
    redacted = redactor.text("你好吗？你好。")
    assert len(words(redacted)) == 5
    assert redacted[3] == "？"
    assert redacted[4:6] == redacted[:2]
    assert not set(redacted) & set("你好吗")


@given(st.lists(TEXTS, max_size=5))
def test_words_become_tokens_one_for_one(texts: list[str]) -> None:
    redactor = Redactor()
    said = [word for text in texts for word in words(text)]
    tokens = [token for text in texts for token in words(redactor.text(text))]
    assert len(tokens) == len(said)
    assert len(set(tokens)) == len(set(said)) == len(set(zip(said, tokens, strict=True)))
    assert all(token == word for word, token in zip(said, tokens, strict=True) if word in LISTED)


@given(TEXTS, TEXTS)
def test_policies_see_no_difference(one: str, other: str) -> None:
    redactor = Redactor()
    redacted, redacted_other = redactor.text(one), redactor.text(other)
    for policy in (completeness, is_question, is_backchannel):
        assert policy(redacted) == policy(one)
    assert bool(redacted.strip()) == bool(one.strip())
    assert redactor.text(one.strip()) == redacted.strip()
    assert same_words(redacted, redacted_other) == same_words(one, other)
    assert begins_with(redacted, redacted_other) == begins_with(one, other)
    assert is_echo(redacted, redactor.text(one + " " + other)) == is_echo(one, one + " " + other)


@given(ANY_TEXT, ANY_TEXT)
def test_nothing_but_listed_words_space_and_punctuation_shows(one: str, other: str) -> None:
    redactor = Redactor()
    redactor.text(one)
    for word in words(redactor.text(other)):
        assert word in LISTED or (word[0] == "w" and word[1:].isdecimal()) or (len(word) == 1 and "㐀" <= word <= "㐿")


# ---------------------------------------------------------------- values


def test_every_string_is_redacted_unless_it_is_listed() -> None:
    for kind, names in KEPT.items():
        assert names <= {field.name for field in fields(kind)}, f"{kind.__name__} has changed"
    redactor = Redactor()
    turn = do.CommitTurn(speaker="Ann Smith", item_id="item_1", text="Zürich", confidence=0.9, language="de")
    assert redactor.value(turn) == replace(turn, speaker="speaker1", text="w1")
    start = do.StartReply(reply_id=1, pending=(do.PendingTurn(speaker="Ann Smith", text="Zürich"),), instructions="Say Basel")
    assert redactor.value(start) == do.StartReply(
        reply_id=1, pending=(do.PendingTurn(speaker="speaker1", text="w1"),), instructions="w2 w3"
    )
    assert redactor.value(on.Disconnected(reason="Basel")) == on.Disconnected(reason="w3")
    discarded = do.DiscardTurn(speaker="Bob", reason="echo")
    assert redactor.value(discarded) == replace(discarded, speaker="speaker2")


def test_what_a_function_is_called_with_is_text() -> None:
    redactor = Redactor()
    called = on.ToolCalled(reply_id=1, call_id="call_9", name="book_table", arguments='{"city": "Zürich", "city": "Basel"}')
    hidden = redactor.value(called)
    assert hidden == on.ToolCalled(reply_id=1, call_id="w1_w2", name="w3_w4", arguments='{"w5": "w6", "w5": "w7"}')
    call = do.CallTool(reply_id=1, item_id="item_3", call_id="call_9", name="book_table", arguments="Basel")
    assert redactor.value(call) == do.CallTool(reply_id=1, item_id="item_3", call_id="w1_w2", name="w3_w4", arguments="w7")


def test_an_item_keeps_only_what_is_no_text() -> None:
    redactor = Redactor()
    item = Item(
        item_id="mine",
        role="tool_output",
        text="Zürich",
        at=1.5,
        speaker="Ann Smith",
        confidence=0.5,
        language="de",
        by_text=True,
        reply_id=3,
        written="Zürich Basel",
        interrupted=True,
        call_id="call_9",
        name="book",
    )
    hidden = replace(item, text="w3", speaker="speaker1", written="w3 w4", call_id="w1_w2", name="w5")
    redactor.text("call 9")
    assert redactor.value(on.ItemInserted(item=item, after="Before")) == on.ItemInserted(item=hidden, after="Before")
    assert redactor.value(replace(item, speaker="")).speaker == ""
    assert redactor.value(on.ItemRemoved(item_id="Mine")) == on.ItemRemoved(item_id="Mine")
    assert redactor.value(on.ItemTruncated(item_id="Mine", heard="Basel")) == on.ItemTruncated(item_id="Mine", heard="w4")


def test_requests_keep_their_id_and_settings_have_no_text() -> None:
    redactor = Redactor()
    asked = on.ReplyRequested(instructions="Zürich", request_id="Event_5")
    assert redactor.value(asked) == on.ReplyRequested(instructions="w1", request_id="Event_5")
    assert redactor.value(do.StartReply(reply_id=1, request_id="Event_5")) == do.StartReply(reply_id=1, request_id="Event_5")
    changed = on.SettingsChanged(settings=ConversationSettings(automatic_turns=False, idle_timeout_s=3.0))
    assert redactor.value(changed) == changed


# ---------------------------------------------------------------- words that deltas cut


def delta(text: str, reply_id: int = 1) -> Step:
    return Step(now=0.0, event=on.ReplyTextAdded(reply_id=reply_id, text=text), effects=())


def step(event: on.Event | None, *effects: do.Effect) -> Step:
    return Step(now=0.0, event=event, effects=effects)


START = step(on.ReplyRequested(), do.StartReply(reply_id=1))
TIMER = step(None)
RECORD = do.RecordReply(reply_id=1, item_id="item_1", heard="Hel", written="Hel", interrupted=False)


def texts_of(steps: Sequence[Step]) -> list[str]:
    return [step.event.text for step in steps if isinstance(step.event, on.ReplyTextAdded)]


class TestWholeWords:
    @pytest.mark.parametrize(
        ("deltas", "whole"),
        [
            (["Hel", "lo wor", "ld", "."], ["Hello", " world", "", "."]),
            (["Hello", " world"], ["Hello", " world"]),
            (["I don", "'", "t", " know"], ["I don't", "", "", " know"]),
            (["rock '", "n' roll"], ["rock '", "n' roll"]),
            (["4", "2,", "5"], ["42", ",", "5"]),
            (["你", "好", "ab", "c吗", "。"], ["你", "好", "abc吗", "", "。"]),
            (["a", "", "b"], ["ab", "", ""]),
        ],
    )
    def test_a_word_moves_to_where_it_began(self, deltas: list[str], whole: list[str]) -> None:
        regrouped = WholeWords()
        ready = [step for one in (START, *map(delta, deltas)) for step in regrouped.push(one)]
        assert texts_of([*ready, *regrouped.finish()]) == whole

    def test_what_comes_behind_an_open_word_waits(self) -> None:
        regrouped = WholeWords()
        assert regrouped.push(START) == [START]
        assert regrouped.push(delta("Hel")) == []
        assert regrouped.push(TIMER) == []
        assert regrouped.push(delta("lo ")) == [delta("Hello"), TIMER, delta(" ")]

    @pytest.mark.parametrize(
        "end",
        [
            step(on.PlayoutFinished(reply_id=1, heard="Hel"), RECORD),
            step(on.ReplyFailed(reply_id=1, code="x"), do.CancelReply(reply_id=1)),
            step(None, do.CancelReply(reply_id=1)),
            step(on.ReplyCancelled(), do.StopPlayout(reply_id=1)),
        ],
    )
    def test_the_end_of_the_reply_ends_its_last_word(self, end: Step) -> None:
        regrouped = WholeWords()
        regrouped.push(START)
        regrouped.push(delta("Hel"))
        assert regrouped.push(end) == [delta("Hel"), end]

    @pytest.mark.parametrize(
        "news", [on.ReplyGenerated(reply_id=1), on.ReplyFailed(reply_id=1, code="x", partly=True), on.PlayoutStarted(reply_id=1)]
    )
    def test_nothing_less_than_its_end_does(self, news: on.Event) -> None:
        """An engine that adds text after that is at fault, but the machine takes it, so the word may go on."""
        regrouped = WholeWords()
        regrouped.push(START)
        assert [*regrouped.push(delta("Hel")), *regrouped.push(step(news))] == []
        assert regrouped.push(delta("lo ")) == [delta("Hello"), step(news), delta(" ")]

    def test_a_stale_delta_never_waits(self) -> None:
        regrouped = WholeWords()
        regrouped.push(START)
        assert regrouped.push(delta("Hel", reply_id=7)) == [delta("Hel", reply_id=7)]

    @given(st.lists(TEXTS, max_size=8))
    def test_the_text_stands_and_the_words_are_whole(self, deltas: list[str]) -> None:
        regrouped = WholeWords()
        ready = [step for one in (START, *map(delta, deltas)) for step in regrouped.push(one)]
        whole = texts_of([*ready, *regrouped.finish()])
        assert len(whole) == len(deltas)
        assert "".join(whole) == "".join(deltas)
        assert [word for text in whole for word in words(text)] == words("".join(deltas))
        for end in range(len(deltas)):
            assert len(words("".join(whole[:end]))) == len(words("".join(deltas[:end])))


# ---------------------------------------------------------------- the machine

Role: TypeAlias = Literal["user", "agent", "system", "tool_output"]
SPEAKERS = st.sampled_from(["Ann", "Bob"])
KINDS = st.sampled_from(
    [
        *("speech", "stop", "audio", "partial", "echo", "probability", "final", "final_echo", "text", "say", "commit", "clear"),
        *("ask", "cancel", "delta", "generated", "failed", "begun", "heard", "finished", "timer", "lost", "left"),
        *("tool", "insert", "remove", "truncate", "settings"),
    ]
)
SCENES = st.sampled_from(
    [
        "speech audio partial stop probability final audio delta delta timer",
        "text delta delta begun heard generated finished",
        "text delta delta delta begun heard",
        "speech audio partial stop final delta generated timer begun heard finished",
        "text delta delta delta begun heard speech audio echo stop final_echo",
        "speech audio partial audio stop final",
        "speech audio partial stop final delta tool audio audio timer insert ask delta begun truncate",
        "text tool finished insert ask delta begun heard speech audio audio truncate stop final",
    ]
)
"""Courses that conversations take; a script mixes them with single moves in any order."""


@dataclass(frozen=True)
class Move:
    """What happens next; the fields are used as `kind` needs them."""

    kind: str
    after_s: float
    speaker: str
    text: str
    written: str
    share: float


def moves(said: st.SearchStrategy[str], written: st.SearchStrategy[str]) -> st.SearchStrategy[list[Move]]:
    waits = st.sampled_from([0.0, 0.032, 0.2, 0.2, 0.6, 2.0])
    move = st.builds(Move, kind=KINDS, after_s=waits, speaker=SPEAKERS, text=said, written=written, share=st.floats(0, 1))
    scene = st.builds(lambda kinds, like: [replace(like, kind=kind, after_s=0.2) for kind in kinds.split()], SCENES, move)
    return st.lists(scene | move.map(lambda one: [one]), max_size=16).map(lambda parts: [one for part in parts for one in part])


class Play:
    """Makes moves on a machine and keeps the steps, as a session does."""

    def __init__(self, settings: ConversationSettings) -> None:
        self.machine = Machine(settings)
        self.steps: list[Step] = []
        self.now = 0.0

    def make(self, move: Move) -> None:
        self.now += move.after_s
        event = self.event(move)
        effects = self.machine.handle_timer(self.now) if event is None else self.machine.handle(event, self.now)
        self.steps.append(Step(now=self.now, event=event, effects=tuple(effects)))

    def event(self, move: Move) -> on.Event | None:
        who = self.machine.speaker(move.speaker)
        name, heard = who.name, who.utterance_id
        reply_id, share = self.machine.reply.reply_id, move.share
        match move.kind:
            case "speech":
                return on.SpeechStarted(speaker=name, utterance_id=heard + 1, at=self.now)
            case "stop":
                return on.SpeechStopped(speaker=name, utterance_id=heard, at=self.now)
            case "audio":
                return on.AudioAdvanced(speaker=name, at=self.now)
            case "partial":
                return on.TranscriptPartial(speaker=name, utterance_id=heard, text=move.text, confidence=share)
            case "final":
                return on.TranscriptFinal(speaker=name, utterance_id=heard, text=move.text, confidence=share)
            case "echo":
                return on.TranscriptPartial(speaker=name, utterance_id=heard, text=self.some_words(share))
            case "final_echo":
                return on.TranscriptFinal(speaker=name, utterance_id=heard, text=self.some_words(share))
            case "probability":
                return on.TurnProbability(speaker=name, utterance_id=heard, probability=share)
            case "text":
                return on.TextReceived(speaker=name, text=move.text, reply=share > 0.2)
            case "say":
                return on.SayRequested(text=move.text)
            case "commit":
                return on.InputCommitted(speaker=name)
            case "clear":
                return on.InputCleared(speaker=name)
            case "ask":
                return on.ReplyRequested(instructions=move.text, request_id=f"Request {len(self.steps)}")
            case "delta":
                return on.ReplyTextAdded(reply_id=reply_id, text=move.written)
            case "generated":
                return on.ReplyGenerated(reply_id=reply_id)
            case "failed":
                return on.ReplyFailed(reply_id=reply_id, code="engine.failed", partly=share > 0.5)
            case "begun":
                return on.PlayoutStarted(reply_id=reply_id)
            case "heard":
                return on.PlayoutAdvanced(reply_id=reply_id, heard=self.whole_words(share))
            case "finished":
                return on.PlayoutFinished(reply_id=reply_id, heard=self.whole_words(1.0))
            case "cancel":
                return on.ReplyCancelled()
            case "lost":
                return on.Disconnected(reason=move.text) if share > 0.8 else None
            case "left":
                return on.SpeakerLeft(speaker=name)
            case _:
                return self.edit(move)

    def edit(self, move: Move) -> on.Event | None:
        """What a client does to the record and the settings."""
        reply, share = self.machine.reply, move.share
        ids = ("Unknown", *self.machine.transcript.ids())
        item_id = ids[round(share * (len(ids) - 1))]
        match move.kind:
            case "tool":
                return on.ToolCalled(reply_id=reply.reply_id, call_id=move.text, name=move.text, arguments=move.written)
            case "insert":
                roles: tuple[Role, ...] = ("user", "agent", "system", "tool_output")
                item = Item(
                    item_id=f"Mine {len(self.steps) % 3}",
                    role=roles[len(self.steps) % len(roles)],
                    text=move.text,
                    at=0.0,
                    speaker=move.speaker,
                    written=move.written,
                    call_id=move.text,
                    name=move.text,
                )
                return on.ItemInserted(item=item, after=(None, "", item_id)[round(share * 2)])
            case "remove":
                return on.ItemRemoved(item_id=item_id)
            case "truncate":
                if reply.state is Replying.NONE or share < 0.3:
                    return on.ItemTruncated(item_id=item_id, heard=move.text)
                return on.ItemTruncated(item_id=reply.item_id, heard=self.whole_words(share / 2))
            case "settings":
                interruption = InterruptionSettings(enabled=share < 0.5)
                return on.SettingsChanged(settings=ConversationSettings(automatic_turns=share > 0.2, interruption=interruption))
            case _:
                return None

    def some_words(self, share: float) -> str:
        return " ".join(words(self.whole_words(share))[-4:])

    def whole_words(self, share: float) -> str:
        """The first part of what was written, without a word that may go on."""
        written = self.machine.reply.written
        ends = [match.end() for match in WORD.finditer(written)]
        if ends and len(written) - ends[-1] < 2:
            ends.pop()
        return written[: ends[round(share * (len(ends) - 1))]] if ends else ""


def redacted(steps: Sequence[Step]) -> list[Step]:
    regrouped, redactor = WholeWords(), Redactor()
    whole = [step for one in steps for step in regrouped.push(one)] + regrouped.finish()
    return [redactor.step(one) for one in whole]


def check(settings: ConversationSettings, script: list[Move]) -> list[Step]:
    """The machine decides for the redacted events what it decided for the originals, redacted."""
    play = Play(settings)
    for move in script:
        play.make(move)
    steps = redacted(play.steps)
    assert len(steps) == len(play.steps)
    again = Machine(settings)
    for original, one in zip(play.steps, steps, strict=True):
        got = again.handle_timer(one.now) if one.event is None else again.handle(one.event, one.now)
        assert tuple(got) == one.effects, f"after {original.event}"
    return steps


SETTINGS = st.builds(
    ConversationSettings,
    automatic_turns=st.sampled_from([True, True, True, False]),
    speculate=st.booleans(),
    idle_timeout_s=st.sampled_from([None, 5.0]),
)


@given(SETTINGS, moves(TEXTS, phrases(SECRET + OPEN, 4).map(lambda text: " " + text)))
def test_the_machine_decides_the_same(settings: ConversationSettings, script: list[Move]) -> None:
    check(settings, script)


AGENTS = ["Wunderbar", "tomorrow", "we’ve", "nine", "明", "天", "quizás"]
"""Words whose halves nobody else says: an echo of a word that is still being written is the one thing that may differ."""


@given(SETTINGS, moves(phrases(SECRET + OPEN), phrases(AGENTS, 3)), st.lists(st.integers(1, 7), min_size=1, max_size=9))
def test_also_where_deltas_cut_words(settings: ConversationSettings, script: list[Move], sizes: list[int]) -> None:
    steps = check(settings, [piece for number, move in enumerate(script) for piece in cut(move, sizes[number % len(sizes)])])
    written: dict[int, str] = {}
    for one in steps:
        if isinstance(one.event, on.ReplyTextAdded):
            written[one.event.reply_id] = written.get(one.event.reply_id, "") + one.event.text
        if isinstance(one.event, on.PlayoutAdvanced):
            assert written.get(one.event.reply_id, "").startswith(one.event.heard)
    shown = set(words(" ".join(map(repr, steps))))
    assert not shown & {word.lower() for word in SECRET + AGENTS}
    assert not shown & {"ann", "bob"}


def move(kind: str, text: str = "", share: float = 1.0) -> Move:
    return Move(kind=kind, after_s=0.2, speaker="Ann", text=text, written=text, share=share)


@pytest.mark.parametrize("news", [move("generated"), move("failed")], ids=lambda news: str(news.kind))
@pytest.mark.parametrize("pieces", [("nine'", "nine nine "), ("Wunder", "bar. ")], ids=["apostrophe", "letters"])
def test_a_word_that_goes_on_when_the_reply_was_complete(news: Move, pieces: tuple[str, str]) -> None:
    """Found by Hypothesis: the word stood as two tokens where it was written and as one where it was recorded."""
    first, rest = pieces
    steps = check(ConversationSettings(), [move("text", "Hola"), move("delta", first), news, move("delta", rest), move("cancel")])
    [recorded] = [effect for one in steps for effect in one.effects if isinstance(effect, do.RecordReply)]
    assert recorded.written == "".join(texts_of(steps))


def cut(move: Move, size: int) -> list[Move]:
    """A delta as several, of `size` characters each."""
    if move.kind != "delta":
        return [move]
    pieces = [move.written[start : start + size] for start in range(0, len(move.written), size)]
    return [replace(move, written=piece) for piece in pieces]


def test_the_script_reaches_what_matters() -> None:
    """Deltas, an interruption and its record are within the reach of `Play`, so the properties are about something."""
    moves_made = [
        ("text", "Hola mesa"),
        ("delta", " Claro, mesa lista. Adiós"),
        ("begun", ""),
        ("heard", ""),
        ("speech", ""),
        ("stop", ""),
        ("final", "espera por favor"),
        ("commit", ""),
        ("tool", "reservar"),
        ("insert", "Zürich"),
        ("truncate", ""),
        ("remove", ""),
        ("settings", ""),
    ]
    play = Play(ConversationSettings())
    for kind, text in moves_made:
        play.make(move(kind, text, share=0.5))
    assert play.machine.reply.state is not Replying.PLAYING
    kinds = {type(effect) for one in play.steps for effect in one.effects}
    assert {do.CommitTurn, do.StartReply, do.RecordReply, do.CallTool} <= kinds
    assert {on.ItemInserted, on.ItemTruncated, on.ItemRemoved, on.SettingsChanged} <= {type(one.event) for one in play.steps}
