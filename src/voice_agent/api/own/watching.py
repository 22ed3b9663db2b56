"""What is remembered of sessions: timings of their newest replies while they run, and of the last ones for a while afterwards.

Nothing that was said is kept here. The transcript is the session's own and goes with it.
"""

import contextlib
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from statistics import fmean

from voice_agent.api.own.feed import Feed
from voice_agent.api.own.schemas import Client, Latency, ReplyTiming, SessionState, SessionSummary, SpeculationAnswer
from voice_agent.api.sessions import LiveSession
from voice_agent.conversation import effects as do
from voice_agent.session.report import TurnReport
from voice_agent.session.session import Observed

TIMINGS_KEPT = 200
"""Replies of one session whose timing is kept: an hour of quick talk, 100 kB."""

FINISHED_KEPT = 50
"""Finished sessions that can still be read."""

RECENT = 100
"""Replies of all sessions that the mean latency is taken over."""


@dataclass(slots=True, eq=False)
class Watch:
    """What is known of one session; `observe` is its observer."""

    live: LiveSession
    recent: deque[ReplyTiming]
    """Of all sessions."""
    feed: Feed = field(default_factory=Feed)
    timings: deque[ReplyTiming] = field(default_factory=lambda: deque(maxlen=TIMINGS_KEPT))
    engines: dict[str, str] = field(default_factory=dict)
    turns: int = 0
    replies: int = 0
    state: SessionState = "listening"
    seconds: float | None = None
    """How long it lasted; None while it runs."""

    def observe(self, now: float, what: Observed) -> None:
        match what:
            case do.CommitTurn():
                self.turns += 1
            case do.ReportState():
                self.state = what.state
            case TurnReport():
                self.replies += 1
                timing = timing_of(what)
                self.timings.append(timing)
                self.recent.append(timing)
            case _:
                pass
        self.feed.tell(now, what)

    def summary(self, *, clock: Callable[[], float] = time.time) -> SessionSummary:
        live = self.live
        return SessionSummary(
            id=live.session_id,
            kind=live.kind,
            created=live.created_at,
            seconds=round(clock() - live.created_at, 3) if self.seconds is None else self.seconds,
            turns=self.turns,
            replies=self.replies,
            state=self.state,
            engines=self.engine_names(),
            client=Client(address=live.caller.address, key_id=live.caller.key_id),
            listeners=len(self.feed),
        )

    def engine_names(self) -> dict[str, str]:
        if self.live.session is not None:
            return self.live.session.engines.names()
        return self.engines

    def finish(self, seconds: float) -> None:
        """The session is over; what it holds (engines, transcript) is let go."""
        self.engines = self.engine_names()
        self.seconds, self.state = round(max(0.0, seconds), 3), "ended"
        self.live.session = None
        self.feed.close()


class SessionBook:
    """One per process."""

    def __init__(self, *, clock: Callable[[], float] = time.time, most: int = FINISHED_KEPT) -> None:
        self._clock = clock
        self._running: dict[str, Watch] = {}
        self._finished: dict[str, Watch] = {}
        self._most = most
        self._recent: deque[ReplyTiming] = deque(maxlen=RECENT)

    def __iter__(self) -> Iterator[Watch]:
        """Running ones first, the newest first."""
        return iter([*reversed(self._running.values()), *reversed(self._finished.values())])

    def get(self, session_id: str) -> Watch | None:
        return self._running.get(session_id) or self._finished.get(session_id)

    @contextlib.asynccontextmanager
    async def watch(self, live: LiveSession) -> AsyncIterator[Watch]:
        """Remembers a session from now on, and as finished when the block ends. One that never began leaves no trace."""
        watch = Watch(live, self._recent)
        self._running[live.session_id] = watch
        try:
            yield watch
        finally:
            del self._running[live.session_id]
            began = live.session is not None
            watch.finish(self._clock() - live.created_at)
            if began:
                self._finished[live.session_id] = watch
                while len(self._finished) > self._most:
                    self._finished.pop(next(iter(self._finished)))

    def engines_in_use(self) -> Counter[tuple[str, str]]:
        """(kind, engine's name) to running sessions."""
        used: Counter[tuple[str, str]] = Counter()
        for watch in self._running.values():
            used.update((kind, named.partition(" (")[0]) for kind, named in watch.engine_names().items())
        return used

    def latency(self) -> Latency:
        waits: list[float] = []
        stages: dict[str, list[float]] = {}
        for timing in self._recent:
            if timing.voice_to_voice_ms is None:
                continue
            waits.append(timing.voice_to_voice_ms)
            for stage, ms in timing.waterfall_ms.items():
                stages.setdefault(stage, []).append(ms)
        return Latency(
            replies=len(waits),
            voice_to_voice_ms=round(fmean(waits), 1) if waits else None,
            stages_ms={stage: round(fmean(values), 1) for stage, values in stages.items()},
        )


def timing_of(report: TurnReport) -> ReplyTiming:
    """A report without its words."""
    speculation = report.speculation
    return ReplyTiming(
        turn=report.turn,
        reply_id=report.reply_id,
        confidence=report.confidence,
        language=report.language,
        interrupted=report.interrupted,
        failed=report.failed,
        engines=report.engines,
        waterfall_ms=report.waterfall_ms,
        voice_to_voice_ms=report.voice_to_voice_ms,
        speculation=SpeculationAnswer(hit=speculation.hit, wasted_tokens=speculation.wasted_tokens, drafts=speculation.drafts),
    )
