"""`/metrics`, and what of a conversation becomes a number there."""

import asyncio
from collections import Counter

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from voice_agent.api.deps import MetricsDep
from voice_agent.api.sessions import SessionRegistry
from voice_agent.assembly import Assembly
from voice_agent.conversation import events as on
from voice_agent.engines.admission import lane_stats
from voice_agent.engines.base import Ready
from voice_agent.session.report import TurnReport
from voice_agent.session.session import Observed, Observer
from voice_agent.telemetry.metrics import CONTENT_TYPE, Depth, Metrics, Outcome, Snapshot

LAG_PERIOD_S = 0.25
"""The event loop's lag is measured this often; four wakes a second cost nothing."""

router = APIRouter(tags=["operation"])


@router.get("/metrics", summary="Numbers for Prometheus", response_class=PlainTextResponse)
def metrics(metrics: MetricsDep) -> Response:
    """Sessions, queues, latencies, failures, in Prometheus' text format."""
    return Response(metrics.render(), media_type=CONTENT_TYPE)  # a plain function: FastAPI runs it in a thread


def observe_session(metrics: Metrics) -> Observer:
    """An observer of one session that counts what happens in it."""

    def observe(now: float, what: Observed) -> None:
        match what:
            case TurnReport():
                _count_reply(metrics, what)
            case on.TranscriptFailed() | on.ReplyFailed():
                metrics.error(what.code)
            case _:
                pass

    return observe


def _count_reply(metrics: Metrics, report: TurnReport) -> None:
    outcome: Outcome = "failed" if report.failed else "interrupted" if report.interrupted else "heard"
    voice_ms = report.voice_to_voice_ms
    for _ in range(report.underruns):
        metrics.underrun()
    metrics.reply(
        outcome=outcome,
        stages_s={stage: ms / 1000.0 for stage, ms in report.waterfall_ms.items()},
        voice_to_voice_s=None if voice_ms is None else voice_ms / 1000.0,
        speculated=report.speculation.hit,
        drafts=report.speculation.drafts,
        wasted_tokens=report.speculation.wasted_tokens,
    )


def snapshot(assembly: Assembly, sessions: SessionRegistry) -> Snapshot:
    """What is true now. From any thread."""
    running = Counter(str(live.kind) for live in sessions)
    states: dict[tuple[str, str], bool] = {
        (kind, name): isinstance(state, Ready) for kind, engines in assembly.states().items() for name, state in engines.items()
    }
    queues = [
        Depth(
            engine=lane.engine,
            workers=lane.workers,
            waiting=lane.waiting,
            running=lane.running,
            oldest_s=lane.oldest_s,
            served=lane.served,
            waited_s=lane.waited_s,
        )
        for lane in lane_stats()
    ]
    return Snapshot(running=running, limit=sessions.limit, draining=sessions.draining, engines=states, queues=queues)


async def watch_loop(metrics: Metrics) -> None:
    """Measures for ever how late the loop wakes."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_PERIOD_S
        await asyncio.sleep(LAG_PERIOD_S)
        metrics.loop_lag(max(0.0, loop.time() - due))
