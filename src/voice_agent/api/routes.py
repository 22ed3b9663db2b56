"""Every router of the server, in the order of the OpenAPI page."""

from fastapi import APIRouter

from voice_agent.api import client_secrets, health, metrics


def routers() -> list[APIRouter]:
    return [client_secrets.router, health.router, metrics.router]
