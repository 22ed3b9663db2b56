"""An event loop whose clock jumps: when nothing is ready, it is at once as late as the next timer says.

A script of an hour runs in milliseconds and gives the same result each time. `loop.time()` is the virtual clock, from 0.
Only for code that waits on timers and on itself: a thread's answer takes real time, while the virtual clock runs away.
"""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class NothingWillHappen(Exception):
    """Everything waits, and there is no timer that could end it: in real time this would hang."""


class _Selector(selectors.BaseSelector):
    """Lets the clock jump where a real selector would block."""

    def __init__(self, loop: "VirtualTimeLoop") -> None:
        self._real = selectors.DefaultSelector()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if ready := self._real.select(0):
            return ready
        if timeout is None:
            raise NothingWillHappen(f"at {self._loop.time():.3f} s of virtual time everything waits for ever")
        self._loop.now += timeout
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`now` is the virtual clock, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now


def run_virtual(script: Coroutine[Any, Any, T]) -> T:
    """Runs `script` on virtual time and gives its result. For tests that are plain functions (no loop may be running).

    Raises `NothingWillHappen` instead of hanging, and `AssertionError` if the script leaves a task behind.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        result = runner.run(script)
        left = asyncio.all_tasks(runner.get_loop())
        assert not left, f"left running: {left}"
        return result
