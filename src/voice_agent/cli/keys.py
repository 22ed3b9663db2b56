"""`voice-agent keys`: who may use the server from elsewhere."""

import time
from typing import Annotated

import typer

from voice_agent.api.keys import Key, KeyStore
from voice_agent.cli.options import JsonOption, SetOption, settings_with
from voice_agent.cli.output import print_json, print_line, print_table

app = typer.Typer(help="Make, list and revoke the keys of the server.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", help="What it is for, such as the program or the person.")] = "",
    expires_days: Annotated[
        int | None, typer.Option("--expires-days", min=1, max=3650, help="It ends after so many days; never when not given.")
    ] = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and show it once: only its hash is kept."""
    key, text = _store(assignments).create(name[:200], expires_days=expires_days)
    if as_json:
        print_json({**_facts(key), "key": text})
        return
    print_line(text)
    typer.echo(f"Key {key.key_id}, {_end(key)}. It is not shown again; clients send it as Authorization: Bearer.", err=True)


@app.command("list")
def list_keys(assignments: SetOption = None, as_json: JsonOption = False) -> None:
    """Show every key that was made, without its text."""
    keys = _store(assignments).all()
    if as_json:
        print_json([_facts(key) for key in keys])
        return
    rows = [(key.key_id, key.state(time.time()), _date(key.created), _date(key.expires), key.name) for key in keys]
    print_table(("id", "state", "created", "expires", "name"), rows)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")],
    assignments: SetOption = None,
) -> None:
    """Make a key useless; a running server notices within a second."""
    key = _store(assignments).revoke(key_id)
    print_line(f"Key {key.key_id} is revoked")


def _store(assignments: list[str] | None) -> KeyStore:
    return KeyStore(settings_with(assignments).values.server.keys_file)


def _facts(key: Key) -> dict[str, object]:
    return {**key.model_dump(exclude={"sha256"}), "state": key.state(time.time())}


def _end(key: Key) -> str:
    return "without an end" if key.expires is None else f"good until {_date(key.expires)}"


def _date(at: int | None) -> str:
    return "" if at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
