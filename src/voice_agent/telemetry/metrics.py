"""The process's numbers for Prometheus, in a registry of their own. Takes plain values; who knows what they mean feeds it.

Names begin with voice_agent_, times are in seconds, `_total` counts since the process began. Labels are closed sets (routes,
stages, codes of errors.py), never something that a client chose.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STAGE_BINS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 2.0, 4.0, 8.0)
"""Of one stage of a reply. Closest where good stages lie (a final in 50 to 200 ms, a first token in 100 to 400 ms, a first
clause of audio in 50 to 150 ms, a hold of 0.2 to 1.2 s); beyond 8 s everything has failed."""

VOICE_TO_VOICE_BINS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""From the end of speech to the first sample of the reply. People answer each other in 0.2 to 0.3 s; past 0.8 s it drags, past
2 s they ask whether anybody is there."""

REQUEST_BINS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Of an HTTP request: status pages in milliseconds, speech and transcripts in seconds."""

LAG_BINS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Of the event loop. 20 ms is one frame of audio: what lies above 25 ms can be heard."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
"""Label values for methods; a client may send any word."""

Outcome: TypeAlias = Literal["heard", "interrupted", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """A queue in front of engine threads; see LaneStats in engines/admission.py."""

    engine: str
    workers: int
    waiting: int
    running: int
    oldest_s: float
    served: int
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is true at the moment of a scrape. `running`: sessions by transport; `engines`: (kind, name) to ready or not."""

    running: Mapping[str, int]
    limit: int
    draining: bool
    engines: Mapping[tuple[str, str], bool]
    queues: Iterable[Depth]


class Metrics:
    """One per process. Methods are cheap and may be called from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._snapshot = _SnapshotCollector()
        self.registry.register(self._snapshot)
        ProcessCollector(namespace="voice_agent", registry=self.registry)
        self._sessions = self._counter("sessions", "Sessions that began", "transport")
        self._refused = self._counter("sessions_refused", "Sessions that found no room", "code")
        self._stages = self._histogram("stage_seconds", "Time of one stage of a reply", STAGE_BINS, "stage")
        self._voice = self._histogram(
            "voice_to_voice_seconds", "From the end of speech to the first sample of the reply", VOICE_TO_VOICE_BINS
        )
        self._replies = self._counter("replies", "Replies that are over", "outcome")
        self._speculation = self._counter("speculation", "Replies by whether they had begun before the turn ended", "result")
        self._drafts = self._counter("speculation_drafts", "Replies that were dropped before they were heard")
        self._wasted = self._counter("speculation_wasted_tokens", "Tokens of replies that were dropped")
        self._errors = self._counter("errors", "Failures by their code", "code")
        self._underruns = self._counter("underruns", "Times that a reply's audio ran out before its end")
        self._requests = self._counter("http_requests", "HTTP requests and WebSocket handshakes", "method", "route", "status")
        self._request_s = self._histogram("http_request_seconds", "Time of an HTTP request", REQUEST_BINS, "route")
        self._lag = self._histogram("event_loop_lag_seconds", "How late the event loop woke", LAG_BINS)
        self._lag_now = Gauge("voice_agent_event_loop_lag_last_seconds", "How late it woke last", registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"voice_agent_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, bins: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"voice_agent_{name}", text, labels, buckets=bins, registry=self.registry)

    # ------------------------------------------------------------ what happens

    def session_began(self, transport: str) -> None:
        self._sessions.labels(transport).inc()

    def session_refused(self, code: str) -> None:
        self._refused.labels(code).inc()

    def reply(
        self,
        *,
        outcome: Outcome,
        stages_s: Mapping[str, float],
        voice_to_voice_s: float | None,
        speculated: bool,
        drafts: int,
        wasted_tokens: int,
    ) -> None:
        """A reply is over. `speculated`: it had begun before the turn ended."""
        self._replies.labels(outcome).inc()
        for stage, seconds in stages_s.items():
            self._stages.labels(stage).observe(seconds)
        if voice_to_voice_s is not None:
            self._voice.observe(voice_to_voice_s)
        self._speculation.labels("hit" if speculated else "miss").inc()
        self._drafts.inc(drafts)
        self._wasted.inc(wasted_tokens)

    def error(self, code: str) -> None:
        """`code` of errors.py."""
        self._errors.labels(code).inc()

    def underrun(self) -> None:
        """A listener heard silence within a reply, because its audio was not there in time."""
        self._underruns.inc()

    def request(self, *, method: str, route: str, status: int, seconds: float | None) -> None:
        """`route` is the path's template. `seconds` None: a WebSocket, whose time is no measure."""
        known = method if method in METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        if seconds is not None:
            self._request_s.labels(route).observe(seconds)

    def loop_lag(self, seconds: float) -> None:
        self._lag.observe(seconds)
        self._lag_now.set(seconds)

    # ------------------------------------------------------------ telling

    def watch(self, snapshot: Callable[[], Snapshot]) -> None:
        """`snapshot` is asked at every scrape, in the thread that renders."""
        self._snapshot.source = snapshot

    def render(self) -> bytes:
        """In Prometheus' text format. Takes milliseconds: not on the loop."""
        return generate_latest(self.registry)


