"""From what was measured to figures, each with its target (those of the README)."""

from collections.abc import Sequence

from voice_agent.cli.bench.figures import Figure, distribution, share, total
from voice_agent.cli.bench.footprint import Readiness
from voice_agent.cli.bench.interruptions import Backchannel, BargeIn
from voice_agent.cli.bench.normalise import normalise
from voice_agent.cli.bench.turns import VoiceTurn

V2V_P50_MS, V2V_P95_MS = 700.0, 1300.0
CUT_INS_PERCENT = 10.0
TRANSCRIPT_P50_MS = 250.0
WER_PERCENT = 8.0
BARGE_IN_P50_MS = 350.0
HOUR_S = 5.0
SILENCE_PERCENT = 2.0
MEMORY_MB = 700.0
READY_S = 3.0


def voice_to_voice(turns: Sequence[VoiceTurn]) -> list[Figure]:
    """All clips, then the conversational ones."""
    figures: list[Figure] = []
    for label, some in _groups(turns):
        gaps = [turn.answer.gap_s * 1000.0 for turn in some if turn.answer.gap_s is not None]
        cut_ins = [turn for turn in some if turn.answer.cut_in_s is not None]
        unanswered = [turn for turn in some if turn.answer.gap_s is None and turn.answer.cut_in_s is None]
        spoken_over = len(some) - len(gaps) - len(unanswered)
        note = ", ".join(
            f"{count} {what}" for count, what in ((len(unanswered), "unanswered"), (spoken_over, "talked over the end")) if count
        )
        figures.append(
            distribution(f"voice to voice, {label}", "ms", gaps, targets={"p50": V2V_P50_MS, "p95": V2V_P95_MS}, note=note)
        )
        clips = sorted({turn.clip for turn in cut_ins})
        figures.append(share(f"cut-ins, {label}", len(cut_ins), len(some), at_most=CUT_INS_PERCENT, note=", ".join(clips)))
    return figures


def transcripts(turns: Sequence[VoiceTurn]) -> list[Figure]:
    """Time and word errors."""
    figures: list[Figure] = []
    for label, some in _groups(turns):
        delays = [turn.transcript_s * 1000.0 for turn in some if turn.transcript_s is not None]
        missing = len(some) - len(delays)
        note = f"{missing} without" if missing else ""
        figures.append(distribution(f"final transcript, {label}", "ms", delays, targets={"p50": TRANSCRIPT_P50_MS}, note=note))
        goal = WER_PERCENT if label == "conversational" else None
        errors, words = word_errors([(turn.transcript, turn.heard) for turn in some])
        figures.append(
            total(f"word errors, {label}", "%", 100.0 * errors / words if words else None, words, at_most=goal, note="n: words")
        )
    return figures


def word_errors(pairs: Sequence[tuple[str, str]]) -> tuple[int, int]:
    """Substitutions, deletions and insertions over all (reference, heard) pairs, and the words of the references."""
    import jiwer

    plain = [(normalise(reference), normalise(heard)) for reference, heard in pairs]
    if not plain:
        return 0, 0
    found = jiwer.process_words([reference for reference, _ in plain], [heard for _, heard in plain])
    return (
        found.substitutions + found.deletions + found.insertions,
        found.substitutions + found.deletions + found.hits,
    )


def barge_ins(runs: Sequence[BargeIn]) -> list[Figure]:
    stops = [run.stop_s * 1000.0 for run in runs if run.stop_s is not None]
    talked_on = sorted(run.clip for run in runs if run.stop_s is None)
    return [
        distribution("barge-in to silence", "ms", stops, targets={"p50": BARGE_IN_P50_MS}),
        share("barge-ins that the agent talked over", len(talked_on), len(runs), at_most=0.0, note=", ".join(talked_on)),
    ]


def backchannels(runs: Sequence[Backchannel]) -> list[Figure]:
    stopped = [run.sound for run in runs if run.stopped]
    paused = [run.sound for run in runs if run.effect.audible and not run.stopped]
    return [
        total('"mhm" that stopped the agent', "sounds", len(stopped), len(runs), at_most=0.0, note=", ".join(stopped)),
        total("... that only made it pause > 100 ms", "sounds", len(paused), len(runs), note=", ".join(paused)),
    ]


def simulated_hour(seconds: float, events: int) -> Figure:
    return total("an hour of conversation in the core", "s", seconds, 1, at_most=HOUR_S, note=f"{events:,} events")


def silence(share_of_core: float, sound_card: float) -> Figure:
    note = f"{100.0 * sound_card:.1f} of it the simulated sound card"
    return total("silent session", "% core", 100.0 * share_of_core, 1, at_most=SILENCE_PERCENT, note=note)


def memory(megabytes: float, fresh: Readiness | None) -> Figure:
    note = f"after conversations; {fresh.rss_mb:.0f} MB in a fresh process" if fresh is not None else "after conversations"
    return total("memory with all engines loaded", "MB", megabytes, 1, at_most=MEMORY_MB, note=note)


def readiness(starts: Sequence[Readiness]) -> Figure:
    return distribution(
        "ready after process start", "s", [start.seconds for start in starts], targets={"p50": READY_S}, note="weights cached"
    )


def _groups(turns: Sequence[VoiceTurn]) -> list[tuple[str, list[VoiceTurn]]]:
    conversational = [turn for turn in turns if turn.conversational]
    both = [("all clips", list(turns))]
    return [*both, ("conversational", conversational)] if conversational else both
