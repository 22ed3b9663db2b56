"""What a client reports, in the order in which it does, with times; and what was measured."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

E = TypeVar("E")

PATIENCE_S = 15.0
"""For one event; on an idle machine the slowest takes about 2 s."""


class Told(Generic[E]):
    """`add` from the client's callbacks. `until` waits for one event and moves `place` behind it."""

    def __init__(self, name: Callable[[E], str]) -> None:
        self.events: list[E] = []
        self.times: list[float] = []
        self.place = 0
        self._name = name
        self._changed = asyncio.Event()

    def add(self, event: E) -> None:
        self.events.append(event)
        self.times.append(asyncio.get_running_loop().time())
        self._changed.set()

    async def until(self, wanted: Callable[[E], bool], *, patience_s: float = PATIENCE_S) -> E:
        """The first event behind `place` for which `wanted` holds."""
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    while self.place < len(self.events):
                        self.place += 1
                        if wanted(self.events[self.place - 1]):
                            return self.events[self.place - 1]
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"it never came; told so far: {self.names()}") from None

    @property
    def at(self) -> float:
        """When the event came that was waited for last."""
        return self.times[self.place - 1]

    def names(self, start: int = 0) -> list[str]:
        """Without repetitions in a row."""
        names = [self._name(event) for event in self.events[start:]]
        return [name for place, name in enumerate(names) if place == 0 or name != names[place - 1]]


MEASURED: list[str] = []
"""What the tests measured, for the end of pytest's output."""


def measured(client: str, what: str, seconds: float) -> None:
    MEASURED.append(f"{client}: {what} {seconds * 1000:.0f} ms")
