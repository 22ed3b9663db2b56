"""A clip is said, the agent answers: how soon, how well it heard, whether it waited for the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voice_agent.assembly import Assembly
from voice_agent.cli.bench.clips import Clip
from voice_agent.cli.bench.measure import Answer, Span, answer, audible_spans
from voice_agent.cli.bench.stage import Commit, Witness, scene

LEAD_S = 0.3
"""Silence before a clip: the session's microphone is open before the person speaks."""

ANSWER_TIMEOUT_S = 5.0
"""Later than this counts as no answer (EVA takes 3.5 s, 5 s with tools)."""

LISTEN_S = 0.3
"""Of the answer that is recorded; the rest of it is not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceTurn:
    """`transcript_s`: acoustic end of speech to the final transcript, None if none was made. Times of `commits` and `speech` are
    on the recording."""

    clip: str
    conversational: bool
    transcript: str
    heard: str
    speech: Span
    answer: Answer
    transcript_s: float | None
    commits: Sequence[Commit]
    waterfall_ms: dict[str, float]
    speculation_hit: bool
    engines: dict[str, str]


async def voice_turn(assembly: Assembly, clip: Clip, name: str, recordings: Path | None = None) -> VoiceTurn:
    """In a session of its own, in real time."""
    async with scene(assembly, name, recordings) as stage:
        await stage.pass_s(LEAD_S)
        said_at = stage.say(clip.samples)
        await stage.until(lambda: not stage.transport.is_speaking(), timeout_s=clip.samples.size / 16_000 + 1.0)
        if await stage.until(stage.answering, timeout_s=ANSWER_TIMEOUT_S):
            await stage.pass_s(LISTEN_S)
    speech = clip.speech.shifted(said_at)
    return _judged(clip, speech, answer(audible_spans(stage.tape.agent), speech), stage.witness)


def _judged(clip: Clip, speech: Span, taken: Answer, witness: Witness) -> VoiceTurn:
    # A session that ends keeps what was said completely: that is a commit, though nobody waited for it.
    finals = [commit.final_s for commit in witness.commits if commit.final_s is not None]
    report = witness.reports[-1] if witness.reports else None
    return VoiceTurn(
        clip=clip.name,
        conversational=clip.conversational,
        transcript=clip.transcript,
        heard=" ".join(commit.text for commit in witness.commits),
        speech=speech,
        answer=taken,
        transcript_s=finals[-1] - speech.end_s if finals else None,
        commits=tuple(witness.commits),
        waterfall_ms=report.waterfall_ms if report is not None else {},
        speculation_hit=report is not None and report.speculation.hit,
        engines=report.engines if report is not None else {},
    )
