"""What a peer's script tells the test, and the person who talks to it. It runs in the peer's own environment, so it needs the
standard library only."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

BLOCK_BYTES = 1920  # 40 ms of 24 kHz PCM
PATIENCE_S = 20.0


class Task:
    """The script's only argument: {"url", "scenario", "clips": {name: path}, "tool": {"name", "output"}}."""

    def __init__(self) -> None:
        given = json.loads(sys.argv[1])
        self.url: str = given["url"]
        self.scenario: str = given["scenario"]
        self.clips = {name: Path(path).read_bytes() for name, path in given["clips"].items()}
        self.tool: dict[str, str] = given["tool"]


class Report:
    """`history` holds (role or name of the tool, text); times are monotonic seconds."""

    def __init__(self) -> None:
        self.history: list[tuple[str, str]] = []
        self.tool_runs: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.interruptions = 0
        self.truncated_ms: list[int] = []
        self.measured_s: dict[str, float] = {}
        self._told: list[tuple[float, str]] = []
        self._place = 0
        self._changed = asyncio.Event()

    def tell(self, name: str) -> None:
        self._told.append((time.monotonic(), name))
        self._changed.set()

    async def until(self, name: str) -> float:
        """When the next event of this name came."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    while self._place < len(self._told):
                        self._place += 1
                        if self._told[self._place - 1][1] == name:
                            return self._told[self._place - 1][0]
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{name} never came; told so far: {[name for _, name in self._told]}, {self.errors}") from None

    def print(self) -> None:
        names = ("history", "tool_runs", "errors", "interruptions", "truncated_ms", "measured_s")
        print(json.dumps({name: getattr(self, name) for name in names}), flush=True)


class Microphone:
    """Sends speech when there is some, silence otherwise, in real time. `say` returns when the last word was sent."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._queue: asyncio.Queue[tuple[bytes, asyncio.Future[float]]] = asyncio.Queue()

    async def say(self, pcm: bytes) -> float:
        said: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((pcm, said))
        return await said

    async def run(self) -> None:
        due, pcm, said = time.monotonic(), b"", None
        while True:
            if not pcm and not self._queue.empty():
                pcm, said = self._queue.get_nowait()
            block, pcm = pcm[:BLOCK_BYTES].ljust(BLOCK_BYTES, b"\0"), pcm[BLOCK_BYTES:]
            await self._send(block)
            due += BLOCK_BYTES / 48_000
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if said is not None and not pcm:
                said.set_result(time.monotonic())
                said = None


async def hold(scenario: str, report: Report, microphone: Microphone, write: Callable[[str], Awaitable[None]], task: Task) -> None:
    """The talks that every client holds. `report` is told "audio" when a reply's first audio comes, "interrupted", "tool", and
    "finished" when a reply has been played or cut."""
    match scenario:
        case "voice":
            ended = await microphone.say(task.clips["name"])
            report.measured_s["end of speech to first audio, embedded engines"] = await report.until("audio") - ended
            await report.until("finished")
            await write("And what is your name?")
            await report.until("audio")
            await report.until("finished")
        case "tool":
            await write("Tell me a story.")
            await report.until("audio")
            await asyncio.sleep(1.0)  # of listening
            saying = asyncio.create_task(microphone.say(task.clips["second"]))
            await report.until("interrupted")
            ended = await saying
            report.measured_s["end of speech to first audio after a barge-in"] = await report.until("audio") - ended
            await report.until("finished")
            await microphone.say(task.clips["lamp"])
            await report.until("tool")
            await report.until("audio")
            await report.until("finished")
