"""`voice-agent replay`: identical, different, cut off, and files that are no log."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from voice_agent import cli
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.machine import Machine
from voice_agent.conversation.redaction import Step
from voice_agent.conversation.settings import ConversationSettings
from voice_agent.session.log_format import LogHeader, header_line, step_line

SETTINGS = ConversationSettings(idle_timeout_s=30.0)


def conversation() -> list[Step]:
    machine = Machine(SETTINGS)
    events: list[tuple[float, on.Event | None]] = [
        (0.1, on.TextReceived(speaker="ann", text="Hello")),
        (0.2, on.ReplyTextAdded(reply_id=1, text="Hello to you")),
        (0.3, on.PlayoutStarted(reply_id=1)),
        (0.9, on.PlayoutFinished(reply_id=1, heard="Hello to you")),
        (31.0, None),
    ]
    steps = []
    for now, event in events:
        effects = machine.handle_timer(now) if event is None else machine.handle(event, now)
        steps.append(Step(now=now, event=event, effects=tuple(effects)))
    return steps


def write(path: Path, steps: list[Step]) -> Path:
    lines = [header_line(LogHeader(session="s1", redacted=False, settings=SETTINGS)), *map(step_line, steps)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "s1.jsonl", conversation())


@pytest.fixture
def other_log(tmp_path: Path) -> Path:
    """As a machine with another mind would have written it."""
    steps = conversation()
    last = steps[3]
    changed = tuple(replace(effect, interrupted=True) if isinstance(effect, do.RecordReply) else effect for effect in last.effects)
    return write(tmp_path / "other.jsonl", [*steps[:3], replace(last, effects=changed), *steps[4:]])


def run(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["replay", *words])
    return exit_.value.code


def test_identical(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    effects = sum(len(step.effects) for step in conversation())
    assert run(str(log)) == 0
    assert capsys.readouterr().out == f"identical: 4 events, {effects} effects\n"


def test_the_first_difference(other_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(other_log)) == 1
    head, place, expected, got = capsys.readouterr().out.splitlines()
    assert head == "different at line 5, 0.900 s, after PlayoutFinished(reply_id=1, heard='Hello to you')"
    assert place.startswith("effect 1 of ")
    assert expected.startswith("  expected: RecordReply(")
    assert "interrupted=True" in expected
    assert got.startswith("  got:      RecordReply(")
    assert "interrupted=False" in got


def test_an_effect_too_few_and_one_too_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = conversation()
    idle = do.ReportIdle(silent_s=1.0)
    assert run(str(write(tmp_path / "more", [replace(steps[1], effects=(idle,))]))) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [f"  expected: {idle}", "  got:      nothing"]
    assert run(str(write(tmp_path / "fewer", [replace(steps[0], effects=())]))) == 1
    assert capsys.readouterr().out.splitlines()[-2] == "  expected: nothing"


def test_as_json(log: Path, other_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(log), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["identical"] is True
    assert (facts["session"], facts["redacted"], facts["events"], facts["timers"]) == ("s1", False, 4, 1)
    assert run(str(other_log), "--json") == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["identical"] is False
    difference = facts["difference"]
    assert (difference["line"], difference["now"], difference["event"]["type"]) == (5, 0.9, "PlayoutFinished")
    assert difference["expected"][0]["interrupted"] is True
    assert difference["got"][0]["interrupted"] is False


def test_a_log_that_a_crash_has_cut_off(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_bytes(log.read_bytes()[:-10])
    assert run(str(log)) == 0
    first, note = capsys.readouterr().out.splitlines()
    assert first.startswith("identical: 4 events, ")
    assert note == "note: the last line was cut off; the log was replayed up to there"


def test_no_log_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tmp_path / "none")) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'none'} cannot be read (No such file or directory). ")
    (tmp_path / "talk.wav").write_bytes(b"RIFF\x00\xff")
    assert run(str(tmp_path / "talk.wav")) == 1
    assert capsys.readouterr().err.count("\n") == 1
