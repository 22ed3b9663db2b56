"""The way to a running server, from the client's side: one WebSocket that speaks the Realtime protocol in JSON.

Whatever goes wrong with it becomes an error that says what to do: nobody listens there, a key is needed, no room, the
certificate, the connection that broke.
"""

import asyncio
import contextlib
import logging
import re
import ssl
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.http11 import Response

from voice_agent.errors import AccessError, InputError, OverloadedError, TransportError, VoiceAgentError

PATH = "/v1/realtime"
MODEL = "voice-agent"

OPEN_TIMEOUT_S = 10.0

MAX_FRAME = 4 * 1024 * 1024
"""Bytes of one event. The server sends audio in pieces of 0.2 s, 13 kB; the largest event is a transcript."""

RETRY_S = 5.0
"""When a server that is full does not say when to come again."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}

logger = logging.getLogger(__name__)


def realtime_url(text: str) -> str:
    """`text` completed: ws://host:8000 means its realtime socket, with our extensions. Raises `InputError`."""
    try:
        parts = urlsplit(text.strip())
        known = parts.scheme in SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known:
        raise InputError(f"{text[:200]!r} is not the address of a server", remedy="Write for example ws://127.0.0.1:8000")
    path = PATH if parts.path in ("", "/", "/v1", "/v1/") else parts.path
    query = {"model": MODEL, **dict(parse_qsl(parts.query)), "extensions": "1"}
    return urlunsplit((SCHEMES[parts.scheme], parts.netloc, path, urlencode(query), ""))


class RemoteLink:
    """An open connection. `connect` makes it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def send(self, kind: str, **fields: Any) -> None:
        """One event; waits while the server does not read. What can no longer be sent is dropped: `events` tells why."""
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(orjson.dumps({"type": kind, **fields}).decode())

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """What the server sends. Raises `TransportError` when the connection ends, however it does."""
        while True:
            try:
                frame = await self._socket.recv()
            except ConnectionClosed as error:
                raise _closed(error) from error
            yield _event(frame)


@contextlib.asynccontextmanager
async def connect(url: str, *, key: str = "", insecure: bool = False) -> AsyncIterator[RemoteLink]:
    """The server at `url` (see `realtime_url`). `insecure` accepts any certificate.

    Raises `AccessError`, `OverloadedError` and `TransportError`.
    """
    try:
        socket = await open_socket(
            url,
            additional_headers={"Authorization": f"Bearer {key}"} if key else None,
            ssl=await asyncio.to_thread(_tls, insecure=insecure) if url.startswith("wss:") else None,
            compression=None,  # base64 of noise does not get smaller
            proxy=None if urlsplit(url).hostname in LOOPBACK else True,
            open_timeout=OPEN_TIMEOUT_S,
            max_size=MAX_FRAME,
            logger=logger,
        )
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, EOFError) as error:
        raise _not_opened(error, _shown(url)) from error
    try:
        yield RemoteLink(socket)
    finally:
        await socket.close()


def _tls(*, insecure: bool) -> ssl.SSLContext:
    """Reads the system's certificates: not on the loop."""
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _event(frame: str | bytes) -> dict[str, Any]:
    try:
        event = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise _strange("a frame is no JSON") from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise _strange("a frame is no event")
    return event


def _strange(why: str) -> TransportError:
    return TransportError(
        "The server does not speak the Realtime protocol", why=why, remedy="Check --url", code="transport.not_realtime"
    )


def _shown(url: str) -> str:
    """Without its query and without a password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


# ---------------------------------------------------------------- what went wrong


def _not_opened(error: Exception, server: str) -> VoiceAgentError:
    match error:
        case InvalidStatus():
            return _refused(error.response, server)
        case ssl.SSLCertVerificationError():
            return TransportError(
                f"The certificate of {server} is not trusted",
                why=error.verify_message,
                remedy="If it is your own server, add --insecure",
                code="transport.certificate",
            )
        case ssl.SSLError() | InvalidMessage() | EOFError():
            return TransportError(
                f"{server} does not answer as a server should",
                why="perhaps one side uses TLS and the other does not",
                remedy="Try wss:// in place of ws://, or the other way round",
                code="transport.not_realtime",
            )
        case TimeoutError():
            return TransportError(
                f"{server} does not answer",
                why=f"not for {OPEN_TIMEOUT_S:g} s",
                remedy=_START,
                code="transport.unreachable",
            )
        case OSError():
            return TransportError(f"{server} cannot be reached", why=_os_reason(error), remedy=_START, code="transport.unreachable")
        case _:
            return TransportError(
                f"{server} refuses the connection", why=str(error), remedy="Check --url", code="transport.not_realtime"
            )


_START = "Check --url, or start a server with: voice-agent serve"


def _os_reason(error: OSError) -> str:
    """Several addresses were tried: asyncio joins what came of each."""
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "nobody listens there"
    return error.strerror or str(error)


def _refused(response: Response, server: str) -> VoiceAgentError:
    """What the HTTP answer to the handshake says, in the OpenAI envelope where it is one."""
    message, code = _envelope(response.body)
    status = response.status_code
    if status in (401, 403):
        remedy = "" if message else "Give a key with --key or in VOICE_AGENT_KEY"
        return AccessError(message or f"{server} does not let you in", remedy=remedy, code=code or "access.denied")
    if status in (429, 503):
        retry_s = _seconds(response.headers.get("Retry-After", ""))
        return OverloadedError(
            message or f"{server} has no room now",
            remedy=f"Try again in {retry_s:g} s",
            code=code,
            retry_after_s=retry_s,
        )
    why = message or f"HTTP {status}"
    return TransportError(f"{server} opens no conversation", why=why, remedy="Check --url", code="transport.not_realtime")


def _envelope(body: bytes | bytearray | None) -> tuple[str, str | None]:
    """Message and code, "" and None where the body is something else."""
    try:
        error = orjson.loads(body or b"")["error"]
        message, code = str(error["message"])[:500], error["code"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "", None
    return message, code if isinstance(code, str) and re.fullmatch(r"[a-z_.]{1,60}", code) else None


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else RETRY_S


def _closed(error: ConnectionClosed) -> TransportError:
    told = error.rcvd
    if told is None:
        return TransportError(
            "The connection to the server was lost", why="it broke without a word", remedy="Talk again", code="transport.lost"
        )
    reason = told.reason[:200] or f"code {told.code}"
    remedy = "Talk again in a moment" if told.code in (1012, 1013) else ""
    return TransportError("The server ended the conversation", why=reason, remedy=remedy, code="transport.closed")
