"""What is recorded can be read again: every class, every setting, every kind of damage."""

import json
import re
import stat
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args

import pytest

from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.machine import Machine
from voice_agent.conversation.redaction import Step
from voice_agent.conversation.settings import ConversationSettings, EndpointingSettings, InterruptionSettings
from voice_agent.conversation.transcript import Item, Transcript
from voice_agent.errors import InputError
from voice_agent.session.log_format import TYPES, LogHeader, LogReader, header_line, step_line
from voice_agent.session.recording import open_recorder

SETTINGS = ConversationSettings(
    speculate=False,
    endpointing=EndpointingSettings(min_hold_s=0.1),
    interruption=InterruptionSettings(guard_s=0.7),
    idle_timeout_s=12.5,
)

ITEM = Item(
    item_id="mine",
    role="tool_call",
    text='{"city": "Zürich"}',
    at=0.1,
    speaker="ann",
    confidence=0.5,
    language="de",
    by_text=True,
    reply_id=2,
    written="One two",
    interrupted=True,
    call_id="call_1",
    name="weather",
)

EVENTS: tuple[on.Event, ...] = (
    on.SpeakerJoined(speaker="ann"),
    on.SpeakerLeft(speaker="ann"),
    on.SpeechStarted(speaker="ann", utterance_id=1, at=0.1),
    on.SpeechStopped(speaker="ann", utterance_id=1, at=1 / 3),
    on.AudioAdvanced(speaker="ann", at=1e-9),
    on.TranscriptPartial(speaker="ann", utterance_id=1, text="Zürich\n\u2028 😀 \ud800", stable_words=1, confidence=0.25),
    on.TranscriptFinal(speaker="ann", utterance_id=1, text="你好", confidence=0.5, language="zh"),
    on.TranscriptFailed(speaker="ann", utterance_id=1, code="engine.failed"),
    on.TurnProbability(speaker="ann", utterance_id=1, probability=0.75),
    on.TextReceived(speaker="ann", text="Hello", reply=False),
    on.InputCommitted(speaker="ann"),
    on.InputCleared(speaker="ann"),
    on.ReplyRequested(instructions="Be brief", request_id="event_5"),
    on.SayRequested(text="Welcome"),
    on.ReplyCancelled(),
    on.ReplyTextAdded(reply_id=1, text=" wor"),
    on.ToolCalled(reply_id=1, call_id="call_1", name="weather", arguments='{"city": "Zürich"}'),
    on.ReplyGenerated(reply_id=1),
    on.ReplyFailed(reply_id=1, code="engine.failed", partly=True),
    on.PlayoutStarted(reply_id=1),
    on.PlayoutAdvanced(reply_id=1, heard="Hello"),
    on.PlayoutFinished(reply_id=1, heard="Hello world"),
    on.ItemInserted(item=ITEM, after=""),
    on.ItemRemoved(item_id="mine"),
    on.ItemTruncated(item_id="item_2", heard="Hel"),
    on.SettingsChanged(settings=SETTINGS),
    on.Disconnected(reason="left"),
)

EFFECTS: tuple[do.Effect, ...] = (
    do.RequestFinal(speaker="ann", utterance_id=2),
    do.CommitTurn(speaker="ann", item_id="item_1", text="Hello", confidence=0.9, language="en", by_text=True),
    do.DiscardTurn(speaker="ann", reason="echo"),
    do.StartReply(
        reply_id=1,
        pending=(do.PendingTurn(speaker="ann", text="Hello"), do.PendingTurn(speaker="bob", text="Hi")),
        speculative=True,
        instructions="Be brief",
        request_id="event_5",
        idle=True,
    ),
    do.SayText(reply_id=1, notice="reply_lost"),
    do.CommitReply(reply_id=1),
    do.CancelReply(reply_id=1),
    do.CallTool(reply_id=1, item_id="item_3", call_id="call_1", name="weather", arguments='{"city": "Zürich"}'),
    do.PausePlayout(reply_id=1),
    do.ResumePlayout(reply_id=1),
    do.StopPlayout(reply_id=1),
    do.RecordReply(reply_id=1, item_id="item_2", heard="Hel", written="Hello", interrupted=True, failed="engine.failed"),
    do.ReportIdle(silent_s=12.5),
    do.ReportState(state="thinking"),
    do.EndSession(reason="left"),
)


