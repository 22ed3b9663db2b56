"""How many heavy requests may be worked on at the same time, and how many may wait for that."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from voice_agent.errors import OverloadedError


class Turnstile:
    """`places` at work, `queue` waiting in the order they came; whoever comes then is refused at once."""

    def __init__(self, what: str, *, places: int, queue: int, retry_after_s: float) -> None:
        self._what = what
        self._limit = places + queue
        self.inside = 0
        self._places = asyncio.Semaphore(places)
        self._retry_after_s = retry_after_s

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for as long as the block runs. Raises `OverloadedError`."""
        if self.inside >= self._limit:
            raise OverloadedError(
                f"There are too many {self._what}",
                why=f"{self.inside} are under way",
                remedy="Try again in a moment",
                retry_after_s=self._retry_after_s,
            )
        self.inside += 1
        try:
            async with self._places:
                yield
        finally:
            self.inside -= 1