class _SnapshotCollector(Collector):
    """Gauges that nobody keeps: they are read when somebody asks."""

    def __init__(self) -> None:
        self.source: Callable[[], Snapshot] | None = None

    def collect(self) -> Iterator[Metric]:
        if self.source is None:
            return
        now = self.source()
        running = GaugeMetricFamily("voice_agent_sessions_running", "Sessions that run", labels=["transport"])
        for transport, count in now.running.items():
            running.add_metric([transport], count)
        yield running
        yield GaugeMetricFamily("voice_agent_sessions_limit", "Sessions that find room", value=now.limit)
        yield GaugeMetricFamily("voice_agent_draining", "1 when the server is about to stop", value=float(now.draining))
        engines = GaugeMetricFamily("voice_agent_engine_ready", "1 when it can serve a session", labels=["kind", "engine"])
        for (kind, name), ready in now.engines.items():
            engines.add_metric([kind, name], float(ready))
        yield engines
        yield from _queues(list(now.queues))


def _queues(depths: list[Depth]) -> Iterator[Metric]:
    """Lanes of one engine are added up."""
    gauges = {
        "queue_depth": ("Jobs that wait for a thread of the engine", lambda depth: depth.waiting),
        "engine_running": ("Jobs that run in the engine", lambda depth: depth.running),
        "engine_threads": ("Threads of the engine", lambda depth: depth.workers),
    }
    names = sorted({depth.engine for depth in depths})
    for name, (text, value) in gauges.items():
        family: Metric = GaugeMetricFamily(f"voice_agent_{name}", text, labels=["engine"])
        _fill(family, names, depths, value)
        yield family
    oldest = GaugeMetricFamily("voice_agent_queue_oldest_seconds", "Waiting time of the job that waits longest", labels=["engine"])
    for engine in names:
        oldest.add_metric([engine], max(depth.oldest_s for depth in depths if depth.engine == engine))
    yield oldest
    counters = {
        "queue_jobs": ("Jobs that got a thread", lambda depth: depth.served),
        "queue_wait_seconds": ("Time that they waited for it, all together", lambda depth: depth.waited_s),
    }
    for name, (text, value) in counters.items():
        family = CounterMetricFamily(f"voice_agent_{name}", text, labels=["engine"])
        _fill(family, names, depths, value)
        yield family


def _fill(family: Metric, names: list[str], depths: list[Depth], value: Callable[[Depth], float]) -> None:
    assert isinstance(family, GaugeMetricFamily | CounterMetricFamily)
    for engine in names:
        family.add_metric([engine], sum(value(depth) for depth in depths if depth.engine == engine))
