"""`voice-agent bench conversation`: how fast, how small. Human clips in real time through the embedded engines."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from voice_agent.cli.options import JsonOption, SetOption, settings_with
from voice_agent.errors import InputError

PARTS = ("v2v", "transcript", "barge-in", "backchannel", "hour", "idle", "memory", "ready")


def conversation(
    clips: Annotated[
        Path | None, typer.Option("--clips", metavar="DIR", help="Folder with sound files and a manifest.tsv (file, transcript).")
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=1, max=50, help="How often each clip is said.")] = 2,
    only: Annotated[str, typer.Option("--only", metavar="PART,…", help=f"Of {', '.join(PARTS)}; all when not given.")] = "",
    recordings: Annotated[
        Path | None, typer.Option("--recordings", metavar="DIR", help="Keep each conversation as a stereo WAV there.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a target is missed.")] = False,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure latency, recognition, barge-in and footprint on this machine, each against its target."""
    parts = _parts(only)
    settings = settings_with(assignments).values
    from voice_agent.cli.bench.runs import Bench

    bench = Bench(settings, assignments or (), clips_folder=clips, repeat=repeat, recordings=recordings, quiet=as_json)
    asyncio.run(bench.run(parts))
    bench.show(as_json=as_json)
    if strict and any(figure.passed is False for figure in bench.figures):
        raise typer.Exit(1)


def _parts(only: str) -> frozenset[str]:
    wanted = [part.strip() for part in only.split(",") if part.strip()]
    unknown = [part for part in wanted if part not in PARTS]
    if unknown:
        raise InputError(f"There is no part {unknown[0]!r} to measure", remedy=f"Name some of {', '.join(PARTS)}")
    return frozenset(wanted or PARTS)
