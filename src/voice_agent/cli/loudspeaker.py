"""What a server's agent says, on its way through the sound card: queued, played, cut off, and how much of it was heard."""

import asyncio
from collections import deque
from dataclasses import dataclass

from voice_agent.audio.pcm import Pcm16
from voice_agent.errors import TransportError
from voice_agent.transports.base import Transport

WIRE_RATE = 24_000
"""Hz of the protocol's PCM, and of the card's."""

PIECE = WIRE_RATE // 50
"""20 ms: how finely the queue is handed to the card."""

MAX_QUEUED_S = 600.0
"""Of the agent's audio. The server sends a reply as fast as it is made; nobody listens to ten minutes."""


@dataclass(frozen=True, slots=True)
class Cut:
    """An item that fell silent when so much of it had been heard."""

    item_id: str
    played_ms: int


class Loudspeaker:
    """The agent's audio on its way through the card, and how much of the item that plays has been heard."""

    def __init__(self, card: Transport) -> None:
        self._card = card
        self._queue: deque[tuple[str, Pcm16]] = deque()
        self._queued = 0
        self._arrived = asyncio.Event()
        self._written = 0  # to the card, and not cleared
        self._item_id = ""
        self._item_begin = 0  # in the card's count
        self._whole = True  # nothing of the item was lost or said twice

    @property
    def active(self) -> bool:
        """Something is still to be heard."""
        return bool(self._queue) or self._card.position() < self._written

    @property
    def item_id(self) -> str:
        """What is being heard, or was last."""
        return self._item_id

    @property
    def played_ms(self) -> int:
        """Of that item."""
        return max(0, self._card.position() - self._item_begin) * 1000 // WIRE_RATE

    def add(self, item_id: str, pcm: Pcm16) -> None:
        """Raises `TransportError` for more than anybody would listen to."""
        self._queued += pcm.size
        if self._queued > MAX_QUEUED_S * WIRE_RATE:
            raise TransportError("The server sends more speech than can be heard", code="transport.not_realtime")
        for start in range(0, pcm.size, PIECE):
            self._queue.append((item_id, pcm[start : start + PIECE]))
        self._arrived.set()

    def flush(self) -> Cut | None:
        """Silent at once. What was cut, if something was, and how far it had been heard."""
        if not self.active:
            return None
        cut = Cut(self._item_id, self.played_ms) if self._item_id and self._whole else None
        self._queue.clear()
        self._queued = 0
        self._card.clear()
        self._written = self._card.position()
        self._whole = False
        return cut

    async def run(self) -> None:
        """Hands the queue to the card, for ever."""
        while True:
            while self._queue:
                item_id, pcm = self._queue.popleft()
                self._queued -= pcm.size
                self._begin(item_id)
                self._written += pcm.size
                await self._card.write(pcm)
            self._arrived.clear()
            await self._arrived.wait()

    def _begin(self, item_id: str) -> None:
        if item_id != self._item_id:
            self._item_id, self._item_begin, self._whole = item_id, self._written, True
