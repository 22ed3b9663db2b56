"""`voice-agent bench`: measures what the README claims, on this machine."""

import typer

from voice_agent.cli.bench.conversation import conversation
from voice_agent.cli.bench.server import server

app = typer.Typer(help="Measure this machine against the targets.", no_args_is_help=True)
app.command("conversation")(conversation)
app.command("server")(server)


@app.callback()
def bench() -> None:
    """Measure this machine against the targets."""
