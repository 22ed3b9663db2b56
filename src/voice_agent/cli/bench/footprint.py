"""What it costs to be there: seconds until ready, memory, processor time of a silent session."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from voice_agent.assembly import Assembly
from voice_agent.errors import VoiceAgentError
from voice_agent.transports.in_memory import InMemoryTransport

SETTLE_S = 1.0
"""A session's first second, in which the language model's prompt is prepared, is no silence yet."""

PROGRAM = "from voice_agent.cli.bench.ready import main; main()"
READY_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Of a fresh process: seconds from its start until every engine of a session is loaded, and its memory then."""

    seconds: float
    rss_mb: float


async def ready(assignments: Sequence[str]) -> Readiness:
    """Starts the process and waits for it. Raises `VoiceAgentError` if it fails."""
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, *assignments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            line = await process.stdout.readline()
            seconds = time.perf_counter() - started
            _, said = await process.communicate()
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise VoiceAgentError("A fresh process did not become ready", why=f"not within {READY_TIMEOUT_S:.0f} s") from error
    if process.returncode != 0 or not line:
        lines = said.decode(errors="replace").strip().splitlines()
        raise VoiceAgentError("A fresh process did not become ready", why=lines[-1] if lines else "it said nothing")
    facts: dict[str, Any] = json.loads(line)
    return Readiness(seconds=seconds, rss_mb=facts["rss_mb"])


def resident_mb() -> float:
    """Of this process, in millions of bytes."""
    return float(psutil.Process().memory_info().rss) / 1e6


async def silent_session(assembly: Assembly, seconds: float) -> float:
    """Share of one core that this process uses while a session hears silence for that long."""
    transport = InMemoryTransport()
    session = await assembly.session("bench-silence", transport)
    running = asyncio.ensure_future(session.run())
    try:
        return await _share(seconds)
    finally:
        await session.aclose()
        await running


async def sound_card(seconds: float) -> float:
    """The same without a session: what the in-memory transport's clock alone takes, which a real sound card would not."""
    transport = InMemoryTransport()

    async def read() -> None:
        async for _ in transport.inputs():
            pass

    reading = asyncio.ensure_future(read())
    try:
        return await _share(seconds)
    finally:
        transport.hang_up()
        await reading


async def _share(seconds: float) -> float:
    """Of one core, after `SETTLE_S`."""
    await asyncio.sleep(SETTLE_S)
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - cpu) / (time.perf_counter() - wall)
