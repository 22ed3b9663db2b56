"""Every router of the server, in the order of the OpenAPI page."""

from fastapi import APIRouter

from voice_agent.api import client_secrets, health, metrics, models_list, speech, voices
from voice_agent.api.realtime import socket as realtime


def routers() -> list[APIRouter]:
    return [realtime.router, speech.router, voices.router, models_list.router, client_secrets.router, health.router, metrics.router]
