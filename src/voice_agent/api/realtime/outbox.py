"""What is on its way to a client: ordered, bounded, sent by one task.

A client that does not read is closed with a reason; memory does not grow with it.
"""

import asyncio
import base64
import itertools
from collections import deque
from typing import Any, NamedTuple

import orjson

MAX_WAITING_BYTES = 4 * 1024 * 1024
"""About 60 s of audio and its text. A client that is further behind does not listen any more."""


class _Frame(NamedTuple):
    """`audio_of` is the response whose audio it is, "" for everything else."""

    text: str
    audio_of: str


class Outbox:
    """`send` and `send_audio` never wait. `overflowed` is set when the client is too slow; nothing is taken any more then."""

    def __init__(self) -> None:
        self.overflowed = asyncio.Event()
        self.sent_events = 0
        self._waiting: deque[_Frame] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._numbers = itertools.count(1)

    def send(self, kind: str, **fields: Any) -> None:
        """An event; its `event_id` is made here."""
        self._put(orjson.dumps({"type": kind, "event_id": self._event_id(), **fields}).decode())

    def send_audio(self, response_id: str, head: str, data: bytes) -> None:
        """`response.output_audio.delta`: `head` is the JSON of its other fields, without the braces. Written by hand, since most
        of what is sent is this: one copy for the base64, one for the frame."""
        encoded = base64.b64encode(data).decode("ascii")
        frame = f'{{"type":"response.output_audio.delta","event_id":"{self._event_id()}",{head},"delta":"{encoded}"}}'
        self._put(frame, audio_of=response_id)

    def drop_audio(self, response_id: str) -> None:
        """Audio of a response that has not been sent is not sent any more: the client would have to throw it away."""
        self._waiting = deque(frame for frame in self._waiting if frame.audio_of != response_id)
        self._bytes = sum(len(frame.text) for frame in self._waiting)

    def _event_id(self) -> str:
        return f"event_{next(self._numbers)}"

    def _put(self, frame: str, *, audio_of: str = "") -> None:
        if self.overflowed.is_set():
            return
        self._waiting.append(_Frame(frame, audio_of))
        self._bytes += len(frame)
        self._arrived.set()
        self._drained.clear()
        if self._bytes > MAX_WAITING_BYTES:
            self.overflowed.set()

    async def next(self) -> str:
        """The next frame to send."""
        while not self._waiting:
            self._drained.set()
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._waiting.popleft().text
        self._bytes -= len(frame)
        self.sent_events += 1
        return frame

    async def drained(self) -> None:
        """Waits until everything has been sent."""
        await self._drained.wait()

    @property
    def waiting_bytes(self) -> int:
        return self._bytes
