"""Runs the app on uvicorn: sockets, timeouts, and an end that lets running sessions finish.

First signal: nobody new is admitted, running sessions may go on for SERVER_DRAIN_S, then they are closed with 1012. Meanwhile
the server still answers, so that a balancer sees /ready fail and new callers are told when to come back. Second signal: the end
at once.
"""

import asyncio
import contextlib
import errno
import gc
import logging
import socket
import ssl
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import cast

import uvicorn
from fastapi import FastAPI

from voice_agent.api.http_protocol import BoundedHttpProtocol
from voice_agent.api.readiness import Readiness
from voice_agent.api.sessions import SessionRegistry
from voice_agent.errors import SettingsError
from voice_agent.settings.tree import ServerSettings

MAX_FRAME = 24 * 1024 * 1024
"""Bytes of one WebSocket message: an append of 15 MiB of audio is 20 MiB of base64, and then its JSON."""

KEEP_ALIVE_S = 15
PING_INTERVAL_S = 20.0
PING_TIMEOUT_S = 20.0
"""A phone that went out of reach is noticed after 40 s at the latest."""

CLOSING_S = 5
"""What is left when the sessions have ended (requests under way) has this long."""

BACKLOG = 256

CONNECTIONS_BESIDES_SESSIONS = 500
"""Connections that may be open for other things than sessions; past that uvicorn itself answers 503."""


class Server(uvicorn.Server):
    """uvicorn's server with a drain before its shutdown. It ends with exit code 0 on signals: they are how one stops it."""

    def __init__(
        self, config: uvicorn.Config, *, sessions: SessionRegistry, drain_s: float, freeze_when: Callable[[], bool] | None = None
    ) -> None:
        """`freeze_when` tells when all that stays for good is loaded; see `make_server`."""
        super().__init__(config)
        self._sessions = sessions
        self._drain_s = drain_s
        self._freeze_when = freeze_when
        self._signals = 0
        self._drain: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Only counts: a signal comes between any two instructions. `on_tick` looks ten times a second."""
        self._signals += 1

    async def on_tick(self, counter: int) -> bool:
        """Whether to shut down now."""
        if self._signals and self._drain is None:
            logging.getLogger(__name__).info("stopping: %d sessions may go on for %g s", len(self._sessions), self._drain_s)
            self._drain = asyncio.create_task(self._sessions.drain(self._drain_s))
        if self._freeze_when is not None and self._freeze_when():
            self._freeze_when = None
            gc.collect()
            gc.freeze()
        if self._signals > 1:
            self.force_exit = True
        if self.force_exit or (self._drain is not None and self._drain.done()):
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self._drain is not None:
            self._drain.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._drain


def make_server(app: FastAPI, settings: ServerSettings, *, level: int = logging.WARNING, own_process: bool = False) -> Server:
    """Raises `SettingsError` for a certificate that cannot be used.

    `own_process`: it is what this process is for. Once the engines are loaded, the garbage collector looks at nothing any more
    that is there by then: modules and engines are 100,000 objects, and to go through them stops every session for 50 ms.
    """
    sessions = cast(SessionRegistry, app.state.sessions)
    config = uvicorn.Config(
        app,
        http=BoundedHttpProtocol,
        ws="websockets-sansio",  # uvicorn's older adapter "websockets" is deprecated; both stand on the websockets library
        ws_per_message_deflate=False,  # base64 of noise: costs a core and saves nothing
        ws_max_size=MAX_FRAME,
        ws_ping_interval=PING_INTERVAL_S,
        ws_ping_timeout=PING_TIMEOUT_S,
        lifespan="on",
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS_BESIDES_SESSIONS + 2 * sessions.limit,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=CLOSING_S,
        server_header=False,
        access_log=False,  # border.py writes ours: without queries
        log_config=None,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    logging.getLogger("uvicorn").setLevel(max(level, logging.WARNING))  # its other lines hold addresses with their queries
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            "The certificate cannot be used",
            why=str(error),
            remedy="Check SERVER_TLS_CERT and SERVER_TLS_KEY",
            code="server.certificate",
        ) from error
    readiness = cast(Readiness, app.state.readiness)
    freeze_when = (lambda: readiness.loaded) if own_process else None
    return Server(config, sessions=sessions, drain_s=settings.drain_s, freeze_when=freeze_when)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop, where there is one."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets of every address that `host` stands for, one for IPv4 and one for IPv6. Port 0 takes a free one, the same for all.

    Raises `SettingsError` with what is in the way.
    """
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    try:
        for family, address in _addresses(host):
            try:
                sockets.append(_bound(family, address, sockets[0].getsockname()[1] if sockets else port))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                failure = error  # "localhost" stands for ::1 too, also where there is no IPv6
    except OSError as error:
        failure = error
        for sock in sockets:
            sock.close()
        sockets = []
    if not sockets and failure is not None:
        raise _cannot_bind(host, port, failure) from failure
    return sockets


def _addresses(host: str) -> Iterable[tuple[int, str]]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError as error:
        raise OSError(errno.EINVAL, "it is no name") from error
    return dict.fromkeys((int(family), str(address[0])) for family, _, _, _, address in found)


def _bound(family: int, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address != "::"))  # :: is IPv4 too
        sock.bind((address, port))
        sock.listen(BACKLOG)  # now, so that a port that is taken is told before anything is loaded
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _cannot_bind(host: str, port: int, error: OSError) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return SettingsError(
            f"Port {port} is taken",
            why="another program listens there",
            remedy="Stop it, or choose another with --port",
            code="server.port_taken",
        )
    if error.errno == errno.EACCES:
        return SettingsError(
            f"Port {port} may not be used",
            why="ports below 1024 need rights",
            remedy="Choose another with --port",
            code="server.port_denied",
        )
    return SettingsError(
        f"{host} is no address of this machine", why=error.strerror or str(error), remedy="Check --host", code="server.address"
    )
