"""`voice-agent doctor`: whether a conversation is possible here, what it would run on, and what would make it better."""

import asyncio
import os
import sys
import time

import typer

from voice_agent.cli.options import JsonOption, SetOption, settings_with
from voice_agent.settings import LoadedSettings


def doctor(assignments: SetOption = None, as_json: JsonOption = False) -> None:
    """Use every engine once, look at the machine and the settings, and say what could be better and how.

    Exit code 0 when a conversation is possible, 1 when it is not.
    """
    if not asyncio.run(_doctor(settings_with(assignments), as_json)):
        raise typer.Exit(1)


async def _doctor(loaded: LoadedSettings, as_json: bool) -> bool:
    """Whether a conversation is possible."""
    from voice_agent.cli.doctor import engines
    from voice_agent.cli.doctor.checkup import examine
    from voice_agent.cli.doctor.report import print_facts, print_report
    from voice_agent.cli.starting import assembled

    async with assembled(loaded.values) as assembly:
        began = time.perf_counter()
        report = await examine(assembly, loaded, engines.PATIENCE)
        (print_facts if as_json else print_report)(report, took_s=time.perf_counter() - began)
        if report.hung:
            _leave(report.possible)
    return report.possible


def _leave(possible: bool) -> None:
    """Ends the process at once: a thread that hangs inside native code would keep every orderly end waiting for it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if possible else 1)
