"""The WebSocket `/v1/realtime`: one connection, one session, four tasks that end together."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.websockets import WebSocket, WebSocketDisconnect

from voice_agent.api.deps import AssemblyDep, CallerDep, MetricsDep, SessionsDep
from voice_agent.api.metrics import observe_session
from voice_agent.api.own.sessions import BookDep
from voice_agent.api.realtime.adapter import RealtimeAdapter
from voice_agent.api.realtime.outbox import Outbox
from voice_agent.api.sessions import LiveSession
from voice_agent.api.voices import resolve_voice
from voice_agent.assembly import session_settings
from voice_agent.session.session import Observed, Observer, Session
from voice_agent.transports.realtime.config import SessionConfig, first_config

logger = logging.getLogger(__name__)

router = APIRouter()

PROTOCOL = "realtime"
"""The subprotocol that browsers want to see chosen; their key travels in another one, which is never sent back."""

FLUSH_S = 0.5

CLOSE_FAILED = 1011
CLOSE_TOO_SLOW = 1013
"""Try again later: the client does not read what it is sent."""


@router.websocket("/v1/realtime")
async def realtime(
    socket: WebSocket,
    assembly: AssemblyDep,
    sessions: SessionsDep,
    caller: CallerDep,
    metrics: MetricsDep,
    book: BookDep,
    model: Annotated[str, Query(max_length=200)] = "voice-agent",
    intent: Annotated[Literal["transcription"] | None, Query()] = None,
    extensions: Annotated[bool, Query()] = False,
) -> None:
    """Refused by HTTP before it is accepted: no key, no room, no engine."""
    config = caller.secret.config if caller.secret is not None else _first_config(model, intent)
    async with sessions.admit("realtime", caller) as live, book.watch(live) as watch:
        engines = await assembly.engines()
        outbox = Outbox()
        adapter = RealtimeAdapter(
            live.session_id,
            config=config,
            base=session_settings(assembly.settings),
            voice_of=partial(resolve_voice, engines.tts),
            outbox=outbox,
            with_extensions=extensions,
        )
        settings = adapter.settings()
        async with assembly.recorder(live.session_id, settings) as recorder:
            session = await assembly.session(
                live.session_id,
                adapter.transport,
                observer=_all_of([adapter.observe, observe_session(metrics), watch.observe]),
                recorder=recorder,
                settings=settings,
                engines=engines,
            )
            live.session = session
            await socket.accept(subprotocol=PROTOCOL if PROTOCOL in socket.scope.get("subprotocols", []) else None)
            adapter.attach(session)
            greeting = assembly.settings.conversation.greeting
            if greeting and config.type == "realtime":
                session.say(greeting)
            await _serve(socket, live, session, adapter, outbox)


def _first_config(model: str, intent: str | None) -> SessionConfig:
    return first_config({"type": "transcription"} if intent == "transcription" else {"type": "realtime", "model": model})


def _all_of(observers: list[Observer]) -> Observer:
    def tell(now: float, what: Observed) -> None:
        for observer in observers:
            observer(now, what)

    return tell


async def _serve(socket: WebSocket, live: LiveSession, session: Session, adapter: RealtimeAdapter, outbox: Outbox) -> None:
    """Until the client goes, reads too slowly, or the session is ended."""
    talking = asyncio.create_task(session.run())
    parts: list[Coroutine[Any, Any, object]] = [
        _read(socket, adapter.handle),
        _write(socket, outbox),
        outbox.overflowed.wait(),
        live.closing.wait(),
    ]
    tasks = [talking, *(asyncio.create_task(part) for part in parts)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await session.aclose()
        await adapter.aclose()
        await _flush(outbox)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    code, reason = (CLOSE_TOO_SLOW, "the client reads too slowly") if outbox.overflowed.is_set() else (None, "")
    for end in ends:
        if isinstance(end, Exception):  # clients connect again after 1011, after 1000 they would take it for a goodbye
            logger.error("session %s failed", live.session_id, exc_info=end)
            code, reason = CLOSE_FAILED, "something went wrong on the server"
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it has gone already
        await socket.close(code or live.close_code, reason or live.close_reason)


async def _read(socket: WebSocket, handle: Callable[[str | bytes], Coroutine[Any, Any, None]]) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        await handle(message.get("text") or message.get("bytes") or "")


async def _write(socket: WebSocket, outbox: Outbox) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        while True:
            await socket.send_text(await outbox.next())


async def _flush(outbox: Outbox) -> None:
    """What the end of the session said is still sent, if the client takes it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FLUSH_S):
            await outbox.drained()
