"""An app on a real socket, in the loop of the test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from voice_agent.api.server import bind, make_server
from voice_agent.settings.tree import ServerSettings


@contextlib.asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """Its address, such as "http://127.0.0.1:41234". It listens at once and answers when it has started."""
    (sock,) = bind("127.0.0.1", 0)
    try:
        server = make_server(app, ServerSettings())
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[sock]))
            try:
                yield f"http://127.0.0.1:{sock.getsockname()[1]}"
            finally:
                server.should_exit = True
    finally:
        sock.close()
