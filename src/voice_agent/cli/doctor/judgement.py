"""From findings to a verdict: who serves, whether a conversation is possible, what to mend. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from voice_agent.cli.doctor.findings import Finding, Group, State

KINDS: dict[Group, str] = {
    "vad": "voice activity detector",
    "stt": "speech recogniser",
    "turn": "turn detector",
    "llm": "language model",
    "tts": "voice",
}
"""The kinds of engines, in the words of the verdict."""

NEEDED: tuple[Group, ...] = ("vad", "stt", "llm", "tts")
"""A conversation works without a turn detector: silence and words decide then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`serving`: kind to the engine that a new session would begin with. `needed`: what must be mended before a conversation is
    possible; one of each kind will do. `advice`: what else is not the best and can be mended."""

    findings: tuple[Finding, ...]
    serving: dict[Group, str]
    possible: bool
    verdict: str
    needed: tuple[Finding, ...]
    advice: tuple[Finding, ...]

    @property
    def hung(self) -> bool:
        return any(finding.hung for finding in self.findings)


def judge(findings: Sequence[Finding]) -> Report:
    """Engines of one kind stand in their order of preference."""
    seen = [finding for kind in KINDS for finding in _ranked(kind, findings)]
    seen += [finding for finding in findings if finding.group not in KINDS]
    serving = {kind: name for kind in KINDS if (name := _serving(kind, seen)) is not None}
    lacking = [kind for kind in NEEDED if kind not in serving]
    blocking = [finding for finding in seen if finding.blocks]
    possible = not lacking and not blocking
    mendable = [finding for finding in seen if _matters(finding, serving, seen)]
    needed = tuple(finding for finding in mendable if finding.blocks or finding.group in lacking)
    return Report(
        findings=tuple(seen),
        serving=serving,
        possible=possible,
        verdict=_possible(serving) if possible else _impossible(lacking, blocking, seen),
        needed=needed,
        advice=tuple(finding for finding in mendable if finding not in needed),
    )


def _engines(kind: Group, findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.group == kind and not finding.blocks]


def _ranked(kind: Group, findings: Sequence[Finding]) -> list[Finding]:
    """The kind's findings; the engine that serves is not the best where a better one does not work."""
    ranked: list[Finding] = []
    engines = _engines(kind, findings)
    for place, finding in enumerate(engines):
        better = engines[:place]
        if finding.state is State.OK and better and not any(engine.works for engine in better):
            names = " and ".join(engine.name for engine in better)
            finding = replace(finding, state=State.NOT_THE_BEST, why=f"it stands in for {names}")
        ranked.append(finding)
    return ranked + [finding for finding in findings if finding.group == kind and finding.blocks]


def _serving(kind: Group, findings: Iterable[Finding]) -> str | None:
    return next((finding.name for finding in _engines(kind, findings) if finding.works), None)


def _matters(finding: Finding, serving: dict[Group, str], findings: Sequence[Finding]) -> bool:
    """An engine that is not here, behind one that works, is nothing to mend; one that is here and fails is."""
    if finding.state is State.OK or not finding.remedy:
        return False
    if finding.state is State.FAILED or finding.group not in serving:
        return True
    names = [engine.name for engine in _engines(finding.group, findings)]
    return names.index(finding.name) <= names.index(serving[finding.group])


def _possible(serving: dict[Group, str]) -> str:
    return "A conversation is possible, with " + ", ".join(serving.values()) + "."


def _impossible(lacking: Sequence[Group], blocking: Sequence[Finding], findings: Sequence[Finding]) -> str:
    reasons = [f"no {KINDS[kind]} works ({_of_each(kind, findings)})" for kind in lacking]
    reasons += [finding.why for finding in blocking]
    return f"A conversation is not possible: {'; '.join(reasons)}."


def _of_each(kind: Group, findings: Sequence[Finding]) -> str:
    return "; ".join(f"{engine.name}: {engine.why}" for engine in _engines(kind, findings)) or "none is set"
