"""A conversation as lines on a terminal or as JSON, as it happens."""

import dataclasses
import sys
from typing import Protocol, TextIO

from voice_agent.cli.output import print_json
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.engines.base import EngineKind, EngineState, Ready, Unavailable
from voice_agent.session.report import TurnReport
from voice_agent.session.session import Observed

ERASE_LINE = "\r\x1b[K"


class Screen(Protocol):
    """Shows what an observer is told."""

    def engines(self, chosen: dict[str, str], states: dict[EngineKind, dict[str, EngineState]]) -> None: ...

    def observe(self, now: float, what: Observed) -> None: ...


class JsonScreen:
    """One object a line for each finished turn."""

    def engines(self, chosen: dict[str, str], states: dict[EngineKind, dict[str, EngineState]]) -> None:
        return

    def observe(self, now: float, what: Observed) -> None:
        if isinstance(what, TurnReport):
            print_json(dataclasses.asdict(what))


class LineScreen:
    """Partials come and go on one line of a terminal (each on its own line elsewhere); the reply grows as it is spoken."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._terminal = self._stream.isatty()
        self._open = ""  # what stands on the line that is not finished: "partial", "agent" or nothing
        self._heard = ""
        self._partial = ""
        self._chosen: dict[str, str] = {}

    def engines(self, chosen: dict[str, str], states: dict[EngineKind, dict[str, EngineState]]) -> None:
        self._chosen = chosen
        kinds = [kind for kind in states if kind not in chosen]  # works without: an end-of-turn model
        for kind, name in [*chosen.items(), *((kind, "none") for kind in kinds)]:
            self._line(f"{kind:>5}  {name}")
            for other, state in states.get(kind, {}).items():  # type: ignore[call-overload]
                if name.startswith(other) or isinstance(state, Ready):
                    break
                if isinstance(state, Unavailable):
                    self._line(f"       {other}: {state.reason}; {state.remedy}")
        self._line("")

    def observe(self, now: float, what: Observed) -> None:
        match what:
            case on.TranscriptPartial():
                self._show_partial(what.text)
            case do.CommitTurn():
                detail = "typed" if what.by_text else f"confidence {what.confidence:.2f}, {what.language or '?'}"
                self._line(f"  you: {what.text}  ({detail})")
            case do.DiscardTurn():
                self._line(f"       (not a turn: {what.reason})")
            case on.PlayoutAdvanced():
                self._show_heard(what.heard)
            case do.PausePlayout():
                self._line("       (paused)")
            case do.ReportIdle():
                self._line(f"       (silence for {what.silent_s:.0f} s)")
            case TurnReport():
                self._show_report(what)
            case _:
                return

    def _show_partial(self, text: str) -> None:
        if text == self._partial:
            return
        self._partial = text
        if self._terminal:
            self._fresh_line("partial")
            self._write(f"{ERASE_LINE}  ... {text}")
        else:
            self._line(f"  ... {text}")

    def _show_heard(self, heard: str) -> None:
        if self._open != "agent":
            self._fresh_line("agent")
            self._write("agent: " if not self._heard else "   ... ")
        self._write(heard[len(self._heard) :] if heard.startswith(self._heard) else heard)
        self._heard = heard

    def _show_report(self, report: TurnReport) -> None:
        if report.heard_text.startswith(self._heard) and report.heard_text != self._heard:
            self._show_heard(report.heard_text)
        if report.interrupted:
            self._line(f"       (interrupted; it was going to say: {report.reply_text.strip()!r})")
        if report.failed:
            self._line(f"       (the reply failed: {report.failed})")
        if (answered := report.engines.get("llm")) != self._chosen.get("llm", answered):
            self._line(f"       (answered by {answered}, in place of {self._chosen['llm']})")
        if report.voice_to_voice_ms is not None:
            stages = " + ".join(f"{name} {ms:.0f}" for name, ms in report.waterfall_ms.items())
            guess = "hit" if report.speculation.hit else "miss"
            self._line(
                f"       {report.voice_to_voice_ms:.0f} ms = {stages}"
                f"  (speculation {guess}, {report.speculation.wasted_tokens} tokens wasted)"
            )
        self._heard = ""
        self._line("")

    def _line(self, text: str) -> None:
        self._fresh_line("")
        self._write(text + "\n")

    def _fresh_line(self, kind: str) -> None:
        """Ends or erases what stands on the line, unless it is of the same kind."""
        if self._open and self._open != kind:
            self._write(ERASE_LINE if self._open == "partial" else "\n")
        self._open = kind

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
