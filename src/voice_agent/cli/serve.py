"""`voice-agent serve`: the server, with what it runs on and how to talk to it."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voice_agent.cli.options import SetOption, settings_with
from voice_agent.cli.output import print_line, print_table
from voice_agent.cli.starting import assembled
from voice_agent.errors import SettingsError, VoiceAgentError
from voice_agent.settings import Settings

if TYPE_CHECKING:
    from uvicorn import Server

    from voice_agent.api.keys import KeyStore
    from voice_agent.assembly import Assembly


def serve(
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="Address to bind, such as 0.0.0.0 for the whole network.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port to bind; 0 takes a free one.")] = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate (PEM) for https and wss.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key (PEM).")] = None,
    tls_self_signed: Annotated[
        bool, typer.Option("--tls-self-signed", help="Make a certificate for this network, and show the address as a QR code.")
    ] = False,
    demo: Annotated[
        list[Path] | None,
        typer.Option(
            "--demo", metavar="FILE", help="When it is ready, say this sound file to it as a client would, and show it. Repeatable."
        ),
    ] = None,
    assignments: SetOption = None,
) -> None:
    """Serve the agent: OpenAI's Realtime protocol and audio routes, on this machine unless told otherwise.

    Bound to another address than this machine's own, it needs a key: `voice-agent keys create`. Ctrl-C lets running sessions
    finish; a second one ends at once.
    """
    settings = settings_with(
        assignments, server__host=host, server__port=port, server__tls_cert=tls_cert, server__tls_key=tls_key
    ).values
    if tls_self_signed:
        settings = _with_own_certificate(settings)
    from voice_agent.api.keys import KeyStore
    from voice_agent.api.security import refuse_without_keys

    keys = KeyStore(settings.server.keys_file)
    refuse_without_keys(settings.server, keys)
    from voice_agent.api.server import bind, loop_factory

    sockets = bind(settings.server.host, settings.server.port)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(settings, keys, sockets, qr=tls_self_signed, demo=demo or []))
    finally:
        for sock in sockets:
            sock.close()


def _with_own_certificate(settings: Settings) -> Settings:
    if settings.server.tls_cert is not None:
        raise SettingsError("--tls-self-signed and --tls-cert are two certificates", remedy="Give one of them")
    from voice_agent.api.tls import self_signed

    certificate = self_signed(more_names=settings.server.allowed_hosts)
    server = settings.server.model_copy(update={"tls_cert": certificate.cert, "tls_key": certificate.key})
    return settings.model_copy(update={"server": server})


async def _serve(settings: Settings, keys: "KeyStore", sockets: list[socket.socket], *, qr: bool, demo: Sequence[Path]) -> None:
    async with assembled(settings) as assembly:
        from voice_agent.api.app import create_app
        from voice_agent.api.server import make_server

        app = create_app(settings, assembly, keys=keys)
        server = make_server(app, settings.server, own_process=True)
        _tell_engines(assembly)
        _tell_addresses(settings, sockets, qr=qr, sessions=app.state.sessions.limit)
        async with asyncio.TaskGroup() as group:
            showing = group.create_task(_demonstrate(server, settings, sockets, demo)) if demo else None
            await server.serve(sockets=sockets)
            if showing is not None:
                showing.cancel()
    with contextlib.suppress(OSError):
        print_line("stopped", style="dim")


async def _demonstrate(server: "Server", settings: Settings, sockets: list[socket.socket], demo: Sequence[Path]) -> None:
    """A conversation with the server over its own socket. Whatever goes wrong with it, the server goes on."""
    from voice_agent.cli.talk import talk_to

    while not server.started and not server.should_exit:  # noqa: ASYNC110 - uvicorn tells it no other way
        await asyncio.sleep(0.02)
    scheme = "wss" if settings.server.tls_cert is not None else "ws"
    try:
        await talk_to(f"{scheme}://127.0.0.1:{sockets[0].getsockname()[1]}", demo, insecure=True)
    except VoiceAgentError as error:
        sys.stderr.write(f"warning: the demonstration ended: {error}\n")
    print_line("The server goes on; Ctrl-C ends it.", style="dim")


# ---------------------------------------------------------------- what is told at the start


def _tell_engines(assembly: "Assembly") -> None:
    """Every engine that could be used, its state, and what mends it; the first that is ready of each kind serves."""
    from voice_agent.engines.base import Fetching, Ready

    rows = []
    for kind, states in assembly.states().items():
        serves = next((name for name, state in states.items() if isinstance(state, Ready)), None)
        for name, state in states.items():
            match state:
                case Ready():
                    row = ("serves" if name == serves else "ready", state.detail)
                case Fetching():
                    row = (f"fetching {state.progress:.0%}", state.detail)
                case _:
                    row = (state.reason, state.remedy)
            rows.append((kind, name, *row))
    print_table(("kind", "engine", "state", "to get it"), rows)


def _tell_addresses(settings: Settings, sockets: list[socket.socket], *, qr: bool, sessions: int) -> None:
    from voice_agent.api.caller import is_loopback

    server = settings.server
    port = int(sockets[0].getsockname()[1])
    scheme = "https" if server.tls_cert is not None else "http"
    urls = [f"{scheme}://{_bracketed(host)}:{port}" for host in _hosts(server.host)]
    for url in urls:
        print_line(f"Listening on {url}", style="bold")
    realtime = urls[0].replace("http", "ws", 1) + "/v1/realtime"
    print_line(f"Talk to it: {realtime} (any client of the OpenAI Realtime API, base URL {urls[0]}/v1)")
    print_line(f"Up to {sessions} sessions at the same time; {urls[0]}/ready tells whether one can begin now.", style="dim")
    if qr:
        if is_loopback(server.host):
            print_line("Phones reach it when it is bound to the network: --host 0.0.0.0", style="yellow")
        else:
            _print_qr(urls[0])


def _hosts(host: str) -> list[str]:
    """Where it can be reached: all addresses of this machine where it is bound to all."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return [host]
    from voice_agent.api.tls import lan_addresses

    found = [address for address in lan_addresses() if host == "::" or ":" not in address]
    return [*found, "localhost"]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _print_qr(url: str) -> None:
    import segno

    segno.make(url, error="l").terminal(out=sys.stdout, compact=True)
    sys.stdout.flush()
