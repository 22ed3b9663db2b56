"""Who may reach the server: names it answers to, web pages it answers, keys it takes.

A web page of another site can make a browser on this machine send requests to 127.0.0.1, and a name of its own can be made to
point there (DNS rebinding). So a foreign Origin and a foreign Host are refused even where no key is needed.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from voice_agent.api.caller import Caller, is_loopback
from voice_agent.api.client_secrets import PREFIX as SECRET_PREFIX
from voice_agent.api.client_secrets import SecretStore
from voice_agent.api.keys import KeyStore
from voice_agent.api.limits import RateLimit
from voice_agent.errors import AccessError, SettingsError
from voice_agent.settings.tree import ServerSettings

REALTIME_PATH = "/v1/realtime"

KEY_SUBPROTOCOL = "openai-insecure-api-key."
"""How a browser hands over a key, for it cannot set headers of a WebSocket."""

GUARDED = ("/v1/", "/api/", "/metrics")
"""Beginnings of the paths that need a key, where keys are needed."""

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

REQUESTS_PER_MINUTE = 600
"""Of a client on another machine, unless set otherwise: ten a second is more than a person's web page ever needs."""

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]+")


def keys_required(settings: ServerSettings) -> bool:
    """Where anybody but this machine can be at the other end."""
    return bool(_why_keys(settings))


def _why_keys(settings: ServerSettings) -> str:
    """A proxy in front calls from this machine and speaks for others, so its settings count too."""
    if not is_loopback(settings.host):
        return f"{settings.host} can be reached from other machines"
    if settings.trusted_proxies or settings.allowed_hosts:
        return "SERVER_TRUSTED_PROXIES or SERVER_ALLOWED_HOSTS lets others in"
    return "SERVER_REQUIRE_KEY is on" if settings.require_key else ""


def refuse_without_keys(settings: ServerSettings, keys: KeyStore) -> None:
    """Raises `SettingsError` for a server that nobody could use and one that everybody could."""
    if keys_required(settings) and not keys.has_active():
        raise SettingsError(
            "The server does not start without a key",
            why=_why_keys(settings),
            remedy="Make one with: voice-agent keys create",
            code="access.no_keys",
        )


# ---------------------------------------------------------------- Host and Origin


class HostNames:
    """The names that the server answers to: those of this machine itself; where it is bound to more, also its name and every
    numeric address (nobody can make those point elsewhere); and `allowed_hosts`."""

    def __init__(self, settings: ServerSettings) -> None:
        self._public = not is_loopback(settings.host)
        self._names = {"localhost", settings.host.lower(), *(host.lower() for host in settings.allowed_hosts)}
        if self._public:
            name = socket.gethostname().lower()
            self._names |= {name, f"{name.partition('.')[0]}.local"}

    def __contains__(self, host: str) -> bool:
        """`host` as in the header, with or without a port."""
        name = split_host(host)[0]
        if name in self._names:
            return True
        return is_loopback(name) or (self._public and _is_address(name))


def split_host(host: str) -> tuple[str, int | None]:
    """ "[::1]:8000" as ("::1", 8000); ("", None) for what is no host."""
    try:
        parts = urlsplit(f"//{host}")
        return (parts.hostname or "", parts.port) if not (parts.username or parts.path or parts.query) else ("", None)
    except ValueError:
        return "", None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


