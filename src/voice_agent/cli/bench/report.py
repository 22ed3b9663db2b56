"""What `bench` prints: a line for each run while it goes on, what was odd, the table at the end."""

import dataclasses
from collections.abc import Sequence

from voice_agent.cli.bench.figures import Figure
from voice_agent.cli.bench.interruptions import Backchannel, BargeIn
from voice_agent.cli.bench.judging import V2V_P50_MS
from voice_agent.cli.bench.stage import Commit
from voice_agent.cli.bench.turns import VoiceTurn
from voice_agent.cli.output import print_json, print_line, print_table

VERDICTS = {True: "pass", False: "MISS", None: ""}


# ---------------------------------------------------------------- while it runs


def turn_line(turn: VoiceTurn) -> str:
    gap, cut_in = turn.answer.gap_s, turn.answer.cut_in_s
    told = f"{gap * 1000:5.0f} ms" if gap is not None else "   no answer" if cut_in is None else "talked over the end"
    early = f"  cut in {cut_in * 1000:.0f} ms early" if cut_in is not None else ""
    words = f"{turn.transcript_s * 1000:4.0f} ms" if turn.transcript_s is not None else "never"
    return f"  {turn.clip:<22} {told}  words after {words}{early}  {turn.heard!r}"


def barge_in_line(run: BargeIn) -> str:
    told = f"silent after {run.stop_s * 1000:4.0f} ms" if run.stop_s is not None else "talked on"
    return f"  {run.clip:<22} {told}  ({_acts(run.acts)}; heard {run.heard!r})"


def backchannel_line(run: Backchannel) -> str:
    effect = run.effect
    told = "stopped" if run.stopped else f"paused {effect.gap_s * 1000:.0f} ms" if effect.audible else "talked on"
    return f"  {run.sound:<22} {told}  ({_acts(run.acts)}; heard {run.heard!r})"


def _acts(acts: Sequence[str]) -> str:
    return ", ".join(acts) or "nothing"


# ---------------------------------------------------------------- at the end


def odd_turns(turns: Sequence[VoiceTurn]) -> list[VoiceTurn]:
    """Those slower than the median should be, cut-ins, and those that were not answered."""
    return [
        turn
        for turn in turns
        if turn.answer.cut_in_s is not None or turn.answer.gap_s is None or turn.answer.gap_s * 1000.0 > V2V_P50_MS
    ]


def print_odd_turns(turns: Sequence[VoiceTurn]) -> None:
    """With what the events tell of the cause."""
    odd = odd_turns(turns)
    if not odd:
        return
    print_line("Cut-ins, slow and unanswered turns, with each commit (its time counts from the true end of speech):")
    for turn in odd:
        print_line(turn_line(turn))
        for commit in turn.commits:
            print_line(f"      {commit_line(commit, turn.speech.end_s)}")
        stages = " + ".join(f"{name} {ms:.0f}" for name, ms in turn.waterfall_ms.items())
        print_line(f"      last reply: {stages or 'none'} ({'speculated' if turn.speculation_hit else 'begun at the commit'})")
    print_line()


def commit_line(commit: Commit, end_s: float) -> str:
    hold = f"hold {commit.hold_s * 1000:.0f} ms" if commit.hold_s is not None else "no hold"
    sound = f"p {commit.probability:.2f}" if commit.probability is not None else "p unknown"
    words = f"words at {(commit.final_s - end_s) * 1000:+.0f}" if commit.final_s is not None else "no words"
    return f"commit at {(commit.at_s - end_s) * 1000:+.0f} ms: {hold}, {sound}, {words}, {commit.text!r}"


def print_figures(figures: Sequence[Figure]) -> None:
    print_table(("figure", "p50", "p95", "p99", "n", "unit", "target", "", "note"), [_row(figure) for figure in figures])


def _row(figure: Figure) -> tuple[str, ...]:
    middle = figure.value if figure.value is not None else figure.p50
    goals = [f"{'' if statistic == 'value' else statistic + ' '}≤ {limit:g}" for statistic, limit in figure.targets.items()]
    return (
        figure.name,
        _number(middle),
        _number(figure.p95),
        _number(figure.p99),
        str(figure.n),
        figure.unit,
        ", ".join(goals),
        VERDICTS[figure.passed],
        figure.note,
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def print_conditions(hardware: dict[str, object], engines: dict[str, str]) -> None:
    versions = hardware.get("versions")
    print_line(
        f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_gb']} GB, {hardware['system']}, "
        f"Python {hardware['python']}; load {hardware['load_before']} before, {hardware['load_after']} after, "
        f"other processes took {hardware['cores_of_others']} cores"
    )
    if engines:
        print_line("engines: " + ", ".join(f"{kind} {name}" for kind, name in engines.items()))
    if isinstance(versions, dict):
        print_line("versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()))


def print_as_json(
    hardware: dict[str, object],
    engines: dict[str, str],
    figures: Sequence[Figure],
    turns: Sequence[VoiceTurn],
    interruptions: Sequence[BargeIn],
    sounds: Sequence[Backchannel],
) -> None:
    """One object on one line."""
    print_json(
        {
            "hardware": hardware,
            "engines": engines,
            "figures": [dataclasses.asdict(figure) | {"passed": figure.passed} for figure in figures],
            "turns": [dataclasses.asdict(turn) for turn in turns],
            "barge_ins": [dataclasses.asdict(run) for run in interruptions],
            "backchannels": [dataclasses.asdict(run) for run in sounds],
        }
    )


def print_server_json(hardware: dict[str, object], definitions: Sequence[str], figures: Sequence[Figure]) -> None:
    """One object on one line."""
    told = [dataclasses.asdict(figure) | {"passed": figure.passed} for figure in figures]
    print_json({"hardware": hardware, "definitions": list(definitions), "figures": told})
