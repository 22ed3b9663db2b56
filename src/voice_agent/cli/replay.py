"""`voice-agent replay`: runs the conversation core over an event log again and compares what it decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from voice_agent.cli.options import JsonOption
from voice_agent.cli.output import print_json, print_line
from voice_agent.conversation.effects import Effect
from voice_agent.conversation.machine import Machine
from voice_agent.conversation.redaction import Step
from voice_agent.session.log_format import LogReader, tagged


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first call whose effects are not those of the log."""

    line: int
    step: Step
    """As recorded."""
    got: tuple[Effect, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """Counts are of what was run, the call that differs included."""

    events: int
    timers: int
    effects: int
    difference: Difference | None


def replay(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="An event log, as LOG_EVENTS_DIR collects them.")],
    as_json: JsonOption = False,
) -> None:
    """Run the conversation core over an event log again and report the first difference in what it decides.

    Exit code 0 when all is identical, 1 when it is not.
    """
    reader = LogReader(log)
    replayed = run_again(reader)
    if as_json:
        print_json(_facts(reader, replayed))
    else:
        _tell(reader, replayed)
    if replayed.difference is not None:
        raise typer.Exit(1)


def run_again(reader: LogReader) -> Replayed:
    """Feeds a new machine what the log's machine was fed, until they differ. Raises `InputError` for a damaged log."""
    machine = Machine(reader.header.settings, reader.header.transcript())
    events = timers = effects = 0
    for line, step in reader.steps():
        got = machine.handle_timer(step.now) if step.event is None else machine.handle(step.event, step.now)
        events, timers = events + (step.event is not None), timers + (step.event is None)
        effects += len(got)
        if _described(got) != _described(step.effects):
            difference = Difference(line=line, step=step, got=tuple(got))
            return Replayed(events=events, timers=timers, effects=effects, difference=difference)
    return Replayed(events=events, timers=timers, effects=effects, difference=None)


def _described(effects: Sequence[Effect]) -> list[str]:
    """Comparable even where a number is NaN."""
    return [repr(effect) for effect in effects]


def _tell(reader: LogReader, replayed: Replayed) -> None:
    if replayed.difference is None:
        print_line(f"identical: {_amount(replayed.events, 'event')}, {_amount(replayed.effects, 'effect')}")
    else:
        _tell_difference(replayed.difference)
    if reader.cut_off:
        print_line("note: the last line was cut off; the log was replayed up to there", style="yellow")


def _tell_difference(difference: Difference) -> None:
    step = difference.step
    print_line(f"different at line {difference.line}, {step.now:.3f} s, after {step.event or 'a timer'}", style="bold")
    expected, got = _described(step.effects), _described(difference.got)
    first = next(index for index in count() if expected[index : index + 1] != got[index : index + 1])
    print_line(f"effect {first + 1} of {len(expected)}")
    print_line(f"  expected: {(expected[first:] or ['nothing'])[0]}")
    print_line(f"  got:      {(got[first:] or ['nothing'])[0]}")


def _amount(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _facts(reader: LogReader, replayed: Replayed) -> dict[str, object]:
    facts: dict[str, object] = {
        "identical": replayed.difference is None,
        "session": reader.header.session,
        "redacted": reader.header.redacted,
        "cut_off": reader.cut_off,
        "events": replayed.events,
        "timers": replayed.timers,
        "effects": replayed.effects,
    }
    if (difference := replayed.difference) is not None:
        step = difference.step
        facts["difference"] = {
            "line": difference.line,
            "now": step.now,
            "event": None if step.event is None else tagged(step.event),
            "expected": [tagged(effect) for effect in step.effects],
            "got": [tagged(effect) for effect in difference.got],
        }
    return facts
