"""`voice-agent models`: what can be fetched, fetch it, check it."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from voice_agent.errors import ModelError
from voice_agent.models import FetchProgress, Model, ModelState, ModelStore, Verification, default_root
from voice_agent.models.disk import megabytes
from voice_agent.models.progress import Report

app = typer.Typer(help="The model weights: list, fetch and verify them.", no_args_is_help=True)

ModelsDir = Annotated[
    Path | None, typer.Option("--models-dir", help="The folder of the models. Default: $MODELS_DIR or the cache folder.")
]

_HASHES = {
    "measured": "pinned: measured by the project",
    "published": "pinned: as published",
    "hub": "not pinned: the hub's own is demanded at the fetch and kept",
}
_STATE_STYLES = {
    ModelState.PRESENT: "green",
    ModelState.PARTIAL: "yellow",
    ModelState.MISSING: "dim",
    ModelState.DAMAGED: "bold red",
}

PLAIN_STEP = 0.1
"""Without a terminal, a line is printed for each tenth of a transfer."""


@app.command("list")
def list_models(
    models_dir: ModelsDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Shows every model of the catalogue, and what is on this machine."""
    store = _store(models_dir)
    if as_json:
        typer.echo(json.dumps([_as_json(store, model) for model in store.catalogue.models], indent=2))
        return
    console = Console()
    console.print(_table(store))
    console.print(f"Folder: {store.root}", soft_wrap=True, highlight=False)


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Names as `list` shows them.")] = None,
    all_embedded: Annotated[
        bool, typer.Option("--all-embedded", help="The models that a start without keys and servers needs.")
    ] = False,
    models_dir: ModelsDir = None,
) -> None:
    """Fetches models, checks their hashes and puts them in place. What is there and whole is left alone."""
    store = _store(models_dir)
    wanted = [*(names or ()), *(store.catalogue.embedded() if all_embedded else ())]
    if not wanted:
        raise ModelError(
            "No model was named",
            remedy="Name one that 'voice-agent models list' shows, or use --all-embedded",
            code="model.unknown",
        )
    for name in wanted:
        store.catalogue.find(name)
    with _reporting(Console(stderr=True)) as report:
        asyncio.run(store.ensure(wanted, report))
    for name in dict.fromkeys(wanted):
        typer.echo(f"{name}: in {store.folder(name)}")


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Default: all that are on this machine.")] = None,
    models_dir: ModelsDir = None,
) -> None:
    """Reads every byte of the models and compares the hashes. Exit code 1 when one is damaged or not there."""
    store = _store(models_dir)
    here = [name for name in store.catalogue.names() if store.state(name) is not ModelState.MISSING]
    wanted = list(dict.fromkeys(names or here))
    if not wanted:
        typer.echo(f"No models are in {store.root}")
        return
    results = asyncio.run(_verified(store, wanted))
    bad = [result for result in results if result.problems]
    if bad:
        raise ModelError(
            f"{len(bad)} of {len(results)} models {'is' if len(bad) == 1 else 'are'} not whole",
            remedy=f"Fetch again with: voice-agent models fetch {' '.join(result.model for result in bad)}",
            code="model.damaged",
        )


async def _verified(store: ModelStore, names: list[str]) -> list[Verification]:
    results = []
    for name in names:
        result = await store.verify(name)
        typer.echo(f"{name}: {'; '.join(result.problems) or 'ok'}")
        results.append(result)
    return results


def _store(models_dir: Path | None) -> ModelStore:
    return ModelStore(models_dir if models_dir is not None else default_root())


def _as_json(store: ModelStore, model: Model) -> dict[str, object]:
    return {
        "name": model.name,
        "kind": model.kind,
        "summary": model.summary,
        "bytes": model.bytes,
        "licence": model.licence,
        "attribution": model.attribution,
        "embedded": model.embedded,
        "state": store.state(model.name).value,
        "sources": [source.label for source in model.sources],
        "hashes": model.hashes,
        "folder": str(store.folder(model.name)),
    }


def _table(store: ModelStore) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "kind", "size", "licence", "state", "source", "hashes"):
        table.add_column(column, no_wrap=column in ("name", "size", "state"), justify="right" if column == "size" else "left")
    for model in store.catalogue.models:
        state = store.state(model.name)
        table.add_row(
            f"{model.name}{' *' if model.embedded else ''}",
            model.kind,
            megabytes(model.bytes),
            model.licence,
            f"[{_STATE_STYLES[state]}]{state}[/]",
            model.sources[0].label,
            _HASHES[model.hashes],
        )
    table.caption = "* needed by a start without keys and servers"
    table.caption_justify = "left"
    return table


@contextlib.contextmanager
def _reporting(console: Console) -> Iterator[Report]:
    """Bars on a terminal, plain lines elsewhere; both on standard error."""
    if not console.is_terminal:
        yield _PlainLines(console).report
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress).report


@dataclass(slots=True)
class _Bars:
    progress: Progress
    tasks: dict[str, TaskID] = field(default_factory=dict)

    def report(self, fetched: FetchProgress) -> None:
        task = self.tasks.get(fetched.model)
        if task is None:
            task = self.tasks[fetched.model] = self.progress.add_task(fetched.model, total=fetched.bytes_total, note="")
        note = fetched.source or fetched.phase
        self.progress.update(task, total=fetched.bytes_total, completed=fetched.bytes_done, note=note)


@dataclass(slots=True)
class _PlainLines:
    console: Console
    told: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    """For each model the phase, the source and the tenth that were told last."""

    def report(self, fetched: FetchProgress) -> None:
        share = fetched.bytes_done / fetched.bytes_total if fetched.bytes_total else 0.0
        step = int(share / PLAIN_STEP) if fetched.phase == "downloading" else 0
        now = (fetched.phase, fetched.source, step)
        if self.told.get(fetched.model) == now:
            return
        self.told[fetched.model] = now
        self.console.print(self._line(fetched, share), soft_wrap=True, highlight=False, markup=False)

    @staticmethod
    def _line(fetched: FetchProgress, share: float) -> str:
        match fetched.phase:
            case "downloading":
                size = megabytes(fetched.bytes_total)
                return f"{fetched.model}: downloading from {fetched.source}, {share:.0%} of {size}"
            case "waiting":
                return f"{fetched.model}: another process is fetching it, waiting"
            case "checking":
                return f"{fetched.model}: checking"
            case "done":
                return f"{fetched.model}: done"
