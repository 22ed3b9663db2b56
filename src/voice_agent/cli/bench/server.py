"""`voice-agent bench server`: what the server itself costs, in time, processor and memory, with engines that do nothing."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from voice_agent.cli.options import JsonOption


def server(
    sessions: Annotated[int, typer.Option("--sessions", min=2, max=200, help="How many talk at once.")] = 20,
    seconds: Annotated[float, typer.Option("--seconds", min=4, max=600, help="How long one session, then many, talk.")] = 60.0,
    clip: Annotated[Path | None, typer.Option("--clip", metavar="FILE", help="1 to 2 s of speech that every client says.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a target is missed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the server's own latency, processor time and memory on this machine, each against its target.

    A server with stub engines of fixed delay runs in a process of its own, on 127.0.0.1; real-time clients talk to it.
    """
    from voice_agent.api.server import loop_factory
    from voice_agent.cli.bench.server_runs import ServerBench

    bench = ServerBench(sessions=sessions, seconds=seconds, clip=clip, quiet=as_json)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(bench.run())
    bench.show(as_json=as_json)
    if strict and any(figure.passed is False for figure in bench.figures):
        raise typer.Exit(1)
