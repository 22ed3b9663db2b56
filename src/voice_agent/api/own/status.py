"""`/api/status`: every engine, the queues before them, how fast replies come, the machine."""

import asyncio
import os
import platform
import time
from collections import Counter
from typing import Literal

import psutil
from fastapi import APIRouter

from voice_agent.api.capacity import memory_bytes, processors
from voice_agent.api.deps import AssemblyDep, SessionsDep, SettingsDep
from voice_agent.api.own.config import VERSION
from voice_agent.api.own.fetching import FetchesDep
from voice_agent.api.own.schemas import EngineStatus, Hardware, KindStatus, Queue, StatusAnswer
from voice_agent.api.own.sessions import BookDep
from voice_agent.assembly import EMBEDDED_MODELS, Assembly
from voice_agent.engines.admission import LaneStats, lane_stats
from voice_agent.engines.base import EngineKind, EngineState, Fetching, Ready, Unavailable
from voice_agent.settings import Settings

STARTED_AT = time.monotonic()

router = APIRouter(tags=["configuration"])


@router.get("/api/status", summary="Engines, queues, latency, machine")
async def read_status(
    assembly: AssemblyDep, sessions: SessionsDep, settings: SettingsDep, book: BookDep, fetches: FetchesDep
) -> StatusAnswer:
    """For people who look after the server and for dashboards; `/metrics` has the same as numbers over time."""
    used = book.engines_in_use()
    weights = weights_of(settings, set(assembly.store.catalogue.names()))
    lanes, machine = await asyncio.gather(asyncio.to_thread(_lanes), asyncio.to_thread(_hardware))
    return StatusAnswer(
        version=VERSION,
        uptime_s=round(time.monotonic() - STARTED_AT, 1),
        sessions=len(sessions),
        limit=sessions.limit,
        draining=sessions.draining,
        engines=[
            KindStatus(kind=kind, engines=_engines(kind, states, assembly, used, weights, lanes))
            for kind, states in assembly.states().items()
        ],
        latency=book.latency(),
        fetches=fetches.status(),
        hardware=machine,
    )


def weights_of(settings: Settings, known: set[str]) -> dict[str, str]:
    """Engine to its model in the catalogue, where it has one."""
    wanted = {
        **EMBEDDED_MODELS,
        "local": settings.local.model,
        "faster-whisper": f"whisper-{settings.stt.model}",
        "kokoro": "kokoro-82m",
    }
    return {engine: model for engine, model in wanted.items() if model in known}


def _engines(
    kind: EngineKind,
    states: dict[str, EngineState],
    assembly: Assembly,
    used: Counter[tuple[str, str]],
    weights: dict[str, str],
    lanes: dict[str, Queue],
) -> list[EngineStatus]:
    loaded = assembly.loaded(kind)
    serves = next((name for name, state in states.items() if isinstance(state, Ready)), None)
    told = []
    for name, state in states.items():
        progress = state.progress if isinstance(state, Fetching) else None
        told.append(
            EngineStatus(
                name=name,
                model=loaded[name].model if name in loaded else None,
                state=_word(state),
                detail="" if isinstance(state, Unavailable) else state.detail,
                progress=progress,
                reason=state.reason if isinstance(state, Unavailable) else "",
                remedy=state.remedy if isinstance(state, Unavailable) else "",
                weights=weights.get(name),
                serves=name == serves,
                sessions=used[(kind, name)],
                queue=lanes.get(name),
            )
        )
    return told


def _word(state: EngineState) -> Literal["ready", "fetching", "unavailable"]:
    match state:
        case Ready():
            return "ready"
        case Fetching():
            return "fetching"
        case Unavailable():
            return "unavailable"


def _lanes() -> dict[str, Queue]:
    """By engine; lanes of one engine are added up. Takes their locks, so not on the loop."""
    found: dict[str, list[LaneStats]] = {}
    for lane in lane_stats():
        found.setdefault(lane.engine, []).append(lane)
    return {engine: _queue(lanes) for engine, lanes in found.items()}


def _queue(lanes: list[LaneStats]) -> Queue:
    served = sum(lane.served for lane in lanes)
    return Queue(
        threads=sum(lane.workers for lane in lanes),
        running=sum(lane.running for lane in lanes),
        waiting=sum(lane.waiting for lane in lanes),
        oldest_s=round(max(lane.oldest_s for lane in lanes), 3),
        mean_wait_ms=round(sum(lane.waited_s for lane in lanes) * 1000.0 / served, 1) if served else 0.0,
    )


def _hardware() -> Hardware:
    """Asks the system: not on the loop."""
    return Hardware(
        system=platform.platform(terse=True),
        processors=processors(),
        memory_bytes=memory_bytes(),
        memory_available_bytes=min(memory_bytes(), int(psutil.virtual_memory().available)),
        process_bytes=int(psutil.Process().memory_info().rss),
        load_average=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    )
