"""One conversation, running: the pump that takes events, feeds the machine and carries out its effects.

    transport ──► listening ──► events ──► machine ──► effects ──► replying ──► playout ──► transport

One TaskGroup owns every task. The pump handles one item at a time: feed, execute all effects, arm one timer. Items that have
arrived come before timers, so audio that is here decides before a deadline does.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, assert_never, cast

from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.machine import Machine
from voice_agent.conversation.state import Replying
from voice_agent.conversation.transcript import Item, Transcript
from voice_agent.engines.base import Engines, LlmRequest
from voice_agent.errors import EngineError, VoiceAgentError
from voice_agent.session.inbox import Inbox
from voice_agent.session.listening import Listener
from voice_agent.session.notices import notice_text
from voice_agent.session.playout import Playout
from voice_agent.session.prompt import build_messages
from voice_agent.session.replying import ReplyRun, VoiceSettings
from voice_agent.session.report import Reporter, TurnReport
from voice_agent.session.settings import ReplyOptions, SessionSettings
from voice_agent.transports.base import AudioInput, Control, Deferred, Input, Presence, TextInput, Transport

logger = logging.getLogger(__name__)

OPTIONS_KEPT = 32
"""Requests for replies that may wait; older ones are answered as the session's settings say."""

CLOSE_TIMEOUT_S = 1.8
"""`aclose` returns within 2 s; what has not ended by then is cancelled."""


Observed: TypeAlias = on.Event | do.Effect | TurnReport
Observer: TypeAlias = Callable[[float, Observed], None]
"""Told (seconds on the session's clock, what) of every event and effect, in order, and of each finished reply. Runs on the
loop: it must return at once and not raise."""

Recorder: TypeAlias = Callable[[float, on.Event | None, list[do.Effect]], None]
"""Writes the event log: (now, event or None for a timer, effects)."""


