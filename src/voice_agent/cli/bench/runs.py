"""The parts of `bench conversation`, one after the other, on shared engines."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voice_agent.assembly import Assembly, cores
from voice_agent.cli.bench import footprint, hardware, judging, report
from voice_agent.cli.bench.clips import Clip, load_clips
from voice_agent.cli.bench.figures import Figure
from voice_agent.cli.bench.interruptions import Backchannel, BargeIn, backchannel, barge_in, undisturbed
from voice_agent.cli.bench.listener import listener_sounds
from voice_agent.cli.bench.simulation import simulate
from voice_agent.cli.bench.turns import VoiceTurn, voice_turn
from voice_agent.cli.output import print_line
from voice_agent.cli.starting import assembled
from voice_agent.conversation.machine import Machine
from voice_agent.conversation.settings import ConversationSettings
from voice_agent.engines.base import INPUT_RATE
from voice_agent.errors import AudioInputError
from voice_agent.settings import Settings

SILENCE_S = 20.0
SOUND_CARD_S = SILENCE_S
STARTS = 3
"""Fresh processes whose start is timed."""

ENGINES = frozenset({"v2v", "transcript", "barge-in", "backchannel", "idle", "memory"})
CLIPS = frozenset({"v2v", "transcript", "barge-in", "memory"})


@dataclass(slots=True)
class Bench:
    """`run` it, then `show` it."""

    settings: Settings
    assignments: Sequence[str]
    clips_folder: Path | None
    repeat: int
    recordings: Path | None
    quiet: bool
    figures: list[Figure] = field(default_factory=list)
    _hardware: dict[str, object] = field(default_factory=dict)
    _engines: dict[str, str] = field(default_factory=dict)
    _turns: list[VoiceTurn] = field(default_factory=list)
    _barge_ins: list[BargeIn] = field(default_factory=list)
    _backchannels: list[Backchannel] = field(default_factory=list)

    async def run(self, parts: frozenset[str]) -> None:
        """Raises `VoiceAgentError` where a part cannot be measured at all."""
        clips = await asyncio.to_thread(load_clips, self.clips_folder) if parts & CLIPS else []
        if self.recordings is not None:
            self._make_folder(self.recordings)
        load = hardware.load_average()
        self._hardware = await asyncio.to_thread(hardware.facts, cores()) | {"load_before": _rounded(load)}
        if load is not None and load > hardware.BUSY * cores():
            self._say(f"warning: the machine is busy (load {load:.1f}); the figures will be worse than its best")
        neighbours = await asyncio.to_thread(hardware.Neighbours)
        fresh = await self._starts() if parts & {"ready", "memory"} else []
        if parts & ENGINES:
            async with assembled(self.settings) as assembly:
                await self._with_engines(assembly, parts, clips, fresh)
        if "ready" in parts:
            self.figures.append(judging.readiness(fresh))
        if "hour" in parts:
            await self._hour()
        self._hardware["load_after"] = _rounded(hardware.load_average())
        self._hardware["cores_of_others"] = _rounded(await asyncio.to_thread(neighbours.cores))

    def _make_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AudioInputError(
                f"{folder} cannot be made", why=error.strerror or "", remedy="Give another folder", code="audio.unwritable"
            ) from error

    async def _with_engines(
        self, assembly: Assembly, parts: frozenset[str], clips: list[Clip], fresh: list[footprint.Readiness]
    ) -> None:
        engines = await assembly.engines()
        self._engines = engines.names()
        if clips:
            await voice_turn(assembly, clips[0], "warm-up")
        if parts & {"v2v", "transcript"}:
            await self._voice_turns(assembly, clips)
        if "barge-in" in parts:
            await self._barged_in(assembly, clips)
        if "backchannel" in parts:
            await self._listened_to(assembly)
        if "idle" in parts:
            self._say(f"A silent session, {SILENCE_S:.0f} s")
            session, card = await footprint.silent_session(assembly, SILENCE_S), await footprint.sound_card(SOUND_CARD_S)
            self.figures.append(judging.silence(session, card))
        if "memory" in parts:
            self.figures.append(judging.memory(footprint.resident_mb(), fresh[0] if fresh else None))
        # The word error rate's library comes after the memory was read.
        spoken = [judging.voice_to_voice(self._turns)] if "v2v" in parts else []
        spoken += [judging.transcripts(self._turns)] if "transcript" in parts else []
        self.figures[:0] = [figure for group in spoken for figure in group]

    async def _starts(self) -> list[footprint.Readiness]:
        self._say(f"Ready: {STARTS} fresh processes")
        return [await footprint.ready(self.assignments) for _ in range(STARTS)]

    async def _voice_turns(self, assembly: Assembly, clips: list[Clip]) -> None:
        self._say(f"Voice to voice: {len(clips)} clips, {self.repeat} times each, in real time")
        for repetition in range(self.repeat):
            for clip in clips:
                turn = await voice_turn(assembly, clip, f"{clip.name}-{repetition + 1}", self.recordings)
                self._turns.append(turn)
                self._say(report.turn_line(turn))

    async def _barged_in(self, assembly: Assembly, clips: list[Clip]) -> None:
        self._say(f"Barge-in: {len(clips)} clips over a long reply")
        for index, clip in enumerate(clips):
            run = await barge_in(assembly, clip, index, self.recordings)
            if run is not None:
                self._barge_ins.append(run)
                self._say(report.barge_in_line(run))
        self.figures += judging.barge_ins(self._barge_ins)

    async def _listened_to(self, assembly: Assembly) -> None:
        sounds = await listener_sounds()
        self._say(f'"mhm" over a long reply: {len(sounds)} sounds (espeak)')
        control = await undisturbed(assembly, max(sound.size for _, sound in sounds) / INPUT_RATE)
        for index, (name, sound) in enumerate(sounds):
            run = await backchannel(assembly, name, sound, index, control, self.recordings)
            if run is not None:
                self._backchannels.append(run)
                self._say(report.backchannel_line(run))
        self.figures += judging.backchannels(self._backchannels)

    async def _hour(self) -> None:
        machine, began = Machine(ConversationSettings()), time.perf_counter()
        events = await asyncio.to_thread(simulate, machine, minutes=60.0)
        self.figures.append(judging.simulated_hour(time.perf_counter() - began, events))

    def _say(self, text: str) -> None:
        if not self.quiet:
            print_line(text)

    def show(self, *, as_json: bool) -> None:
        """The report on stdout."""
        if as_json:
            report.print_as_json(self._hardware, self._engines, self.figures, self._turns, self._barge_ins, self._backchannels)
            return
        print_line()
        report.print_odd_turns(self._turns)
        report.print_conditions(self._hardware, self._engines)
        report.print_figures(self.figures)


def _rounded(load: float | None) -> float | None:
    return None if load is None else round(load, 2)
