"""`GET /v1/models`: the agent, and the engines behind it that are ready."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeVar

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from voice_agent.api.deps import AssemblyDep
from voice_agent.api.fields import FieldError
from voice_agent.assembly import Assembly
from voice_agent.engines.base import Engine, Ready
from voice_agent.engines.registry import EngineRegistry
from voice_agent.errors import VoiceAgentError

AGENT: Final = "voice-agent"

STARTED: Final = int(time.time())
"""`created` of every model: since when this process offers it (Unix time in seconds)."""

E = TypeVar("E", bound=Engine)

Kind = Literal["agent", "stt", "llm", "tts"]


class Model(BaseModel):
    """`kind` and `engine` are our own additions."""

    id: str = Field(examples=["kokoro-82m"])
    object: Literal["model"] = "model"
    created: int = Field(description="Unix time in seconds.", examples=[1767225600])
    owned_by: str = Field(description="The engine that runs it.", examples=["kokoro"])
    kind: Kind = Field(description="What it does: converse, or one part of that.", examples=["tts"])


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


router = APIRouter(tags=["models"])


@router.get("/v1/models", summary="List the models")
async def list_models(assembly: AssemblyDep) -> ModelList:
    """`voice-agent` is the model for `/v1/realtime`; the others are engines that are ready."""
    return ModelList(data=await _models(assembly))


@router.get("/v1/models/{model:path}", summary="Read a model")
async def read_model(
    assembly: AssemblyDep,
    model: Annotated[str, Path(description="Its id, which may hold slashes.", examples=["voice-agent"])],
) -> Model:
    """404 for a model that is not there, or not ready."""
    for found in await _models(assembly):
        if model in (found.id, found.owned_by):
            return found
    raise FieldError(
        f"The model {model[:200]!r} is not there", param="model", remedy="GET /v1/models lists those that are", code="not_found"
    )


async def _models(assembly: Assembly) -> list[Model]:
    models = {AGENT: Model(id=AGENT, created=STARTED, owned_by=AGENT, kind="agent")}
    stt, llm, tts = await asyncio.gather(_ready(assembly.stt), _ready(assembly.llm), _ready(assembly.tts))
    found: list[tuple[Kind, Sequence[Engine]]] = [("stt", stt), ("llm", llm), ("tts", tts)]
    for kind, engines in found:
        for engine in engines:
            models.setdefault(engine.model, Model(id=engine.model, created=STARTED, owned_by=engine.name, kind=kind))
    return list(models.values())


async def _ready(registry: EngineRegistry[E]) -> list[E]:
    """The engines that are ready, loaded now if they are not yet; one that does not load is not ready."""
    engines: list[E] = []
    for name, state in registry.states().items():
        if isinstance(state, Ready):
            with contextlib.suppress(VoiceAgentError):
                engines.append(await registry.get(name))
    return engines
