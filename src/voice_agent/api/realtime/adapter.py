"""Between one client and its session: client events become the session's, what happens there becomes server events.

Everything that a client asks runs in the session's own order (`transport.do`), so that an item is there when the next event
names it. What happens is told from the session's observer. Order and content of the events follow the GA protocol to the
letter, because clients do.
"""

from functools import partial

from voice_agent.api.realtime import extensions as ext
from voice_agent.api.realtime.connection import Connection
from voice_agent.api.realtime.outbox import Outbox
from voice_agent.api.realtime.replies import Replies
from voice_agent.api.realtime.requests import Requests, VoiceOf
from voice_agent.api.realtime.turns import Turns
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.session.report import TurnReport
from voice_agent.session.session import Observed, Session
from voice_agent.session.settings import SessionSettings
from voice_agent.transports.realtime import client_events as asks
from voice_agent.transports.realtime.client_events import EventError
from voice_agent.transports.realtime.config import SessionConfig
from voice_agent.transports.realtime.transport import RealtimeTransport


class RealtimeAdapter:
    """One connection. Make it, then the session with `observe` as its observer, then `attach`. Raises `InputError` for a
    configuration that cannot be carried out."""

    def __init__(
        self,
        session_id: str,
        *,
        config: SessionConfig,
        base: SessionSettings,
        voice_of: VoiceOf,
        outbox: Outbox,
        with_extensions: bool = False,
    ) -> None:
        self.transport = RealtimeTransport(on_audio=self._audio, on_end=self._all_written)
        self._connection = Connection(
            session_id=session_id,
            config=config,
            outbox=outbox,
            transport=self.transport,
            with_extensions=with_extensions,
        )
        self._turns = Turns(self._connection)
        self._replies = Replies(self._connection)
        self._requests = Requests(self._connection, self._turns, self._replies, base=base, voice_of=voice_of)
        self.settings()

    def settings(self) -> SessionSettings:
        """What the session is to run with."""
        return self._requests.settings_of(self._connection.config)

    def attach(self, session: Session) -> None:
        """The session is made: greet the client."""
        self._connection.attach(session)
        self._requests.use_formats()
        self._connection.send("session.created", session=self._requests.echo())

    async def aclose(self) -> None:
        """Ends what runs beside the session."""
        await self._requests.aclose()

    # ------------------------------------------------------------ what the client sends

    async def handle(self, frame: str | bytes) -> None:
        """One frame. Whatever is wrong with it is answered with an `error` event."""
        try:
            event = asks.parse(frame)
            if isinstance(event, asks.AudioAppend):
                for data in await event.decoded():
                    await self.transport.receive(data)
            else:
                await self.transport.do(partial(self._requests.carry_out, event, self.transport.received_s))
        except EventError as error:
            self._requests.refuse(error.what, code=error.code, param=error.param, event_id=error.event_id)

    # ------------------------------------------------------------ what happens

    def observe(self, now: float, what: Observed) -> None:
        """The session's observer."""
        match what:
            case on.SpeechStarted():
                self._turns.speech_started(what)
            case on.SpeechStopped():
                self._turns.speech_stopped(what)
            case on.TranscriptPartial():
                self._turns.partial(what)
            case on.InputCommitted():
                self._turns.committed_by_hand()
            case do.CommitTurn():
                self._turns.committed(what)
            case do.DiscardTurn():
                self._turns.discarded(what)
            case do.ReportIdle():
                self._turns.idle(now, what)
            case do.ReportState():
                self._connection.extend(ext.AgentState(state=what.state))
            case do.EndSession():
                self._replies.end()
            case _:
                self._observe_reply(what)

    def _observe_reply(self, what: Observed) -> None:
        replies = self._replies
        match what:
            case do.StartReply(speculative=False) | do.CommitReply() | do.SayText():
                replies.begin(what.reply_id)
            case on.ReplyTextAdded():
                replies.text_added(what)
            case do.CallTool():
                replies.called(what)
            case on.PlayoutAdvanced():
                replies.advanced(what)
            case do.PausePlayout():
                self._interrupt()
                replies.paused()
            case do.ResumePlayout():
                replies.resumed()
                replies.go_on()
            case do.StopPlayout() if self._turns.is_open and not replies.ends_by_client:
                self._interrupt()
            case on.ReplyGenerated():
                replies.generated(what)
            case on.ReplyFailed():
                replies.failed(what)
            case do.RecordReply():
                replies.recorded(what)
            case TurnReport():
                replies.reported(what)
            case _:
                return

    def _interrupt(self) -> None:
        """Speech over the agent is an interruption: the client is told of it before anything that it leads to."""
        self._turns.tell_speech()
        self._replies.silence()

    def _audio(self, data: bytes) -> None:
        self._replies.audio(data)

    def _all_written(self) -> None:
        self._replies.all_written()
