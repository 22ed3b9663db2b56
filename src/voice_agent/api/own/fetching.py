"""Weights that are fetched while the server runs: `POST /api/models/{name}/fetch`, one model after the other."""

import asyncio
import logging
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Path, Response
from fastapi.requests import HTTPConnection

from voice_agent.api.deps import AssemblyDep
from voice_agent.api.errors import known_error
from voice_agent.api.openapi import ErrorAnswer
from voice_agent.api.own.schemas import FetchStatus
from voice_agent.assembly import Assembly
from voice_agent.errors import AccessError, InputError
from voice_agent.models import ModelState
from voice_agent.models.progress import ignore

logger = logging.getLogger(__name__)


class ModelFetches:
    """`run` is a task of the server's life. At most one entry for each name of the catalogue."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._wanted: asyncio.Queue[str] = asyncio.Queue(maxsize=len(assembly.store.catalogue.models))
        self._fetching: set[str] = set()
        self._failed: dict[str, str] = {}

    def start(self, name: str) -> None:
        """Fetches `name` when those before it are there; does nothing where it is on its way."""
        if name not in self._fetching:
            self._fetching.add(name)
            self._failed.pop(name, None)
            self._wanted.put_nowait(name)

    async def run(self) -> None:
        """For ever."""
        while True:
            name = await self._wanted.get()
            try:
                await self._assembly.fetch([name], ignore)
            except Exception as error:  # whatever happens to one model, the server goes on
                known = known_error(error)
                if known is None:
                    logger.exception("fetching %s failed", name)
                self._failed[name] = str(known) if known is not None else "It failed; the server's log has the details."
            finally:
                self._fetching.discard(name)

    def status(self) -> list[FetchStatus]:
        """Of what is on its way, and of what did not come."""
        names = sorted({*self._fetching, *self._assembly.progress, *self._failed})
        return [self.status_of(name) for name in names]

    def status_of(self, name: str) -> FetchStatus:
        """`name` is fetched now, has failed, or else is there."""
        progress = self._assembly.progress.get(name)
        if name not in self._fetching and progress is None:
            failed = self._failed.get(name, "")
            return FetchStatus(model=name, state="failed" if failed else "present", failed=failed)
        if progress is None:
            return FetchStatus(model=name, state="fetching", phase="waiting", progress=0.0)
        return FetchStatus(
            model=name,
            state="fetching",
            phase=progress.phase,
            progress=min(1.0, progress.bytes_done / max(1, progress.bytes_total)),
            bytes_done=progress.bytes_done,
            bytes_total=progress.bytes_total,
            source=progress.source,
        )


def _fetches(connection: HTTPConnection) -> ModelFetches:
    return cast(ModelFetches, connection.app.state.fetches)


FetchesDep = Annotated[ModelFetches, Depends(_fetches)]

router = APIRouter(tags=["configuration"])


@router.post(
    "/api/models/{name}/fetch",
    summary="Fetch a model's weights",
    status_code=202,
    responses={
        200: {"model": FetchStatus, "description": "They are there already."},
        202: {"description": "They are on their way; `/api/status` tells how far."},
        404: {"model": ErrorAnswer, "description": "The catalogue has no model of this name."},
        403: {"model": ErrorAnswer, "description": "Fetching is switched off (MODELS_OFFLINE)."},
    },
)
async def fetch_model(
    name: Annotated[str, Path(max_length=100, description="As `voice-agent models list` shows it.", examples=["whisper-base"])],
    assembly: AssemblyDep,
    fetches: FetchesDep,
    response: Response,
) -> FetchStatus:
    """Sessions that begin when they have come use them. Asking twice does no harm."""
    store = assembly.store
    if name not in store.catalogue.names():
        known = ", ".join(store.catalogue.names())
        raise InputError(f"There is no model named {name!r}", remedy=f"Known models: {known}", code="not_found")
    if await asyncio.to_thread(store.state, name) is ModelState.PRESENT:
        response.status_code = 200
        return FetchStatus(model=name, state="present", progress=1.0)
    if store.offline:
        raise AccessError(
            f"{name} is not on this machine, and fetching is switched off", remedy="Unset MODELS_OFFLINE", code="model.offline"
        )
    fetches.start(name)
    return fetches.status_of(name)
