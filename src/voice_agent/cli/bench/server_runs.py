"""The parts of `bench server`: one session talks, many talk at once, more are silent. One server process, this one is the load."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from voice_agent.assembly import cores
from voice_agent.audio.files import read_audio
from voice_agent.audio.pcm import Samples
from voice_agent.cli.bench import hardware, report
from voice_agent.cli.bench.clips import checkout
from voice_agent.cli.bench.figures import Figure
from voice_agent.cli.bench.measure import RATE, speech_bounds
from voice_agent.cli.bench.server_child import ServerChild, server_child
from voice_agent.cli.bench.server_judging import Silence, Talk, footprint, latencies
from voice_agent.cli.bench.server_load import FRAME_S, ROUND_S, SILENCE_MS, Client, Script, open_client
from voice_agent.cli.bench.server_stubs import CHAIN_S, LLM_S, STT_S, TTS_S
from voice_agent.cli.output import print_line
from voice_agent.errors import AudioInputError

SILENT_SESSIONS = 50
SILENT_S = 15.0
MUTED_S = 8.0
SETTLE_S = 2.0
"""What a change of the load stirs up is over after this."""

MEMORY_PERIOD_S = 0.25

LEAD_S = 0.2
"""Between the decision to begin and the first frame."""

QUIET_DBFS = -80.0
"""Of what follows the speech: a room behind a microphone's noise suppression. A louder one makes Silero hesitate, which is no
property of the server."""

ROOM_DBFS = -50.0
"""Of a session in which nobody speaks: a room that can be heard, so that the VAD has to look at every window."""

HOLD_NOTE = f"server_vad with {SILENCE_MS} ms of silence, which are over before the transcript is there: no hold to subtract"
DEFINITION = (
    "overhead: from the end of speech at the client to the first response.output_audio.delta there, less the stubs' "
    f"{CHAIN_S * 1000:.0f} ms (STT {STT_S * 1000:.0f}, LLM {LLM_S * 1000:.0f}, TTS {TTS_S * 1000:.0f}); "
    "64 ms of it are the silence that ends an utterance, 36 on average the grain of frames and of Silero's windows"
)


@dataclass(slots=True)
class ServerBench:
    """`run` it, then `show` it. `seconds`: how long each of the talking parts lasts, about."""

    sessions: int
    seconds: float
    clip: Path | None
    quiet: bool
    figures: list[Figure] = field(default_factory=list)
    _hardware: dict[str, object] = field(default_factory=dict)

    async def run(self) -> None:
        """Raises `VoiceAgentError` where nothing can be measured."""
        script = await asyncio.to_thread(load_script, self.clip)
        load = hardware.load_average()
        self._hardware = await asyncio.to_thread(hardware.facts, cores(), hardware.SERVER_PACKAGES)
        self._hardware["load_before"] = _rounded(load)
        if load is not None and load > hardware.BUSY * cores():
            self._say(f"warning: the machine is busy (load {load:.1f}); the figures will be worse than its best")
        neighbours = await asyncio.to_thread(hardware.Neighbours)
        most = max(self.sessions, SILENT_SESSIONS)
        async with server_child(most) as server:
            self._hardware["loop"] = server.loop
            one, many, silence = await self._measure(server, script)
        self.figures = [*latencies(one, many), *footprint(one, many, silence)]
        self._hardware["load_after"] = _rounded(hardware.load_average())
        self._hardware["cores_of_others"] = _rounded(await asyncio.to_thread(neighbours.cores))

    async def _measure(self, server: ServerChild, script: Script) -> tuple[Talk, Talk, Silence]:
        rounds = max(1, round(self.seconds / ROUND_S))
        self._say("Warm-up: one turn")
        await talking(server, script, sessions=1, rounds=1)
        self._say(f"1 session, {rounds} turns, {rounds * ROUND_S:.0f} s")
        one = await talking(server, script, sessions=1, rounds=rounds)
        self._say(f"{self.sessions} sessions that speak at the same moments, {rounds} turns each, {rounds * ROUND_S:.0f} s")
        many = await talking(server, script, sessions=self.sessions, rounds=rounds)
        self._say(f"{SILENT_SESSIONS} silent sessions, {MUTED_S + SILENT_S + 2 * SETTLE_S:.0f} s")
        return one, many, await being_silent(server, script)

    def _say(self, text: str) -> None:
        if not self.quiet:
            print_line(text)

    def show(self, *, as_json: bool) -> None:
        """The report on stdout."""
        if as_json:
            report.print_server_json(self._hardware, [DEFINITION, HOLD_NOTE], self.figures)
            return
        print_line()
        report.print_conditions(self._hardware, {})
        print_line(f"loop: {self._hardware['loop']}; {HOLD_NOTE}")
        print_line(DEFINITION)
        report.print_figures(self.figures)


def load_script(clip: Path | None) -> Script:
    """What the clients say: a clip, cut behind its last frame of speech. Blocking. Raises `AudioInputError`."""
    path = clip if clip is not None else _sample()
    samples = read_audio(path, rate=RATE)
    bounds = speech_bounds(samples)
    if bounds is None:
        raise AudioInputError(f"{path} holds no speech", remedy="Give a clip of 1 to 2 s of speech", code="audio.no_speech")
    return Script.of(samples[: round(bounds.end_s * RATE)], quiet=_noise(QUIET_DBFS), room=_noise(ROOM_DBFS))


def _noise(dbfs: float) -> Samples:
    """A second of it."""
    return np.asarray(np.random.default_rng(0).standard_normal(RATE) * 10.0 ** (dbfs / 20.0), dtype=np.float32)


def _sample() -> Path:
    root = checkout()
    if root is None:
        raise AudioInputError(
            "There is no clip to say",
            why="this is not a source checkout, and the package holds none",
            remedy="Give 1 to 2 s of speech with --clip",
            code="audio.not_found",
        )
    return root / "samples" / "name.wav"


# ---------------------------------------------------------------- the parts


async def talking(server: ServerChild, script: Script, *, sessions: int, rounds: int) -> Talk:
    """All sessions speak at the same moments, spread only over one frame; their conversations are over afterwards."""
    async with _clients(server, script, sessions) as clients:
        await server.inside()
        cpu_s, began = await server.cpu_s(), time.perf_counter()
        talks = [client.talk(_start(began, index, sessions), rounds) for index, client in enumerate(clients)]
        rss_mb = await _most_memory(server, talks)
        used_s, wall_s = await server.cpu_s() - cpu_s, time.perf_counter() - began
        inside = await server.inside()
        return Talk(
            sessions=sessions,
            turns=sum(client.turns for client in clients),
            overhead_ms=[(gap_s - CHAIN_S) * 1000.0 for client in clients for gap_s in client.gaps_s],
            lag_ms=inside.lag_ms,
            audio_ms=inside.audio_ms,
            cores=used_s / wall_s,
            rss_mb=rss_mb,
            load_late_ms=[late_s * 1000.0 for client in clients for late_s in client.late_s],
        )


async def being_silent(server: ServerChild, script: Script, sessions: int = SILENT_SESSIONS) -> Silence:
    """First without audio, then with that of a room."""
    async with _clients(server, script, sessions) as clients:
        await asyncio.sleep(SETTLE_S)
        muted = await _share(server, MUTED_S)
        began, frames = time.perf_counter(), round((SILENT_S + 2 * SETTLE_S) / FRAME_S)
        async with asyncio.TaskGroup() as group:
            for index, client in enumerate(clients):
                group.create_task(client.be_silent(_start(began, index, sessions), frames))
            await asyncio.sleep(SETTLE_S)
            share = await _share(server, SILENT_S)
        return Silence(sessions=sessions, cores=share, cores_without_audio=muted)


def _start(began: float, index: int, sessions: int) -> float:
    """Microphones do not tick together: their frames are spread over the 20 ms of one."""
    return began + LEAD_S + index * FRAME_S / sessions


async def _share(server: ServerChild, seconds: float) -> float:
    """Cores that the server keeps busy."""
    cpu_s, began = await server.cpu_s(), time.perf_counter()
    await asyncio.sleep(seconds)
    return (await server.cpu_s() - cpu_s) / (time.perf_counter() - began)


@contextlib.asynccontextmanager
async def _clients(server: ServerChild, script: Script, sessions: int) -> AsyncIterator[list[Client]]:
    clients = [await open_client(server.port, script) for _ in range(sessions)]
    try:
        async with asyncio.TaskGroup() as group:
            listening = [group.create_task(client.listen()) for client in clients]
            yield clients
            for task in listening:
                task.cancel()
    finally:
        for client in clients:
            await client.socket.close()


async def _most_memory(server: ServerChild, talks: Sequence[Coroutine[Any, Any, None]]) -> float:
    """Carries the talks out; the most memory that the server took meanwhile, in MB."""
    most_mb = await server.rss_mb()
    async with asyncio.TaskGroup() as group:
        running = {group.create_task(talk) for talk in talks}
        while running:
            _, running = await asyncio.wait(running, timeout=MEMORY_PERIOD_S)
            most_mb = max(most_mb, await server.rss_mb())
    return most_mb


def _rounded(load: float | None) -> float | None:
    return None if load is None else round(load, 2)
