"""From what `bench server` measured to figures, each with its target."""

from collections.abc import Sequence
from dataclasses import dataclass

from voice_agent.cli.bench.figures import Figure, Statistic, distribution, total

OVERHEAD_ONE_P50_MS = 150.0
OVERHEAD_MANY_P50_MS = 250.0
LAG_P99_MS = 25.0
TALKING_PERCENT = 4.0
SILENT_PERCENT = 1.0
SESSION_MB = 3.0
FIRST_AUDIO_P95_MS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """`sessions` that talked at once. `overhead_ms` holds one value for each turn that was answered, `lag_ms` and `audio_ms`
    what the server measured inside; `cores` it kept busy on average, `rss_mb` the most memory it took; `load_late_ms`: how late the
    clients sent their frames."""

    sessions: int
    turns: int
    overhead_ms: Sequence[float]
    lag_ms: Sequence[float]
    audio_ms: Sequence[float]
    cores: float
    rss_mb: float
    load_late_ms: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """`sessions` in which nobody speaks: cores kept busy while the microphones send, and while nothing is sent."""

    sessions: int
    cores: float
    cores_without_audio: float


def latencies(one: Talk, many: Talk) -> list[Figure]:
    """Overhead, the loop's lag, the first audio's way out; answers that did not come."""
    figures = [
        _overhead(one, OVERHEAD_ONE_P50_MS),
        _overhead(many, OVERHEAD_MANY_P50_MS),
        distribution(f"event loop lag, {_at(many)}", "ms", many.lag_ms, targets={"p99": LAG_P99_MS}, note="every 10 ms"),
    ]
    figures += [_first_audio(talk) for talk in (one, many)]
    turns = one.turns + many.turns
    missing = turns - len(one.overhead_ms) - len(many.overhead_ms)
    figures.append(total("turns without an answer", "turns", missing, turns, at_most=0.0))
    figures.append(distribution("frames sent late by the load", "ms", many.load_late_ms, note=f"its own share, {_at(many)}"))
    return figures


def _overhead(talk: Talk, p50_ms: float) -> Figure:
    return distribution(f"overhead, {_at(talk)}", "ms", talk.overhead_ms, targets={"p50": p50_ms})


def _first_audio(talk: Talk) -> Figure:
    targets: dict[Statistic, float] = {"p95": FIRST_AUDIO_P95_MS}
    name = f"first audio to the socket, {_at(talk)}"
    return distribution(name, "ms", talk.audio_ms, targets=targets, note="from the synthesiser")


def footprint(one: Talk, many: Talk, silence: Silence) -> list[Figure]:
    """Processor and memory of a session."""
    extra = many.sessions - one.sessions
    grown_mb = (many.rss_mb - one.rss_mb) / extra if extra else None
    return [
        total(
            "processor per talking session", "% core", _percent(many.cores, many.sessions), many.sessions, at_most=TALKING_PERCENT
        ),
        total(
            "processor per silent session",
            "% core",
            _percent(silence.cores, silence.sessions),
            silence.sessions,
            at_most=SILENT_PERCENT,
            note="microphone open, a room at -50 dBFS",
        ),
        total(
            "... that sends nothing",
            "% core",
            _percent(silence.cores_without_audio, silence.sessions),
            silence.sessions,
            note="muted",
        ),
        total("memory per extra session", "MB", grown_mb, extra, at_most=SESSION_MB, note=f"{many.rss_mb:.0f} MB in all"),
    ]


def _percent(cores: float, sessions: int) -> float:
    return 100.0 * cores / sessions


def _at(talk: Talk) -> str:
    return f"{talk.sessions} session{'s' if talk.sessions > 1 else ''}"
