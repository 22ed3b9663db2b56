"""`voice-agent models`: what can be fetched, fetch it, check it."""

import asyncio
import sys
from typing import Annotated, TypeAlias

import typer

from voice_agent.cli.fetching import reporting
from voice_agent.cli.options import JsonOption, SetOption, settings_with
from voice_agent.cli.output import print_json, print_line, print_table
from voice_agent.errors import ModelError
from voice_agent.models import Model, ModelState, ModelStore, Verification, default_root
from voice_agent.models.disk import megabytes

app = typer.Typer(help="List, fetch and verify the model weights.", no_args_is_help=True)

DirOption: TypeAlias = Annotated[
    str | None, typer.Option("--models-dir", metavar="FOLDER", help="Where weights are kept, for this run.")
]

HASHES = {
    "measured": "pinned (measured)",
    "published": "pinned (published)",
    "hub": "the hub's own, kept at the fetch",
}
"""Where the hash comes from that a file must have."""


@app.command("list")
def list_models(assignments: SetOption = None, models_dir: DirOption = None, as_json: JsonOption = False) -> None:
    """Show every model that can be fetched, and what is on this machine."""
    store = _store(assignments, models_dir)
    if as_json:
        print_json([_facts(store, model) for model in store.catalogue.models])
        return
    print_table(
        ("name", "kind", "size", "licence", "state", "hash", "source"), [_row(store, model) for model in store.catalogue.models]
    )
    print_line("* needed by a start without keys and servers", style="dim")
    print_line(f"Folder: {store.root}", style="dim")


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Names as `list` shows them.")] = None,
    all_embedded: Annotated[
        bool, typer.Option("--all-embedded", help="Those that a start without keys and servers needs.")
    ] = False,
    assignments: SetOption = None,
    models_dir: DirOption = None,
) -> None:
    """Fetch models, check their hashes and put them in place. What is there and whole is left alone."""
    store = _store(assignments, models_dir)
    wanted = list(dict.fromkeys([*(names or ()), *(store.catalogue.embedded() if all_embedded else ())]))
    if not wanted:
        raise ModelError(
            "No model was named",
            remedy="Name one that 'voice-agent models list' shows, or use --all-embedded",
            code="model.unknown",
        )
    for name in wanted:
        store.catalogue.find(name)  # a slip in the last name is told before the first is fetched
    with reporting(sys.stderr) as report:
        asyncio.run(store.ensure(wanted, report))
    for name in wanted:
        print_line(f"{name}: in {store.folder(name)}")


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Default: all that are on this machine.")] = None,
    assignments: SetOption = None,
    models_dir: DirOption = None,
) -> None:
    """Read every byte of the models and compare the hashes. Exit code 1 when one is damaged or not there."""
    store = _store(assignments, models_dir)
    here = [name for name in store.catalogue.names() if store.state(name) is not ModelState.MISSING]
    wanted = list(dict.fromkeys(names or here))
    if not wanted:
        print_line(f"No models are in {store.root}")
        return
    results = asyncio.run(_verified(store, wanted))
    bad = [result.model for result in results if result.problems]
    if bad:
        raise ModelError(
            f"{len(bad)} of {len(results)} models {'is' if len(bad) == 1 else 'are'} not whole",
            remedy=f"Run: voice-agent models fetch {' '.join(bad)}",
            code="model.damaged",
        )


async def _verified(store: ModelStore, names: list[str]) -> list[Verification]:
    results = []
    for name in names:
        result = await store.verify(name)
        print_line(f"{name}: {'; '.join(result.problems) or 'ok'}")
        results.append(result)
    return results


def _store(assignments: list[str] | None, models_dir: str | None) -> ModelStore:
    models = settings_with(assignments, models__dir=models_dir).values.models
    return ModelStore(models.dir or default_root(), hub_url=models.hub_url, offline=models.offline)


def _facts(store: ModelStore, model: Model) -> dict[str, object]:
    return {
        "name": model.name,
        "kind": model.kind,
        "summary": model.summary,
        "bytes": model.bytes,
        "licence": model.licence,
        "attribution": model.attribution,
        "embedded": model.embedded,
        "state": store.state(model.name).value,
        "hashes": model.hashes,
        "sources": [source.label for source in model.sources],
        "folder": str(store.folder(model.name)),
    }


def _row(store: ModelStore, model: Model) -> tuple[str, ...]:
    return (
        f"{model.name}{' *' if model.embedded else ''}",
        model.kind,
        megabytes(model.bytes),
        model.licence,
        store.state(model.name).value,
        HASHES[model.hashes],
        ", ".join(source.label for source in model.sources),
    )