class Origins:
    """Web pages that may use the server: its own, and those of `allowed`. Raises `SettingsError` for what is no origin."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = tuple(origin.lower().rstrip("/") for origin in allowed)
        for origin in self.allowed:
            if not _ORIGIN.fullmatch(origin):
                raise SettingsError(
                    f"SERVER_ALLOWED_ORIGINS holds {origin!r}, which is no origin",
                    remedy="Write for example https://app.example.com",
                )

    def allows(self, origin: str, *, scheme: str, host: str) -> bool:
        """`scheme` and `host` are those of the request."""
        origin = origin.lower()
        if origin in self.allowed:
            return True
        try:
            parts = urlsplit(origin)
            theirs = (parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme))
        except ValueError:
            return False
        secure, theirs_secure = scheme in ("https", "wss"), parts.scheme == "https"
        name, port = split_host(host)
        own = (name, port or DEFAULT_PORTS.get(scheme))
        return bool(parts.hostname) and secure == theirs_secure and theirs == own


class SiteGuard:
    """Refuses foreign names and foreign web pages, HTTP requests and WebSockets alike."""

    def __init__(self, app: ASGIApp, *, hosts: HostNames, origins: Origins) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            self._check(scope)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        hosts = _header(scope, b"host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            raise AccessError(
                "The server does not answer to this name",
                why="the Host header is missing or names another machine",
                remedy="Add the name to SERVER_ALLOWED_HOSTS if it is right",
                code="access.foreign_host",
            )
        for origin in _header(scope, b"origin"):
            if not self._origins.allows(origin, scheme=scope["scheme"], host=hosts[0]):
                raise AccessError(
                    "This web page may not use the server",
                    why="its origin is another",
                    remedy="Add it to SERVER_ALLOWED_ORIGINS if it may",
                    code="access.foreign_origin",
                )


# ---------------------------------------------------------------- keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What callers are checked against. `limit` None: nobody is limited."""

    required: bool
    keys: KeyStore
    secrets: SecretStore
    limit: RateLimit | None
    limit_local: bool
    """Whether callers on this machine are limited too."""

    @classmethod
    def of(cls, settings: ServerSettings, keys: KeyStore, secrets: SecretStore) -> "Access":
        return cls(
            required=keys_required(settings),
            keys=keys,
            secrets=secrets,
            limit=RateLimit(settings.requests_per_minute or REQUESTS_PER_MINUTE),
            limit_local=settings.requests_per_minute is not None,
        )

    async def caller(self, text: str, address: str, path: str) -> Caller:
        """Who calls with the key `text` ("" for none). Raises `AccessError`; failures count against the address."""
        anonymous = Caller(address=address)
        if text.startswith(SECRET_PREFIX):
            secret = self.secrets.find(text)
            if secret is None:
                self._count(anonymous)
                raise _bad_key("The client secret is unknown or has expired", "Get a new one from POST /v1/realtime/client_secrets")
            caller = Caller(address=address, key_id=secret.key_id, secret=secret)
            self._count(caller)
            if path != REALTIME_PATH:
                raise AccessError(
                    "A client secret only opens a realtime session",
                    remedy="Use a key of the server here",
                    code="access.not_allowed",
                )
            return caller
        key = await self.keys.find(text) if text else None
        caller = Caller(address=address, key_id=key.key_id) if key is not None else anonymous
        self._count(caller)
        if key is None and self.required:
            if text:
                raise _bad_key("The key is not valid", "`voice-agent keys create` makes a new one")
            raise AccessError(
                "A key is needed",
                remedy="Send it as Authorization: Bearer, `voice-agent keys create` makes one",
                code="access.no_key",
            )
        return caller

    def _count(self, caller: Caller) -> None:
        if self.limit is not None and (self.limit_local or not caller.is_local):
            self.limit.take(caller.identity)


def _bad_key(what: str, remedy: str) -> AccessError:
    return AccessError(what, remedy=remedy, code="access.bad_key")


class KeyGuard:
    """Finds out who calls, and takes the key out of the request: nothing behind this can repeat or log it."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            text = take_key(scope)
            address = (scope.get("client") or ("", 0))[0]
            path = scope["path"]
            if path.startswith(GUARDED):
                caller = await self._access.caller(text, address, path)
            else:
                caller = Caller(address=address)
            scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)


def take_key(scope: Scope) -> str:
    """The key that a request brings, "" for none, removed from its headers and subprotocols."""
    bearer, kept, offered = "", [], ""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, text = value.decode("latin-1").strip().partition(" ")
            bearer = bearer or (text.strip() if kind.lower() == "bearer" else "")
        elif name == b"sec-websocket-protocol":
            tokens = [token.strip() for token in value.decode("latin-1").split(",")]
            offered = offered or next((_key_of(token) for token in tokens if token.startswith(KEY_SUBPROTOCOL)), "")
            left = ", ".join(token for token in tokens if not token.startswith(KEY_SUBPROTOCOL))
            kept.append((name, left.encode("latin-1")))
        else:
            kept.append((name, value))
    scope["headers"] = kept
    if "subprotocols" in scope:
        scope["subprotocols"] = [token for token in scope["subprotocols"] if not token.startswith(KEY_SUBPROTOCOL)]
    return bearer or offered


def _key_of(subprotocol: str) -> str:
    return subprotocol.removeprefix(KEY_SUBPROTOCOL)


def _header(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for name, value in scope["headers"] if name == wanted]
