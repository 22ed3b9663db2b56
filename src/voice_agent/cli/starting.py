"""What commands do before a conversation: settings, weights, logging, engines."""

import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from voice_agent.errors import ModelError
from voice_agent.settings import Settings

if TYPE_CHECKING:
    from voice_agent.assembly import Assembly


@contextlib.asynccontextmanager
async def assembled(settings: Settings) -> "AsyncIterator[Assembly]":
    """The process's engines, with the embedded weights fetched if they are missing (progress on stderr). Ends them."""
    from voice_agent.assembly import Assembly
    from voice_agent.cli.fetching import reporting
    from voice_agent.models import ModelStore, default_root

    logging.basicConfig(level=settings.log.level.upper(), stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    root = Path(settings.models.dir) if settings.models.dir else default_root()
    store = ModelStore(root, hub_url=settings.models.hub_url, offline=settings.models.offline)
    assembly = Assembly(settings, store)
    missing = assembly.missing_models()
    if missing and settings.models.auto_fetch and not settings.models.offline:
        with reporting(sys.stderr) as report:
            try:
                await assembly.fetch(missing, report)
            except ModelError as error:
                # Other engines may do; if none does, the choice of engines says which and why.
                sys.stderr.write(f"warning: {error}\n")
    try:
        yield assembly
    finally:
        await assembly.aclose()
