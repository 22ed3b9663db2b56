"""Every router of the server, in the order of the OpenAPI page."""

from fastapi import APIRouter


def routers() -> list[APIRouter]:
    return []
