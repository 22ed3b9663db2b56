"""Every router of the server, in the order of the OpenAPI page."""

from fastapi import APIRouter

from voice_agent.api import client_secrets, health, metrics, models_list, speech, transcriptions, voices
from voice_agent.api.own import config, fetching, status
from voice_agent.api.own import sessions as own_sessions
from voice_agent.api.realtime import socket as realtime


def routers() -> list[APIRouter]:
    return [
        realtime.router,
        speech.router,
        transcriptions.router,
        voices.router,
        models_list.router,
        client_secrets.router,
        own_sessions.router,
        config.router,
        status.router,
        fetching.router,
        health.router,
        metrics.router,
    ]