def write_log(path: Path, steps: Sequence[Step], header: LogHeader | None = None) -> Path:
    header = header or LogHeader(session="s", redacted=False, settings=SETTINGS)
    lines = [header_line(header), *map(step_line, steps)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def read_steps(path: Path) -> list[Step]:
    return [step for _, step in LogReader(path).steps()]


# ---------------------------------------------------------------- the format


def test_every_class_has_a_sample_that_is_not_all_defaults() -> None:
    assert {type(sample) for sample in (*EVENTS, *EFFECTS)} == {*get_args(on.Event), *get_args(do.Effect)}
    assert len(TYPES) == len(get_args(on.Event)) + len(get_args(do.Effect)), "two classes of one name"


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back(tmp_path: Path, event: on.Event) -> None:
    step = Step(now=0.1 + 0.2, event=event, effects=())
    assert read_steps(write_log(tmp_path / "log", [step])) == [step]


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
def test_an_effect_comes_back(tmp_path: Path, effect: do.Effect) -> None:
    step = Step(now=1e300, event=None, effects=(effect, effect))
    assert read_steps(write_log(tmp_path / "log", [step])) == [step]


def test_the_header_comes_back(tmp_path: Path) -> None:
    header = LogHeader(session="room 5", redacted=True, settings=SETTINGS, items=("item_2", "mine"), items_made=7)
    assert LogReader(write_log(tmp_path / "log", [], header)).header == header


def test_settings_hold_nothing_that_the_format_does_not_know() -> None:
    plain = header_line(LogHeader(session="s", redacted=True, settings=ConversationSettings()))["settings"]
    assert isinstance(plain, dict)
    for entry in fields(ConversationSettings):
        value = plain[entry.name]
        assert isinstance(value, dict) if is_dataclass(entry.type) else value is None or isinstance(value, bool | int | float)


@pytest.mark.parametrize("item", [ITEM, Item(item_id="item_1", role="user", text="Hi", at=0.0)])
@pytest.mark.parametrize("after", [None, "", "item_1"])
def test_an_item_comes_back_whole(tmp_path: Path, item: Item, after: str | None) -> None:
    assert all(getattr(ITEM, entry.name) != entry.default for entry in fields(Item)), "a field that the sample leaves out"
    step = Step(now=1.0, event=on.ItemInserted(item=item, after=after), effects=())
    assert read_steps(write_log(tmp_path / "log", [step])) == [step]


def test_a_field_that_the_log_does_not_know_takes_its_default(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log", [])
    with path.open("a") as file:
        file.write('{"now": 1, "event": {"type": "TextReceived", "speaker": "ann", "text": "Hi"}, "effects": []}\n')
    assert read_steps(path) == [Step(now=1, event=on.TextReceived(speaker="ann", text="Hi"), effects=())]


def test_the_transcript_gives_out_the_ids_that_come_next() -> None:
    earlier = Transcript()
    for text in ("one", "two", "three"):
        earlier.write(Item(item_id="", role="user", text=text, at=0.0), at=1.0)
    earlier.remove("item_2")
    earlier.add(Item(item_id="item_4", role="user", text="by a client", at=0.0))
    header = LogHeader(
        session="s", redacted=True, settings=SETTINGS, items=tuple(item.item_id for item in earlier), items_made=earlier.made
    )
    assert header.transcript().next_id() == earlier.next_id() == "item_5"


# ---------------------------------------------------------------- damage


class TestDamage:
    def refused(self, path: Path) -> InputError:
        with pytest.raises(InputError) as caught:
            read_steps(path)
        assert str(path) in str(caught.value)
        return caught.value

    @pytest.mark.parametrize(
        "content", [b"", b"\n", b"{}\n", b"[1]\n", b"RIFF\xff\xfe\x00WAVE", b'{"log": "other"}\n', b"[" * 100_000]
    )
    def test_another_file(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "log"
        path.write_bytes(content)
        assert self.refused(path).code == "log.unreadable"

    def test_no_file(self, tmp_path: Path) -> None:
        assert self.refused(tmp_path / "none").code == "log.unreadable"
        assert self.refused(tmp_path).code == "log.unreadable"

    @pytest.mark.parametrize("version", [0, 2, None, "1"])
    def test_another_version(self, tmp_path: Path, version: object) -> None:
        path = tmp_path / "log"
        path.write_text(json.dumps({"log": "voice-agent events", "version": version, "anything": 1}) + "\n")
        error = self.refused(path)
        assert error.code == "log.version"
        assert repr(version) in str(error)

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            ("", "no JSON"),
            ('{"now": 1', "no JSON"),
            ("5", "int where an object belongs"),
            ('{"event": null, "effects": []}', "'now' is missing"),
            ('{"now": 1, "event": null}', "'effects' is missing"),
            ('{"now": "1", "event": null, "effects": []}', '"1" is no float'),
            ('{"now": true, "event": null, "effects": []}', "true is no float"),
            ('{"now": 1, "event": {"type": "Nonsense"}, "effects": []}', "'Nonsense' is unknown"),
            ('{"now": 1, "event": {"type": ["x"]}, "effects": []}', "['x'] is unknown"),
            ('{"now": 1, "event": {"type": "CommitReply", "reply_id": 1}, "effects": []}', "'CommitReply' is unknown"),
            ('{"now": 1, "event": {"type": "ReplyGenerated"}, "effects": []}', "ReplyGenerated lacks reply_id"),
            ('{"now": 1, "event": {"type": "ReplyGenerated", "reply_id": 1, "x": 1}, "effects": []}', "has no x"),
            ('{"now": 1, "event": {"type": "ReplyGenerated", "reply_id": true}, "effects": []}', "true is no int"),
            ('{"now": 1, "event": null, "effects": [{"type": "ReportState", "state": "asleep"}]}', '"asleep" is no'),
            (
                '{"now": 1, "event": null, "effects": [{"type": "StartReply", "reply_id": 1, "pending": [1]}]}',
                "int where an object",
            ),
            ('{"now": 1, "event": {"type": "SettingsChanged", "settings": null}, "effects": []}', "NoneType where an object"),
            (
                '{"now": 1, "event": {"type": "ItemInserted", "item": {"item_id": "x", "role": "robot", "text": "", "at": 0}},'
                ' "effects": []}',
                '"robot" is no',
            ),
            ('{"now": 1, "event": {"type": "ItemInserted", "item": {"item_id": "x"}}, "effects": []}', "Item lacks role"),
            ('{"now": 1, "event": null, "effects": ' + "[" * 100_000 + "}", "nested too deeply"),
        ],
    )
    def test_a_damaged_line_is_named(self, tmp_path: Path, line: str, why: str) -> None:
        path = write_log(tmp_path / "log", [Step(now=0.0, event=None, effects=())])
        with path.open("a") as file:
            file.write(line + "\n")
        error = self.refused(path)
        assert error.code == "log.damaged"
        assert f"Line 3 of {path}" in str(error)
        assert why in str(error)

    def test_damaged_settings(self, tmp_path: Path) -> None:
        path = write_log(tmp_path / "log", [])
        path.write_text(path.read_text().replace('"speculate": false', '"speculate": 0'))
        assert "ConversationSettings: 0 is no bool" in str(self.refused(path))

    @pytest.mark.parametrize("kept", [1, 20, 60])
    def test_a_last_line_that_was_cut_off(self, tmp_path: Path, kept: int) -> None:
        steps = [Step(now=float(number), event=EVENTS[number], effects=()) for number in range(3)]
        path = write_log(tmp_path / "log", steps)
        whole = path.read_bytes()
        path.write_bytes(whole[: whole[:-1].rindex(b"\n") + 1 + kept])
        reader = LogReader(path)
        assert [step for _, step in reader.steps()] == steps[:2]
        assert reader.cut_off


# ---------------------------------------------------------------- the recorder

CONVERSATION: tuple[tuple[float, on.Event | None], ...] = (
    (0.0, on.SpeakerJoined(speaker="Ann")),
    (0.1, on.TextReceived(speaker="Ann", text="Book a table in Zürich")),
    (0.2, on.ReplyTextAdded(reply_id=1, text="A table, cer")),
    (0.3, on.PlayoutStarted(reply_id=1)),
    (0.4, on.ReplyTextAdded(reply_id=1, text="tainly")),
    (0.5, on.PlayoutAdvanced(reply_id=1, heard="A table,")),
    (0.6, on.SpeechStarted(speaker="Ann", utterance_id=1, at=0.55)),
    (0.9, on.TranscriptPartial(speaker="Ann", utterance_id=1, text="Wait, Basel", confidence=0.9)),
    (1.0, on.AudioAdvanced(speaker="Ann", at=1.0)),
    (1.2, on.SpeechStopped(speaker="Ann", utterance_id=1, at=1.1)),
    (1.3, on.TranscriptFinal(speaker="Ann", utterance_id=1, text="Wait, Basel!")),
    (4.0, None),
    (4.1, on.ReplyTextAdded(reply_id=2, text="Bas")),
    (4.2, on.ToolCalled(reply_id=2, call_id="call_basel", name="book_table", arguments='{"city": "Basel"}')),
    (4.3, on.ItemInserted(item=Item(item_id="out_1", role="tool_output", text="Table 5", at=0.0, call_id="call_basel"))),
    (4.4, on.ItemTruncated(item_id="item_2", heard="A")),
    (4.5, on.SettingsChanged(settings=ConversationSettings(automatic_turns=False))),
    (4.6, on.ReplyRequested(instructions="Table talk", request_id="event_5")),
    (4.7, on.PlayoutFinished(reply_id=2, heard="")),
    (4.8, on.ItemRemoved(item_id="item_1")),
)


async def record(folder: Path, *, content: bool) -> tuple[Path, list[Step]]:
    machine = Machine(SETTINGS)
    recorder = open_recorder(folder, "s1", SETTINGS, content=content)
    steps = []
    for now, event in CONVERSATION:
        effects = machine.handle_timer(now) if event is None else machine.handle(event, now)
        recorder.record(now, event, effects)
        steps.append(Step(now=now, event=event, effects=tuple(effects)))
    await recorder.aclose()
    assert recorder.path is not None
    return recorder.path, steps


async def test_with_content_the_log_holds_everything(tmp_path: Path) -> None:
    path, steps = await record(tmp_path, content=True)
    assert read_steps(path) == steps
    header = LogReader(path).header
    assert header == LogHeader(session="s1", redacted=False, settings=SETTINGS)


async def test_without_content_no_word_of_it_is_in_the_file(tmp_path: Path) -> None:
    path, steps = await record(tmp_path, content=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = path.read_text().lower()
    for word in ("book", "book_table", "table", "rich", "cer", "tainly", "basel", "call_basel", "wait", "ann", "talk"):
        assert not re.search(rf"(?<![a-z]){word}(?![a-z])", written)
    reader = LogReader(path)
    assert reader.header.redacted
    redacted = [step for _, step in reader.steps()]
    assert [type(step.event) for step in redacted] == [type(step.event) for step in steps]
    recorded = [effect for step in redacted for effect in step.effects if isinstance(effect, do.RecordReply)]
    assert [(reply.written, reply.heard) for reply in recorded] == [("a w2, w4", "a w2,"), ("w7", "")]
    started = [effect for step in redacted for effect in step.effects if isinstance(effect, do.StartReply)]
    assert [reply.request_id for reply in started] == ["", "", "event_5"]


async def test_both_replay(tmp_path: Path) -> None:
    for content in (True, False):
        path, _ = await record(tmp_path, content=content)
        reader = LogReader(path)
        machine = Machine(reader.header.settings, reader.header.transcript())
        for _, step in reader.steps():
            got = machine.handle_timer(step.now) if step.event is None else machine.handle(step.event, step.now)
            assert tuple(got) == step.effects


async def test_a_conversation_that_goes_on_is_recorded_with_its_ids(tmp_path: Path) -> None:
    earlier = Transcript()
    earlier.write(Item(item_id="", role="user", text="Before", at=0.0), at=1.0)
    recorder = open_recorder(tmp_path, "s1", SETTINGS, content=True, transcript=earlier)
    await recorder.aclose()
    assert recorder.path is not None
    header = LogReader(recorder.path).header
    assert (header.items, header.items_made) == (("item_1",), 1)
    assert "Before" not in recorder.path.read_text()
