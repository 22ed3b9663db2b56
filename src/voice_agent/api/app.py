"""Puts the server together: state, gate, routes."""

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_agent.api.caller import Caller
from voice_agent.api.errors import install_error_handlers
from voice_agent.api.routes import routers
from voice_agent.api.sessions import SessionRegistry
from voice_agent.assembly import Assembly
from voice_agent.settings import Settings


class _Gate:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope.setdefault("state", {})["caller"] = Caller(address=(scope.get("client") or ("", 0))[0])
        await self._app(scope, receive, send)


def create_app(settings: Settings, assembly: Assembly) -> FastAPI:
    """The server of `assembly`. The engines are the caller's to end."""
    app = FastAPI(title="voice-agent", version="0.1.0")
    app.state.settings = settings
    app.state.assembly = assembly
    app.state.sessions = SessionRegistry(limit=settings.server.max_sessions or 8, per_client=settings.server.sessions_per_client)
    install_error_handlers(app)
    for router in routers():
        app.include_router(router)
    app.add_middleware(_Gate)
    return app
