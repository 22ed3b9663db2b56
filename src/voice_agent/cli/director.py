"""Who knows when it is whose turn in `talk`: says the next thing when the last has been answered."""

import asyncio
from typing import TYPE_CHECKING, Protocol

from voice_agent.errors import TransportError, VoiceAgentError

if TYPE_CHECKING:
    from voice_agent.cli.screen import Screen
    from voice_agent.session.session import Session
    from voice_agent.transports.in_memory import InMemoryTransport

SPEAKER = "user"

SETTLE_S = 0.3
"""After a file: the agent counts as finished when it has been quiet for this long."""

NO_ANSWER_S = 12.0
"""After a file: no reply has come and none is on its way."""

LOOK_S = 0.05


class Conversation(Protocol):
    """One that runs, here or on a server."""

    @property
    def now(self) -> float:
        """Seconds since it began."""
        ...

    @property
    def busy(self) -> bool:
        """A turn is open, or a reply is on its way or being heard."""
        ...

    @property
    def last_failure(self) -> VoiceAgentError | None: ...


class HereConversation:
    """A session of this process."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    @property
    def now(self) -> float:
        return self._session.now

    @property
    def busy(self) -> bool:
        from voice_agent.conversation.state import Replying

        machine = self._session.machine
        return machine.reply.state is not Replying.NONE or machine.speaker(SPEAKER).open

    @property
    def last_failure(self) -> VoiceAgentError | None:
        return self._session.last_failure


class Director:
    """Watches a conversation and passes on what it sees to the screen. Set `conversation` before it is asked to wait."""

    def __init__(self, screen: "Screen") -> None:
        self.conversation: Conversation | None = None
        self._screen = screen
        self._replies = 0
        self._failed_replies = 0
        self._audible_at: float | None = None
        self._recorded = asyncio.Event()
        self._idle = asyncio.Event()
        self._over = asyncio.Event()
        self._ended = ""

    def observe(self, now: float, what: object) -> None:
        from voice_agent.conversation.effects import EndSession, RecordReply, ReportIdle
        from voice_agent.conversation.events import PlayoutStarted

        match what:
            case RecordReply():
                self._replies += 1
                self._failed_replies += bool(what.failed)
                self._audible_at = None
                self._recorded.set()
            case PlayoutStarted():
                self._audible_at = now
            case ReportIdle():
                self._idle.set()
            case EndSession():
                self._ended = what.reason
                for waited_for in (self._over, self._recorded, self._idle):
                    waited_for.set()
            case _:
                pass
        self._screen.observe(now, what)  # type: ignore[arg-type]  # imported only when a conversation runs

    async def greeted(self) -> None:
        """Until the greeting has been said."""
        await self._recorded.wait()
        self._raise_if_over()

    async def answered(self, transport: "InMemoryTransport", *, barge_in_after: float | None = None) -> None:
        """Until the agent has answered what was just said (or will not), or `barge_in_after` seconds into the answer."""
        assert self.conversation is not None
        replies, quiet_since = self._replies, None
        while True:
            await asyncio.sleep(LOOK_S)
            self._raise_if_over()
            now = self.conversation.now
            if transport.is_speaking(SPEAKER):
                continue
            if barge_in_after is not None and self._audible_at is not None and now - self._audible_at >= barge_in_after:
                return
            if self.conversation.busy:
                quiet_since = None
                continue
            quiet_since = now if quiet_since is None else quiet_since
            answered = self._replies > replies
            if now - quiet_since >= (SETTLE_S if answered else NO_ANSWER_S):
                return

    def raise_if_nothing_worked(self) -> None:
        """What went wrong, if every reply was lost (each loss is also followed by an apology, which is a reply too)."""
        assert self.conversation is not None
        failure = self.conversation.last_failure
        if failure is not None and self._replies <= 2 * self._failed_replies:
            raise failure

    async def idled(self) -> None:
        """Until everybody has been silent for the idle time."""
        await self._idle.wait()
        self._raise_if_over()

    async def ended(self) -> None:
        """Until the session is over, though nobody here has ended it."""
        await self._over.wait()
        self._raise_if_over()

    def _raise_if_over(self) -> None:
        if self._over.is_set():
            failure = self.conversation.last_failure if self.conversation is not None else None
            raise failure or TransportError("The conversation has ended early", why=self._ended)
