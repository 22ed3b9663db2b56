"""Run in a fresh process by `footprint.ready`: loads what a session needs, says so, ends.

The arguments are those of `--set`. One JSON line: {"rss_mb": resident memory, "engines": kind to name}.
"""

import asyncio
import sys

import psutil

from voice_agent.cli.options import settings_with
from voice_agent.cli.output import print_json
from voice_agent.cli.starting import assembled


async def _load() -> None:
    async with assembled(settings_with(sys.argv[1:]).values) as assembly:
        engines = await assembly.engines()
        print_json({"rss_mb": psutil.Process().memory_info().rss / 1e6, "engines": engines.names()})


def main() -> None:
    asyncio.run(_load())
