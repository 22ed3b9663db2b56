"""The running sessions of this process: who may begin one, which are there, and their end when the server stops."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from voice_agent.api.caller import Caller
from voice_agent.errors import OverloadedError
from voice_agent.session.session import Session
from voice_agent.telemetry.metrics import Metrics

TransportKind: TypeAlias = Literal["realtime", "livekit"]

CLOSE_NORMAL = 1000
CLOSE_RESTART = 1012
"""WebSocket close codes. 1012 (service restart) is one that clients reconnect after."""

FULL_RETRY_S = 5.0
DRAINING_RETRY_S = 15.0

CLOSING_S = 3.0
"""How long sessions may take to end once they were told to: a session closes within 2 s, its socket a little later."""


@dataclass(slots=True, eq=False, kw_only=True)
class LiveSession:
    """A session that was admitted. Whoever serves it sets `session` when it exists, and closes its connection with
    `close_code` and `close_reason` when the session is over or `closing` is set."""

    session_id: str
    kind: TransportKind
    caller: Caller
    created_at: float = field(default_factory=time.time)
    """Unix time in seconds."""
    session: Session | None = None
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    close_code: int = CLOSE_NORMAL
    close_reason: str = ""
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def end(self, *, code: int = CLOSE_NORMAL, reason: str = "") -> None:
        """Ends the conversation and has the connection closed; returns when it is gone, or after `CLOSING_S`."""
        if not self.closing.is_set():
            self.close_code, self.close_reason = code, reason
            self.closing.set()
        if self.session is not None:
            await self.session.aclose()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await self.gone.wait()


class SessionRegistry:
    """At most `limit` sessions at the same time, and at most `per_client` of one key or address (None: see `_client_limit`)."""

    def __init__(self, *, limit: int, per_client: int | None = None, metrics: Metrics | None = None) -> None:
        self.limit = limit
        self.draining = False
        self._metrics = metrics if metrics is not None else Metrics()
        self._per_client = per_client
        self._running: dict[str, LiveSession] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[LiveSession]:
        """Oldest first; a copy, so that sessions may end meanwhile."""
        return iter(list(self._running.values()))

    def get(self, session_id: str) -> LiveSession | None:
        return self._running.get(session_id)

    @contextlib.asynccontextmanager
    async def admit(self, kind: TransportKind, caller: Caller) -> AsyncIterator[LiveSession]:
        """A place for one session, for as long as the block runs. Raises `OverloadedError` at once when there is none."""
        try:
            self.check_room(caller)
        except OverloadedError as error:
            self._metrics.session_refused(error.code)
            raise
        live = LiveSession(session_id=f"sess_{uuid.uuid4().hex[:24]}", kind=kind, caller=caller)
        self._running[live.session_id] = live
        self._empty.clear()
        self._metrics.session_began(kind)
        try:
            yield live
        finally:
            del self._running[live.session_id]
            live.gone.set()
            if not self._running:
                self._empty.set()

    def check_room(self, caller: Caller | None = None) -> None:
        """Raises `OverloadedError` if a new session (of `caller`) would be refused now."""
        if self.draining:
            raise OverloadedError(
                "The server is about to stop",
                remedy="Connect again in a moment",
                code="server.draining",
                retry_after_s=DRAINING_RETRY_S,
            )
        if len(self._running) >= self.limit:
            raise OverloadedError(
                "The server has no room for another session",
                why=f"{self.limit} are running",
                remedy="Try again in a moment",
                retry_after_s=FULL_RETRY_S,
            )
        if caller is not None and (most := self._client_limit(caller)) is not None and self._of(caller) >= most:
            raise OverloadedError(
                "You have no room for another session",
                why=f"{most} of yours are running",
                remedy="End one of them",
                code="server.client_limit",
                retry_after_s=FULL_RETRY_S,
            )

    def _client_limit(self, caller: Caller) -> int | None:
        """As set; else a quarter of all, so that four clients find room, and no limit on this machine itself."""
        if self._per_client is not None:
            return self._per_client
        return None if caller.is_local else max(1, self.limit // 4)

    def _of(self, caller: Caller) -> int:
        return sum(1 for live in self._running.values() if live.caller.identity == caller.identity)

    async def end(self, session_id: str) -> bool:
        """Ends a session; False if there is none of this id."""
        live = self.get(session_id)
        if live is None:
            return False
        await live.end(reason="ended by the server")
        return True

    async def drain(self, patience_s: float) -> None:
        """Admits nobody from now on; running sessions may go on for `patience_s`, then they are ended with 1012."""
        self.draining = True
        try:
            async with asyncio.timeout(patience_s):
                await self._empty.wait()
        except TimeoutError:
            async with asyncio.TaskGroup() as group:
                for live in self:
                    group.create_task(live.end(code=CLOSE_RESTART, reason="the server is about to stop"))
