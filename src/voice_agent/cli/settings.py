"""`voice-agent settings`: the effective values, and where each comes from."""

from voice_agent.cli.options import JsonOption, SetOption, settings_with
from voice_agent.cli.output import print_json, print_line, print_table


def settings(assignments: SetOption = None, as_json: JsonOption = False) -> None:
    """Show every setting: its value, where that comes from, and what it means.

    Flags win over the environment, that over .env in the working directory, that over the defaults. Secrets are not shown.
    """
    loaded = settings_with(assignments)
    rows, unknown = loaded.rows(), loaded.unknown()
    if as_json:
        fields = ("path", "environment", "value", "origin", "allowed", "description")
        print_json({"settings": [{name: getattr(row, name) for name in fields} for row in rows], "unknown": unknown})
        return
    print_table(
        ("setting", "value", "from", "meaning"),
        [(row.environment, row.value, row.origin, f"{row.description} ({row.allowed})") for row in rows],
    )
    for sentence in unknown:
        print_line(f"note: {sentence}", style="yellow")
