"""Every engine of the settings, loaded and probed: all that are ready, not only those that a session would begin with."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

from voice_agent.assembly import Assembly, session_settings
from voice_agent.cli.doctor.answering import probe_llm, question
from voice_agent.cli.doctor.bounded import bounded, checked, failure
from voice_agent.cli.doctor.findings import Finding, State
from voice_agent.cli.doctor.hearing import probe_stt, probe_turn, probe_vad
from voice_agent.cli.doctor.speaking import Heard, Voice, hear, probe_tts
from voice_agent.engines.base import (
    Engine,
    EngineKind,
    Fetching,
    LlmModel,
    Ready,
    SttModel,
    SupportsWarmUp,
    TtsModel,
    TurnDetector,
    Unavailable,
    VadModel,
)
from voice_agent.engines.registry import EngineRegistry
from voice_agent.errors import InputError, VoiceAgentError
from voice_agent.settings import Settings

E = TypeVar("E", bound=Engine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds after which a step counts as hung.

    `load_s`: a Whisper of 3 GB comes from a slow disk in 30 s. `probe_s`: each probe takes under a second where all is well.
    `answer_s`: a local model of 7 billion parameters gives 40 tokens in 15 s on four cores.
    """

    load_s: float = 60.0
    probe_s: float = 15.0
    answer_s: float = 30.0


PATIENCE = Patience()


@dataclass(slots=True)
class Candidates(Generic[E]):
    """The engines of one kind in order: those that are loaded, and the findings of all that are judged."""

    kind: EngineKind
    names: tuple[str, ...] = ()
    loaded: dict[str, E] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)

    def in_order(self) -> list[Finding]:
        return [self.findings[name] for name in self.names]

    async def probe(self, probe: Callable[[str, E], Coroutine[Any, Any, Finding]], within_s: float) -> None:
        """One after the other: each figure is that of an engine that has the machine to itself."""
        for name, engine in self.loaded.items():
            self.findings[name] = await checked(self.kind, name, partial(probe, name, engine), within_s)


async def check_engines(assembly: Assembly, patience: Patience) -> list[Finding]:
    """Findings of every engine of the settings, each kind in its order of preference. Raises nothing."""
    async with asyncio.TaskGroup() as group:
        vad = group.create_task(_load("vad", assembly.vad, patience))
        stt = group.create_task(_load("stt", assembly.stt, patience))
        turn = group.create_task(_load("turn", assembly.turn, patience))
        llm = group.create_task(_load("llm", assembly.llm, patience))
        tts = group.create_task(_load("tts", assembly.tts, patience))
    spoken, heard = await _probe_voices(tts.result(), assembly.settings, patience)
    listened = await _probe_listeners(vad.result(), stt.result(), turn.result(), heard, assembly.settings, patience)
    answered = await _probe_llms(llm.result(), assembly.settings, patience)
    return [*listened, *answered, *spoken]


async def _load(kind: EngineKind, registry: EngineRegistry[E] | None, patience: Patience) -> Candidates[E]:
    """Loads all that are ready, at the same time."""
    candidates: Candidates[E] = Candidates(kind=kind, names=registry.names() if registry is not None else ())
    if registry is not None:
        await asyncio.gather(*(_load_one(candidates, registry, name, patience) for name in candidates.names))
        candidates.loaded = {name: candidates.loaded[name] for name in candidates.names if name in candidates.loaded}
    return candidates


async def _load_one(candidates: Candidates[E], registry: EngineRegistry[E], name: str, patience: Patience) -> None:
    try:
        state = await bounded(asyncio.to_thread(registry.state, name), patience.load_s)  # it may look at a slow disk
        if isinstance(state, Ready):
            candidates.loaded[name] = await bounded(_ready(registry, name), patience.load_s)
        else:
            candidates.findings[name] = _not_ready(candidates.kind, name, state)
    except Exception as error:  # noqa: BLE001 - as in `checked`: an engine that cannot be loaded is a finding
        candidates.findings[name] = failure(candidates.kind, name, error)


async def _ready(registry: EngineRegistry[E], name: str) -> E:
    engine = await registry.get(name)
    await _warm_up(engine)
    return engine


async def _warm_up(engine: object) -> None:
    if isinstance(engine, SupportsWarmUp):
        await engine.warm_up()


def _not_ready(kind: EngineKind, name: str, state: Fetching | Unavailable) -> Finding:
    match state:
        case Fetching():
            why, remedy = f"its weights are being fetched, {state.progress:.0%}", "Wait for the fetch to end"
        case Unavailable():
            why, remedy = state.reason, state.remedy
    return Finding(group=kind, name=name, state=State.UNAVAILABLE, detail=why, why=why, remedy=remedy)


async def _probe_voices(voices: Candidates[TtsModel], settings: Settings, patience: Patience) -> tuple[list[Finding], Heard | None]:
    """The findings, and the phrase as the first voice that works speaks it."""
    voice = Voice(voice=settings.tts.voice, language=settings.tts.language or "en")
    await voices.probe(lambda name, engine: probe_tts(name, engine, voice), patience.probe_s)
    heard = await _first_heard(voices, patience)
    working = [engine for name, engine in voices.loaded.items() if voices.findings[name].works]
    return [*voices.in_order(), *_voice_that_nobody_has(settings.tts.voice, working)], heard


async def _first_heard(voices: Candidates[TtsModel], patience: Patience) -> Heard | None:
    for name, engine in voices.loaded.items():
        if not voices.findings[name].works:
            continue
        try:
            return await bounded(hear(name, engine), patience.probe_s)
        except VoiceAgentError:
            continue  # it may not speak English; the next may
        except Exception as error:  # noqa: BLE001 - as in `checked`
            voices.findings[name] = failure("tts", name, error)
    return None


def _voice_that_nobody_has(voice: str | None, working: Sequence[TtsModel]) -> list[Finding]:
    """A session would refuse to begin with it."""
    if voice is None or not working:
        return []
    refusals: list[InputError] = []
    for engine in working:
        try:
            engine.check_voice(voice)
        except InputError as error:
            refusals.append(error)
        else:
            return []
    why = f"no engine that works knows the voice {voice!r}"
    return [replace(failure("tts", "voice", refusals[0]), detail=why, why=why, blocks=True)]


async def _probe_listeners(
    vad: Candidates[VadModel],
    stt: Candidates[SttModel],
    turn: Candidates[TurnDetector],
    heard: Heard | None,
    settings: Settings,
    patience: Patience,
) -> list[Finding]:
    thresholds = session_settings(settings).listening.segmentation
    await vad.probe(lambda name, engine: probe_vad(name, engine, heard, thresholds), patience.probe_s)
    await stt.probe(lambda name, engine: probe_stt(name, engine, heard), patience.probe_s)
    await turn.probe(lambda name, engine: probe_turn(name, engine, heard), patience.probe_s)
    return [*vad.in_order(), *stt.in_order(), *turn.in_order()]


async def _probe_llms(llm: Candidates[LlmModel], settings: Settings, patience: Patience) -> list[Finding]:
    request = question(settings.conversation.instructions, temperature=settings.llm.temperature)
    await llm.probe(lambda name, engine: probe_llm(name, engine, request), patience.answer_s)
    return llm.in_order()
