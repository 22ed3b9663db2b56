"""How a fetch is shown: bars on a terminal, plain lines in a pipe or a log."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from voice_agent.cli.output import console
from voice_agent.models import FetchProgress
from voice_agent.models.disk import megabytes
from voice_agent.models.progress import Report

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_STEP = 0.1
"""Without a terminal, a line is printed for each tenth of a transfer."""


@contextlib.contextmanager
def reporting(stream: TextIO) -> Iterator[Report]:
    """Something that shows the progress of any number of models on `stream` until the block ends."""
    screen = console(stream)
    if not screen.is_terminal:
        yield PlainLines(stream).report
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    name, note = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[note]}", markup=False)
    with Progress(
        name, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(), note, console=screen
    ) as progress:
        yield Bars(progress).report


@dataclass(slots=True)
class Bars:
    progress: "Progress"
    tasks: dict[str, "TaskID"] = field(default_factory=dict)

    def report(self, fetched: FetchProgress) -> None:
        if fetched.model not in self.tasks:
            self.tasks[fetched.model] = self.progress.add_task(fetched.model, total=fetched.bytes_total, note="")
        note = fetched.source or fetched.phase
        self.progress.update(self.tasks[fetched.model], total=fetched.bytes_total, completed=fetched.bytes_done, note=note)


@dataclass(slots=True)
class PlainLines:
    """One line for each phase of a model, and for each tenth of its transfer."""

    stream: TextIO
    told: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    """For each model the phase, the source and the tenth that were told last."""

    def report(self, fetched: FetchProgress) -> None:
        share = fetched.bytes_done / fetched.bytes_total
        step = int(share / PLAIN_STEP) if fetched.phase == "downloading" else 0
        now = (fetched.phase, fetched.source, step)
        if self.told.get(fetched.model) != now:
            self.told[fetched.model] = now
            self.stream.write(f"{fetched.model}: {_words(fetched, share)}\n")
            self.stream.flush()


def _words(fetched: FetchProgress, share: float) -> str:
    match fetched.phase:
        case "downloading":
            return f"downloading from {fetched.source}, {share:.0%} of {megabytes(fetched.bytes_total)}"
        case "waiting":
            return "another process fetches it, waiting"
        case "checking":
            return "checking"
        case "done":
            return "done"