@dataclass(slots=True)
class _Running:
    """The tasks of a session that is running."""

    group: asyncio.TaskGroup
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Session:
    """`run` it once. The transcript may be that of an earlier session of the same conversation."""

    def __init__(
        self,
        session_id: str,
        *,
        engines: Engines,
        transport: Transport,
        settings: SessionSettings,
        observer: Observer | None = None,
        recorder: Recorder | None = None,
        transcript: Transcript | None = None,
    ) -> None:
        self.session_id = session_id
        self.engines = engines
        self.settings = settings
        self.last_failure: VoiceAgentError | None = None
        """The newest error of an engine or transport, for those who want more than its code."""
        self.machine = Machine(settings.conversation, transcript)
        self._transport = transport
        self._observer = observer
        self._recorder = recorder
        self._inbox: Inbox[Input | on.Event] = Inbox()
        self._listeners: dict[str, Listener] = {}
        self._last_utterance: dict[str, int] = {}
        """Of speakers who left: when they come back, answers to what they said before must not fit."""
        self._playout = Playout(transport, self._inbox.post)
        self._reply: ReplyRun | None = None
        self._reply_task: asyncio.Task[None] | None = None
        self._reporter = Reporter(engines.names())
        self._options: dict[str, ReplyOptions] = {}
        self._at_once = False
        self._running: _Running | None = None
        self._ended = asyncio.Event()
        self._started_at: float | None = None

    # ------------------------------------------------------------ life

    @property
    def now(self) -> float:
        """Seconds since `run` began."""
        return 0.0 if self._started_at is None else asyncio.get_running_loop().time() - self._started_at

    async def run(self) -> None:
        """Until the person is gone, `aclose` is called or this task is cancelled. Leaves no task behind."""
        self._started_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.TaskGroup() as group:
                self._running = _Running(group)
                self._spawn(self._read(), _connection_broke)
                self._spawn(self._playout.run(), _connection_broke)
                self._spawn(self.engines.llm.warm(self._request(pending=())))
                try:
                    await self._pump()
                finally:
                    for task in self._running.tasks:
                        task.cancel()
        finally:
            for listener in self._listeners.values():
                listener.close()
            self._ended.set()

    def update(self, settings: SessionSettings) -> None:
        """New settings hold from now on (a reply that is being made keeps those it began with)."""
        self.settings = settings
        for listener in self._listeners.values():
            listener.update(settings.listening)
        self._submit(on.SettingsChanged(settings=settings.conversation))

    def request_reply(self, options: ReplyOptions) -> None:
        """Has the agent reply to the transcript as it is, as soon as nobody speaks."""
        request_id = options.request_id or f"request_{len(self._options) + 1}_{self.now:.6f}"
        if len(self._options) >= OPTIONS_KEPT:
            self._options.pop(next(iter(self._options)))
        self._options[request_id] = options
        self._submit(on.ReplyRequested(instructions=options.instructions, request_id=request_id))

    def commit_input(self, speaker: str) -> None:
        """The speaker's turn ends now, because the client says so."""
        self._submit(on.InputCommitted(speaker=speaker))

    def clear_input(self, speaker: str) -> None:
        """The client withdraws what was said in the open turn."""
        self._listener(speaker).end_turn()
        self._submit(on.InputCleared(speaker=speaker))

    def request_of(self, options: ReplyOptions) -> LlmRequest:
        """What the language model would be asked for a reply now: for answers beside the conversation."""
        return self._request(pending=(), instructions=options.instructions, options=options)

    def cancel_reply(self) -> None:
        """The agent stops."""
        self._submit(on.ReplyCancelled())

    def audio_ms(self, speaker: str, at: float) -> int:
        """A moment on the session's clock as milliseconds of that speaker's audio."""
        return self._listener(speaker).audio_ms(at)

    @property
    def run_of_reply(self) -> ReplyRun | None:
        """The newest reply in the making, to be read only."""
        return self._reply

    def insert_item(self, item: Item, *, after: str | None = None) -> None:
        """Into the transcript, at its end or behind `after` ("" for the head)."""
        self._submit(on.ItemInserted(item=item, after=after))

    def remove_item(self, item_id: str) -> None:
        self._submit(on.ItemRemoved(item_id=item_id))

    def truncate_item(self, item_id: str, audio_end_ms: int) -> int:
        """The listener has heard so much of a reply's audio: history keeps the words up to there.

        Returns the time, at most the audio's length. Raises `KeyError` for an item that is not there.
        """
        item = self.machine.transcript[item_id]
        heard = self._playout.heard_at(item.reply_id, audio_end_ms)
        if heard is None:
            return audio_end_ms
        if self._playout.rewind(item.reply_id, heard[1]):  # it waits to go on: then from there
            self._submit(on.PlayoutAdvanced(reply_id=item.reply_id, heard=heard[0]))
        else:
            self._submit(on.ItemTruncated(item_id=item_id, heard=heard[0]))
        return heard[1]

    @property
    def playout_ms(self) -> int:
        """Where in the current reply's audio playing goes on."""
        return self._playout.cursor_ms

    @property
    def playout_text(self) -> str:
        """What has been heard of the current reply."""
        return self._playout.heard_text()

    def word_times(self, reply_id: int, start_char: int, end_char: int) -> list[tuple[str, int, int]]:
        """The words of this part of a reply's text, with start and end in its audio, in milliseconds."""
        return self._playout.word_times(reply_id, start_char, end_char)

    def say(self, text: str) -> None:
        """Has the agent say this, if nobody speaks and no reply is on its way. For a greeting call it before or after `run`."""
        self._inbox.post(on.SayRequested(text=text))

    async def aclose(self) -> None:
        """Ends the conversation; returns when it has ended, within 2 s."""
        if self._started_at is None or self._ended.is_set():
            return
        self._inbox.post(on.Disconnected(reason="closed"))
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._ended.wait()
        except TimeoutError:
            for task in self._running.tasks if self._running else ():
                task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None], or_else: Callable[[str], on.Event] | None = None) -> asyncio.Task[None]:
        """A task of this session. The one place where any exception is caught: it ends what the task was for, visibly."""
        assert self._running is not None, "run first"
        task = self._running.group.create_task(self._guarded(work, or_else))
        self._running.tasks.add(task)
        task.add_done_callback(self._running.tasks.discard)
        task.add_done_callback(lambda _: work.close())  # in case it was cancelled before it began
        return task

    async def _guarded(self, work: Coroutine[Any, Any, None], or_else: Callable[[str], on.Event] | None) -> None:
        try:
            await work
        except VoiceAgentError as error:
            code = error.code
            self.last_failure = error
            logger.warning("session %s: %s: %s", self.session_id, error.code, error)
        except Exception:
            code = "internal"
            logger.exception("session %s: unexpected failure", self.session_id)
        else:
            return
        if or_else is not None:
            self._inbox.post(or_else(code))

    async def _read(self) -> None:
        reason = "left"
        try:
            # Closed here: a generator that is left to the garbage collector leaves its tasks behind.
            async with contextlib.aclosing(cast(AsyncGenerator[Input, None], self._transport.inputs())) as inputs:
                async for item in inputs:
                    await self._inbox.put(item)
        except VoiceAgentError as error:
            reason = error.code
        self._inbox.post(on.Disconnected(reason=reason))

    # ------------------------------------------------------------ the pump

    async def _pump(self) -> None:
        while not self.machine.ended:
            item = await self._inbox.get(self._wake_at())
            now = self.now
            if item is None:
                self._on_time(now)
            elif isinstance(item, Deferred):
                self._run_deferred(item)
            elif isinstance(item, AudioInput | TextInput | Presence | Control):
                for event in self._events_of(item, now):
                    self._feed(event, now)
            else:
                self._feed(item, now)

    def _run_deferred(self, item: Deferred) -> None:
        """What it submits takes effect at once, so that the next in line sees it."""
        self._at_once = True
        try:
            item.run()
        finally:
            self._at_once = False

    def _submit(self, event: on.Event) -> None:
        if self._at_once:
            self._feed(event, self.now)
        else:
            self._inbox.post(event)

    def _wake_at(self) -> float | None:
        """On the loop's clock."""
        assert self._started_at is not None
        due = [at for listener in self._listeners.values() if (at := listener.gap_deadline) is not None]
        deadline = self.machine.next_deadline()
        if deadline is not None:
            due.append(deadline)
        return self._started_at + min(due) if due else None

    def _on_time(self, now: float) -> None:
        for listener in self._listeners.values():
            for event in listener.check_gap(now):
                self._feed(event, now)
        deadline = self.machine.next_deadline()
        if deadline is not None:
            # A timer may fire a hair early; the machine is told the time that it asked for.
            reached = max(now, deadline) if deadline - now < 0.001 else now
            if reached >= deadline:
                self._carry_out(None, self.machine.handle_timer(reached), reached)

    def _events_of(self, item: Input, now: float) -> Iterator[on.Event]:
        match item:
            case AudioInput():
                yield from self._heard(item, now)
            case TextInput():
                self._reporter.text_arrived(now)
                yield on.TextReceived(speaker=item.speaker, text=item.text)
            case Presence():
                yield self._presence(item)
            case Control():
                yield self._control(item)
            case Deferred():
                return  # not an event
            case _:
                assert_never(item)

    def _heard(self, item: AudioInput, now: float) -> Iterator[on.Event]:
        try:
            yield from self._listener(item.speaker).accept(item.samples, now)
        except EngineError as error:
            self.last_failure = error
            logger.error("session %s: deaf: %s: %s", self.session_id, error.code, error)
            yield on.Disconnected(reason=error.code)

    def _presence(self, item: Presence) -> on.Event:
        if item.joined:
            self._listener(item.speaker)
            return on.SpeakerJoined(speaker=item.speaker)
        listener = self._listeners.pop(item.speaker, None)
        if listener is not None:
            listener.close()
            self._last_utterance[item.speaker] = listener.utterance_id
        return on.SpeakerLeft(speaker=item.speaker)

    def _control(self, item: Control) -> on.Event:
        match item.kind:
            case "commit":
                return on.InputCommitted(speaker=item.speaker)
            case "clear":
                self._listener(item.speaker).end_turn()
                return on.InputCleared(speaker=item.speaker)
            case "reply":
                return on.ReplyRequested(instructions=item.text)
            case "cancel":
                return on.ReplyCancelled()
            case _:
                assert_never(item.kind)

    def _feed(self, event: on.Event, now: float) -> None:
        self._reporter.saw(event, now)
        self._carry_out(event, self.machine.handle(event, now), now)

    def _carry_out(self, event: on.Event | None, effects: list[do.Effect], now: float) -> None:
        if self._recorder is not None:
            self._recorder(now, event, effects)
        if event is not None:
            self._tell(now, event)
        for effect in effects:
            self._execute(effect, now)
            self._tell(now, effect)

    def _tell(self, now: float, what: Observed) -> None:
        if self._observer is not None:
            self._observer(now, what)

    # ------------------------------------------------------------ effects

    def _execute(self, effect: do.Effect, now: float) -> None:
        match effect:
            case do.RequestFinal():
                self._listener(effect.speaker).request_final(effect.utterance_id)
            case do.CommitTurn():
                self._reporter.turn_committed(effect, now)
                if not effect.by_text:
                    self._listener(effect.speaker).end_turn()
            case do.DiscardTurn():
                if effect.speaker in self._listeners:
                    self._listeners[effect.speaker].end_turn(nothing_said=effect.reason == "empty")
            case do.StartReply():
                self._start_reply(effect, now)
            case do.SayText():
                text = notice_text(effect.notice, self._language()) if effect.notice else effect.text
                run = self._begin_reply(effect.reply_id, speculative=False, now=now)
                self._run_reply(run, run.say(text))
            case do.CommitReply():
                self._commit_reply(now)
            case do.CancelReply() | do.StopPlayout():
                self._stop_reply()
                self._playout.stop(effect.reply_id)
            case do.PausePlayout():
                self._playout.pause(effect.reply_id)
            case do.ResumePlayout():
                self._playout.open(effect.reply_id)
            case do.RecordReply():
                self._stop_reply()
                self._tell(now, self._reporter.reply_recorded(effect, underruns=self._playout.underruns))
                self._playout.underruns = 0
                if self.engines.llm.capabilities.caches_prompts:
                    self._spawn(self.engines.llm.warm(self._request(pending=())))
            case do.ReportIdle() | do.ReportState() | do.CallTool() | do.EndSession():
                pass  # for observers
            case _:
                assert_never(effect)

    def _start_reply(self, effect: do.StartReply, now: float) -> None:
        options = self._options.pop(effect.request_id, ReplyOptions())
        run = self._begin_reply(effect.reply_id, speculative=effect.speculative, now=now, options=options)
        request = self._request(pending=effect.pending, instructions=effect.instructions, idle=effect.idle, options=options)
        self._run_reply(run, run.answer(request))

    def _begin_reply(self, reply_id: int, *, speculative: bool, now: float, options: ReplyOptions | None = None) -> ReplyRun:
        asked = options if options is not None else ReplyOptions()
        self._playout.begin(reply_id)
        run = ReplyRun(
            reply_id=reply_id,
            session=self.session_id,
            llm=self.engines.llm,
            tts=self.engines.tts,
            voice=self._voice(asked.voice),
            playout=self._playout,
            waterfall=self._reporter.reply_started(reply_id, speculative=speculative, now=now),
            post=self._inbox.post,
            clock=partial(getattr, self, "now"),
            speculative=speculative,
            spoken=self.settings.spoken if asked.spoken is None else asked.spoken,
        )
        self._reply = run
        self._reporter.run = run
        if not speculative:
            self._commit_reply(now)
        return run

    def _run_reply(self, run: ReplyRun, work: Coroutine[Any, Any, None]) -> None:
        self._reply_task = self._spawn(work, run.failed)

    def _commit_reply(self, now: float) -> None:
        assert self._reply is not None
        self._reply.waterfall.mark("hold", now)
        self._reply.commit()
        self._playout.open(self._reply.reply_id)

    def _stop_reply(self) -> None:
        if self._reply_task is not None:
            self._reply_task.cancel()
            self._reply_task = None

    def _request(
        self,
        *,
        pending: tuple[do.PendingTurn, ...],
        instructions: str = "",
        idle: bool = False,
        options: ReplyOptions | None = None,
    ) -> LlmRequest:
        settings, asked = self.settings, options if options is not None else ReplyOptions()
        messages = build_messages(self.machine.transcript, settings.prompt, pending=pending, instructions=instructions, idle=idle)
        if asked.context is not None:
            messages = (messages[0], *asked.context)
        return LlmRequest(
            messages=messages,
            session=self.session_id,
            max_tokens=asked.max_tokens or settings.max_tokens,
            temperature=settings.temperature,
            tools=settings.tools if asked.tools is None else asked.tools,
            tool_choice=asked.tool_choice or settings.tool_choice,
        )

    def _voice(self, voice: str | None = None) -> VoiceSettings:
        settings = self.settings.voice
        return VoiceSettings(voice=voice or settings.voice, language=self._language(), speed=settings.speed)

    def _language(self) -> str:
        """The one that is spoken to the agent, or the setting's until that is known."""
        heard = [listener.language for listener in self._listeners.values() if listener.language]
        return heard[-1] if heard else self.settings.voice.language

    def _is_audible(self) -> bool:
        return self.machine.reply.state is Replying.PLAYING

    def _listener(self, speaker: str) -> Listener:
        if speaker not in self._listeners:
            self._listeners[speaker] = Listener(
                speaker,
                session=self.session_id,
                engines=self.engines,
                settings=self.settings.listening,
                post=self._inbox.post,
                spawn=self._spawn,
                over_agent=self._is_audible,
                utterance_id=self._last_utterance.get(speaker, 0),
            )
        return self._listeners[speaker]


def _connection_broke(code: str) -> on.Event:
    """Neither heard nor able to speak any more: the conversation ends."""
    return on.Disconnected(reason=code)
