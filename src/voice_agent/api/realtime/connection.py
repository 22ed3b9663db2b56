"""What the two directions of a connection share: what was agreed with the client, and the way to it."""

from dataclasses import dataclass, field
from typing import Any

from voice_agent.api.realtime.extensions import Extension
from voice_agent.api.realtime.items import KnownItems
from voice_agent.api.realtime.outbox import Outbox
from voice_agent.session.session import Session
from voice_agent.transports.realtime.config import RealtimeConfig, SessionConfig
from voice_agent.transports.realtime.transport import RealtimeTransport


@dataclass(slots=True, kw_only=True)
class Connection:
    """`attach` it to its session before anything is told or asked."""

    session_id: str
    config: SessionConfig
    outbox: Outbox
    transport: RealtimeTransport
    with_extensions: bool
    _session: Session | None = field(default=None, init=False)
    _items: KnownItems | None = field(default=None, init=False)

    def attach(self, session: Session) -> None:
        self._session, self._items = session, KnownItems(session.machine.transcript)

    @property
    def session(self) -> Session:
        assert self._session is not None, "attach first"
        return self._session

    @property
    def items(self) -> KnownItems:
        assert self._items is not None, "attach first"
        return self._items

    @property
    def transcribes(self) -> bool:
        """The client wants to read what the person says."""
        return self.config.audio.input.transcription is not None or not isinstance(self.config, RealtimeConfig)

    def send(self, kind: str, **fields: Any) -> None:
        """An event of the protocol."""
        self.outbox.send(kind, **fields)

    def extend(self, event: Extension) -> None:
        """An event of ours, for clients that asked for those."""
        if self.with_extensions:
            fields = event.model_dump()
            self.outbox.send(fields.pop("type"), **fields)
