"""Language names, and which language a session speaks."""

import threading
from collections import OrderedDict

REMEMBERED_SESSIONS = 1024
"""A process holds far fewer sessions; the oldest is forgotten first and would be detected anew."""


def primary(tag: str) -> str:
    """The language of a BCP 47 tag: "en" of "en-US"."""
    return tag.replace("_", "-").partition("-")[0].strip().lower()


class SessionLanguages:
    """Session to detected language. Used from worker threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, str] = OrderedDict()

    def get(self, session: str) -> str | None:
        with self._lock:
            if session in self._known:
                self._known.move_to_end(session)
            return self._known.get(session)

    def set(self, session: str, language: str) -> None:
        with self._lock:
            self._known[session] = language
            self._known.move_to_end(session)
            while len(self._known) > REMEMBERED_SESSIONS:
                self._known.popitem(last=False)
