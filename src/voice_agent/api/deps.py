"""What routes ask for, as typed parameters. All of them work for HTTP requests and for WebSockets."""

from typing import Annotated, TypeAlias, cast

from fastapi import Depends
from fastapi.requests import HTTPConnection

from voice_agent.api.caller import Caller
from voice_agent.api.sessions import SessionRegistry
from voice_agent.assembly import Assembly
from voice_agent.settings import Settings
from voice_agent.telemetry.metrics import Metrics


def _settings(connection: HTTPConnection) -> Settings:
    return cast(Settings, connection.app.state.settings)


def _assembly(connection: HTTPConnection) -> Assembly:
    return cast(Assembly, connection.app.state.assembly)


def _sessions(connection: HTTPConnection) -> SessionRegistry:
    return cast(SessionRegistry, connection.app.state.sessions)


def _metrics(connection: HTTPConnection) -> Metrics:
    return cast(Metrics, connection.app.state.metrics)


def _caller(connection: HTTPConnection) -> Caller:
    return cast(Caller, connection.state.caller)


SettingsDep: TypeAlias = Annotated[Settings, Depends(_settings)]
AssemblyDep: TypeAlias = Annotated[Assembly, Depends(_assembly)]
SessionsDep: TypeAlias = Annotated[SessionRegistry, Depends(_sessions)]
MetricsDep: TypeAlias = Annotated[Metrics, Depends(_metrics)]
CallerDep: TypeAlias = Annotated[Caller, Depends(_caller)]
"""Who calls; the gate has let it in."""
