"""Is it alive, and can it take a session now: for load balancers, containers and people."""

from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends, Response
from fastapi.requests import HTTPConnection
from pydantic import BaseModel, Field

from voice_agent.api.deps import SessionsDep
from voice_agent.api.readiness import Readiness


class Health(BaseModel):
    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """`reasons` tells why not, in sentences."""

    ready: bool
    reasons: list[str] = Field(examples=[["llm: no engine is ready (groq: no key, set GROQ_API_KEY)"]])
    sessions: int = Field(description="Running now.")
    limit: int = Field(description="Sessions that find room.")


def _readiness(connection: HTTPConnection) -> Readiness:
    return cast(Readiness, connection.app.state.readiness)


ReadinessDep = Annotated[Readiness, Depends(_readiness)]

router = APIRouter(tags=["operation"])


@router.get("/health", summary="Is the server alive?")
async def health() -> Health:
    """Always 200 from a process whose event loop runs."""
    return Health()


@router.get("/ready", summary="Can it take a session now?", responses={503: {"model": Ready, "description": "Not now."}})
async def ready(readiness: ReadinessDep, sessions: SessionsDep, response: Response) -> Ready:
    """200 when every kind of engine is loaded and there is room for a session, else 503 with the reasons."""
    reasons = readiness.reasons()
    if reasons:
        response.status_code = 503
    return Ready(ready=not reasons, reasons=reasons, sessions=len(sessions), limit=sessions.limit)
