"""Which of llama.cpp's slots a session uses. A slot keeps the prompt it computed last, so a session should find its own again."""

import contextlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class _Slot:
    session: str | None = None
    users: int = 0
    last_used: int = 0


class Slots:
    """Used from worker threads; there are as many slots as workers, so a session that is new always finds an idle one unless
    its neighbour runs two requests at once."""

    def __init__(self, count: int) -> None:
        self._slots = [_Slot() for _ in range(count)]
        self._uses = itertools.count(1)
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def use(self, session: str) -> Iterator[int]:
        """The number of the slot: the session's own, else the idle one that was used longest ago.

        The session's own may be busy: with its cancelled request, which ends with the next token. Waiting for that is
        cheaper than computing the prompt again elsewhere.
        """
        with self._lock:
            number = self._own(session)
            slot = self._slots[number]
            slot.session = session
            slot.users += 1
            slot.last_used = next(self._uses)
        try:
            yield number
        finally:
            with self._lock:
                slot.users -= 1

    def _own(self, session: str) -> int:
        for number, slot in enumerate(self._slots):
            if slot.session == session:
                return number
        return min(range(len(self._slots)), key=lambda number: (self._slots[number].users, self._slots[number].last_used))
