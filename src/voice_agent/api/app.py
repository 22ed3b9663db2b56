"""Puts the server together.

request ─► border ─► site guard ─► CORS ─► key guard ─► body limit ─► routes ─► engines, sessions
           answers   Host,          browsers  who calls,   size,
           failures  Origin                   how often    pace
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from voice_agent.api.border import Border
from voice_agent.api.capacity import MACHINE_SESSIONS
from voice_agent.api.client_secrets import SecretStore
from voice_agent.api.errors import install_error_handlers
from voice_agent.api.keys import KeyStore
from voice_agent.api.limits import BodyLimit
from voice_agent.api.metrics import snapshot, watch_loop
from voice_agent.api.openapi import DESCRIPTION, install_openapi
from voice_agent.api.own.fetching import ModelFetches
from voice_agent.api.own.watching import SessionBook
from voice_agent.api.readiness import Readiness
from voice_agent.api.routes import routers
from voice_agent.api.security import Access, HostNames, KeyGuard, Origins, SiteGuard
from voice_agent.api.sessions import SessionRegistry
from voice_agent.assembly import Assembly
from voice_agent.errors import InputError
from voice_agent.settings import Settings
from voice_agent.telemetry.metrics import Metrics

VERSION = version("voice-agent")

CORS_AGE_S = 600

EXPOSED = ("Retry-After", "Content-Disposition")
"""Headers that a page of an allowed origin may read."""


def create_app(settings: Settings, assembly: Assembly, *, keys: KeyStore | None = None) -> FastAPI:
    """The server of `assembly`, whose engines it loads when it starts and ends when it stops.

    `keys` None: those of the settings' file. Raises `SettingsError` for origins that are none.
    """
    server = settings.server
    metrics, secrets = Metrics(), SecretStore()
    keys = keys if keys is not None else KeyStore(server.keys_file)
    limit = server.max_sessions or MACHINE_SESSIONS
    sessions = SessionRegistry(limit=limit, per_client=server.sessions_per_client, metrics=metrics)
    metrics.watch(partial(snapshot, assembly, sessions))
    origins = Origins(server.allowed_origins)
    app = FastAPI(
        title="voice-agent",
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,  # they load scripts of another site, which then could use this server
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        middleware=[
            Middleware(Border, metrics=metrics),
            Middleware(SiteGuard, hosts=HostNames(server), origins=origins),
            *_cors(origins),
            Middleware(KeyGuard, access=Access.of(server, keys, secrets)),
            Middleware(BodyLimit),
        ],
    )
    app.state.settings = settings
    app.state.assembly = assembly
    app.state.sessions = sessions
    app.state.keys = keys
    app.state.secrets = secrets
    app.state.metrics = metrics
    app.state.readiness = Readiness(assembly, sessions)
    app.state.book = SessionBook()
    app.state.fetches = ModelFetches(assembly)
    install_error_handlers(app)
    for router in routers():
        app.include_router(router)
    app.router.default = _nothing_here
    install_openapi(app)
    return app


def _cors(origins: Origins) -> list[Middleware]:
    if not origins.allowed:
        return []
    allowed = list(origins.allowed)
    methods, headers = (
        ["GET", "POST", "DELETE"],
        ["Authorization", "Content-Type", "OpenAI-Beta", "OpenAI-Organization", "OpenAI-Project"],
    )
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=allowed,
            allow_methods=methods,
            allow_headers=headers,
            expose_headers=EXPOSED,
            max_age=CORS_AGE_S,
        )
    ]


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Loads the engines beside the first requests."""
    try:
        async with asyncio.TaskGroup() as group:
            life = (app.state.readiness.load(), watch_loop(app.state.metrics), app.state.fetches.run())
            tasks = [group.create_task(part) for part in life]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
    finally:
        await app.state.assembly.aclose()


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    """No route fits. In the envelope for WebSockets too, whose handshake the router itself would only refuse."""
    raise InputError(f"There is nothing at {scope['path']}", code="not_found")
