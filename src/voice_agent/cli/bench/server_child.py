"""The bench's hold on the server process: starts it, reads its processor time and memory, asks what it measured, ends it."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psutil

from voice_agent.errors import VoiceAgentError

PROGRAM = "from voice_agent.cli.bench.server_process import main; main()"
START_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 10.0
END_TIMEOUT_S = 10.0

LINE_LIMIT = 16 * 1024 * 1024
"""Bytes of one answer: 100 measurements a second of some minutes are 200 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What the server measured since it was last asked: lag of its loop, and its first audio's way out, both in ms."""

    lag_ms: list[float]
    audio_ms: list[float]


class ServerChild:
    def __init__(self, process: asyncio.subprocess.Process, system: psutil.Process, facts: dict[str, Any]) -> None:
        self._process = process
        self._system = system
        self.port = int(facts["port"])
        self.loop = str(facts["loop"])

    async def inside(self) -> Inside:
        """Raises `VoiceAgentError` if the server has gone."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"measured\n")
        return Inside(**await _line(self._process, ANSWER_TIMEOUT_S))

    async def cpu_s(self) -> float:
        """Processor time so far, of all its threads."""
        times = await asyncio.to_thread(self._system.cpu_times)
        return float(times.user + times.system)

    async def rss_mb(self) -> float:
        """Resident memory in millions of bytes."""
        return float((await asyncio.to_thread(self._system.memory_info)).rss) / 1e6


@contextlib.asynccontextmanager
async def server_child(sessions: int) -> AsyncIterator[ServerChild]:
    """A server with room for so many sessions, on a free port of this machine. Raises `VoiceAgentError` if it does not start."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        str(sessions),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
    )
    try:
        facts = await _line(process, START_TIMEOUT_S)
        yield ServerChild(process, await asyncio.to_thread(psutil.Process, process.pid), facts)
    finally:
        await _end(process)


async def _line(process: asyncio.subprocess.Process, timeout_s: float) -> dict[str, Any]:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(timeout_s):
            line = await process.stdout.readline()
    except TimeoutError as error:
        raise VoiceAgentError("The server of the bench is stuck", why=f"no word from it for {timeout_s:.0f} s") from error
    if not line:
        raise VoiceAgentError("The server of the bench has ended", why=f"exit code {await process.wait()}")
    facts: dict[str, Any] = json.loads(line)
    return facts


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(END_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
