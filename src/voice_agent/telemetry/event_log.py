"""A log of JSON lines that never makes the event loop wait.

`append` only remembers the item; encoding, opening and writing happen on the log's own thread. A log that cannot be written
(disk full, folder read-only) says so once in the program's log and stops; whoever appends need not care.
"""

import asyncio
import errno
import json
import logging
import os
import re
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, Generic, Protocol, TypeAlias, TypeVar

logger = logging.getLogger(__name__)

Line: TypeAlias = Mapping[str, object]
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

FLUSH_S = 0.5
"""Items wait this long at most before they are handed to the system: what a crash of the process can lose."""

WAITING_LIMIT = 10_000
"""Items that may wait for the disk: about five minutes of one speaker. Beyond that the log ends, as one with a hole is useless."""

CLOSE_TIMEOUT_S = 1.5
"""A session has 2 s to close; a disk that hangs longer is left alone."""

NAME_LIMIT = 100
"""Characters of a name that go into the file's name."""


class Encoder(Protocol[T_contra]):
    """Turns items into lines. Called on the log's thread only, in the order of the items; items must be immutable."""

    def begin(self) -> Iterable[Line]: ...

    def push(self, item: T_contra) -> Iterable[Line]:
        """The lines that `item` completed; it may hold lines back."""
        ...

    def finish(self) -> Iterable[Line]:
        """What was held back."""
        ...


class EventLog(Generic[T]):
    """Of one session: a new file `NAME.jsonl` in `directory`, which is made if need be; only its owner can read it.

    A thread writes it until `aclose`. Use it from one thread.
    """

    def __init__(self, directory: Path, name: str, encoder: Encoder[T]) -> None:
        self.path: Path | None = None
        """Where it is written; None until the file is open."""
        self._directory = directory
        self._name = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:NAME_LIMIT] or "session"
        self._encoder = encoder
        self._waiting: deque[T] = deque()
        self._stopped = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"event-log-{self._name}", daemon=True)
        self._thread.start()

    def append(self, item: T) -> None:
        """Takes microseconds. After `aclose`, or once the log has stopped, the item is dropped."""
        if self._stopped or self._closing.is_set():
            return
        if len(self._waiting) >= WAITING_LIMIT:
            self._stop("the disk does not keep up", "Choose a faster disk for LOG_EVENTS_DIR")
            return
        self._waiting.append(item)

    async def aclose(self) -> None:
        """Writes what waits and closes the file. Returns within 2 s."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._closing.set()
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            self._stop("the disk does not answer", "Look at the disk of LOG_EVENTS_DIR; the end of the log is missing")

    # ------------------------------------------------------------ on the log's thread

    def _run(self) -> None:
        try:
            with self._open() as file:
                self._write_all(file)
        except OSError as error:
            self._stop(error.strerror or str(error), _remedy(error))

    def _open(self) -> BinaryIO:
        """A file that did not exist before: a session that goes on under its old id keeps its old log."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = 1
        while True:
            path = self._directory / (f"{self._name}.jsonl" if number == 1 else f"{self._name}-{number}.jsonl")
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                number += 1
                continue
            self.path = path
            return os.fdopen(descriptor, "wb")

    def _write_all(self, file: BinaryIO) -> None:
        _write(file, self._encoder.begin())
        closing = False
        while not closing and not self._stopped:
            closing = self._closing.wait(FLUSH_S)
            for _ in range(len(self._waiting)):
                _write(file, self._encoder.push(self._waiting.popleft()))
            file.flush()
        _write(file, self._encoder.finish())

    def _stop(self, why: str, remedy: str) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._waiting.clear()
        where = self.path or self._directory
        logger.warning("event log %s: recording has stopped (%s), the conversation goes on. %s.", where, why, remedy)


def _write(file: BinaryIO, lines: Iterable[Line]) -> None:
    for line in lines:
        file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Free some disk space, or unset LOG_EVENTS_DIR"
    return "Set LOG_EVENTS_DIR to a folder that this user can write to"
