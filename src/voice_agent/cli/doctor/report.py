"""The report for people and for programs."""

from collections.abc import Sequence

from voice_agent.cli.doctor.findings import Finding
from voice_agent.cli.doctor.judgement import Report
from voice_agent.cli.output import print_json, print_line, print_table

STYLES = {True: "bold green", False: "bold red"}


def print_report(report: Report, *, took_s: float) -> None:
    print_table(("what", "state", "time", "detail"), [_row(finding) for finding in report.findings])
    _print_remedies("What could be better:", report.advice)
    _print_remedies("What must be mended first (one of each kind will do):", report.needed)
    print_line(report.verdict, style=STYLES[report.possible])
    print_line(f"({took_s:.1f} s)", style="dim")


def _print_remedies(title: str, findings: Sequence[Finding]) -> None:
    if not findings:
        return
    print_line(title)
    for finding in findings:
        print_line(f"  {finding.what}: {finding.why}")
        print_line(f"    -> {finding.remedy}", style="cyan")
    print_line()


def print_facts(report: Report, *, took_s: float) -> None:
    """One object; `checks` has a line of the table each, `needed` what keeps a conversation from being possible."""
    print_json(
        {
            "possible": report.possible,
            "verdict": report.verdict,
            "serving": dict(report.serving),
            "checks": [_facts(finding) for finding in report.findings],
            "needed": _remedies(report.needed),
            "advice": _remedies(report.advice),
            "seconds": round(took_s, 2),
        }
    )


def _remedies(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [{"what": finding.what, "why": finding.why, "remedy": finding.remedy} for finding in findings]


def _row(finding: Finding) -> tuple[str, str, str, str]:
    return finding.what, finding.state.words, "" if finding.ms is None else f"{finding.ms:.0f} ms", finding.detail


def _facts(finding: Finding) -> dict[str, object]:
    return {
        "group": finding.group,
        "name": finding.name,
        "state": finding.state.value,
        "ms": None if finding.ms is None else round(finding.ms, 1),
        "detail": finding.detail,
        "why": finding.why,
        "remedy": finding.remedy,
        "hung": finding.hung,
        "facts": dict(finding.facts),
    }
