"""What waits for a session's pump, in order of arrival."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

INPUT_LIMIT = 100
"""Inputs of the transport that may wait (2 s of audio); `put` waits beyond that, and the transport drops what it must."""


class Inbox(Generic[T]):
    """`put` is bounded and for the transport. `post` is for results of the session's own tasks and never waits: each running
    engine call and the playout have at most a handful of results on their way, so their number is bounded by the tasks."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        return len(self._items)

    def post(self, item: T) -> None:
        self._items.append(item)
        self._arrived.set()

    async def put(self, item: T) -> None:
        await self._room.wait()
        self.post(item)
        if len(self._items) >= INPUT_LIMIT:
            self._room.clear()

    async def get(self, until: float | None) -> T | None:
        """The next item, or None when the loop's time `until` has passed and nothing waits."""
        if not self._items:
            self._arrived.clear()
            handle = None
            if until is not None:
                handle = asyncio.get_running_loop().call_at(until, self._arrived.set)
            try:
                await self._arrived.wait()
            finally:
                if handle is not None:
                    handle.cancel()
        if not self._items:
            return None
        item = self._items.popleft()
        if len(self._items) < INPUT_LIMIT:
            self._room.set()
        return item
