"""A session's events for dashboards, as server-sent events.

event: event | effect | reply | dropped | end
id: counts what happened in the session since the first listener came
data: {"now": seconds on the session's clock, "type": …, …}

Events and effects are those of the conversation core, with the fields that they have in an event log.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from typing import cast, get_args

import orjson

from voice_agent.conversation import events as on
from voice_agent.conversation.effects import Effect
from voice_agent.conversation.redaction import Redactor
from voice_agent.errors import OverloadedError
from voice_agent.session.log_format import tagged
from voice_agent.session.report import TurnReport
from voice_agent.session.session import Observed

QUEUE_LIMIT = 512
"""What may wait for one listener: half a minute of a lively conversation. Beyond that the oldest goes and is counted."""

LISTENERS_LIMIT = 8
"""Of one session."""

HEARTBEAT_S = 15.0
"""Proxies close connections on which nothing is said, often after 30 or 60 s."""

EFFECTS: tuple[type, ...] = get_args(Effect)

TEXTS = frozenset({"user_text", "reply_text", "heard_text"})
"""Words in a report of a reply."""


class Feed:
    """Of one session. `tell` never waits."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._count = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._listeners)

    def tell(self, now: float, what: Observed) -> None:
        """To all who listen. That audio was looked at, thirty times a second, is told to nobody."""
        if not self._listeners or isinstance(what, on.AudioAdvanced):
            return
        self._count += 1
        for listener in self._listeners:
            listener.put(self._count, now, what)

    def close(self) -> None:
        """Nothing more will happen: listeners are told, and end."""
        self._closed = True
        for listener in self._listeners:
            listener.close()

    def check_room(self) -> None:
        """Raises `OverloadedError` if nobody more may listen."""
        if len(self._listeners) >= LISTENERS_LIMIT:
            raise OverloadedError(
                "This session has no room for another listener",
                why=f"{LISTENERS_LIMIT} follow it",
                remedy="Close one of the dashboards",
            )

    @contextlib.contextmanager
    def listen(self, *, content: bool) -> "Iterator[Listener]":
        """A listener, until the block ends. Without `content` every text is redacted. Raises as `check_room`."""
        self.check_room()
        listener = Listener(content=content)
        if self._closed:
            listener.close()
        self._listeners.append(listener)
        try:
            yield listener
        finally:
            self._listeners.remove(listener)


class Listener:
    """One reader of a feed, with a queue of its own."""

    def __init__(self, *, content: bool, limit: int = QUEUE_LIMIT) -> None:
        self._redactor = None if content else Redactor()
        self._limit = limit
        self._waiting: deque[tuple[int, float, Observed]] = deque()
        self._dropped = 0
        self._closed = False
        self._arrived = asyncio.Event()

    def put(self, number: int, now: float, what: Observed) -> None:
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append((number, now, what))
        self._arrived.set()

    def close(self) -> None:
        self._closed = True
        self._arrived.set()

    async def frames(self, *, heartbeat_s: float = HEARTBEAT_S) -> AsyncIterator[str]:
        """Until the session is over; a comment when nothing happens for `heartbeat_s`."""
        while True:
            while self._dropped or self._waiting:
                yield self._next()
            if self._closed:
                yield _frame("end", {"type": "end"})
                return
            self._arrived.clear()
            try:
                async with asyncio.timeout(heartbeat_s):
                    await self._arrived.wait()
            except TimeoutError:
                yield ": still here\n\n"

    def _next(self) -> str:
        """What was lost stands before what came after it."""
        if self._dropped:
            count, self._dropped = self._dropped, 0
            return _frame("dropped", {"type": "dropped", "count": count})
        number, now, what = self._waiting.popleft()
        if isinstance(what, TurnReport):
            return _frame("reply", {"now": now, "type": "TurnReport", **self._report(what)}, number)
        shown = what if self._redactor is None else self._redactor.value(what)
        kind = "effect" if isinstance(what, EFFECTS) else "event"
        return _frame(kind, {"now": now, **tagged(shown)}, number)

    def _report(self, report: TurnReport) -> dict[str, object]:
        fields = cast(dict[str, object], asdict(report))
        if self._redactor is not None:
            fields |= {name: self._redactor.text(str(fields[name])) for name in TEXTS}
        return fields


def _frame(kind: str, data: dict[str, object], number: int | None = None) -> str:
    """JSON has no line breaks of its own, so one `data:` line is enough."""
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {kind}\ndata: {orjson.dumps(data).decode()}\n\n"
