"""Between one client and its session: client events become the session's, what happens there becomes server events.

Everything that a client asks runs in the session's own order (`transport.do`), so that an item is there when the next event
names it. What happens is told from the session's observer. Order and content of the events follow the GA protocol to the
letter, because clients do.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal, assert_never, cast

from voice_agent.api.realtime import extensions as ext
from voice_agent.api.realtime.asides import Asides
from voice_agent.api.realtime.outbox import Outbox
from voice_agent.api.realtime.response import OpenResponse, ResponseHead
from voice_agent.api.realtime.settings_map import modality_of, session_settings_of, tool_choice_of, tools_of
from voice_agent.api.realtime.wire_items import transcript_item, wire_item
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.state import Replying
from voice_agent.conversation.transcript import Transcript
from voice_agent.engines.base import Message
from voice_agent.errors import InputError
from voice_agent.session.prompt import build_messages
from voice_agent.session.report import TurnReport
from voice_agent.session.session import Observed, ReplyOptions, Session, SessionSettings
from voice_agent.transports.realtime import client_events as asks
from voice_agent.transports.realtime.client_events import EventError
from voice_agent.transports.realtime.config import (
    ConfigError,
    RealtimeConfig,
    ServerVad,
    SessionConfig,
    echoed,
    updated,
)
from voice_agent.transports.realtime.transport import SPEAKER, RealtimeTransport

MIN_COMMIT_S = 0.1
"""Less audio cannot be committed, as clients expect."""

VoiceOf = Callable[[str], str | None]
"""The engine's name for a client's voice. Raises `InputError` for one that nobody has."""


class RealtimeAdapter:
    """One connection. Make it, then the session with `observe` as its observer, then `attach`."""

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
        self.session_id = session_id
        self.config = config
        self.transport = RealtimeTransport(on_audio=self._audio, on_end=self._all_written)
        self._base = base
        self._voice_of = voice_of
        self._outbox = outbox
        self._with_extensions = with_extensions
        self._conversation_id = f"conv_{session_id.removeprefix('sess_')}"
        self._session: Session | None = None
        self._responses = itertools.count(1)
        self._response: OpenResponse | None = None
        self._reply_id = 0
        self._item_id = ""  # of the reply that the response tells
        self._requested: dict[str, asks.ResponseParams] = {}
        self._requests = itertools.count(1)
        self._drafts: dict[int, str] = {}
        self._cancelled_by_client = False
        self._aliases: dict[str, str] = {}  # items of continued replies, and the item of the transcript
        self._turn = _OpenTurn()
        self._appended_s = 0.0
        self._asides = Asides(outbox)
        self.settings()  # a configuration that cannot be carried out fails here, before anything runs

    def settings(self) -> SessionSettings:
        """What the session is to run with. Raises `InputError`."""
        voice = self._voice_of(self.config.audio.output.voice) if isinstance(self.config, RealtimeConfig) else None
        return session_settings_of(self._base, self.config, voice=voice)

    def attach(self, session: Session) -> None:
        """The session is made: greet the client."""
        self._session = session
        self._use_formats()
        self._outbox.send("session.created", session=self._echo())

    async def aclose(self) -> None:
        """Ends what runs beside the session."""
        await self._asides.aclose()

    @property
    def session(self) -> Session:
        assert self._session is not None, "attach first"
        return self._session

    def _echo(self) -> dict[str, Any]:
        return echoed(self.config, self.session_id)

    def _use_formats(self) -> None:
        audio = self.config.audio
        output = self.config.audio.output.format.type if isinstance(self.config, RealtimeConfig) else "audio/pcm"
        self.transport.use(input_codec=audio.input.format.type, output_codec=output)

    # ------------------------------------------------------------ what the client asks

    async def handle(self, frame: str | bytes) -> None:
        """One frame. Whatever is wrong with it is answered with an `error` event."""
        try:
            event = asks.parse(frame)
            if isinstance(event, asks.AudioAppend):
                self._appended_s += await self.transport.receive(event.data())
            else:
                await self.transport.do(partial(self._carry_out, event))
        except EventError as error:
            self._refuse(error, error.event_id)

    def _carry_out(self, event: asks.Event) -> None:
        try:
            self._apply(event)
        except EventError as error:
            self._refuse(error, event.event_id)
        except ConfigError as error:
            self._refuse(EventError(error.what, param=error.param), event.event_id)
        except InputError as error:
            self._refuse(EventError(str(error)), event.event_id)

    def _refuse(self, error: EventError, event_id: str | None) -> None:
        self._outbox.send(
            "error",
            error={
                "type": "invalid_request_error",
                "code": error.code,
                "message": error.what,
                "param": error.param,
                "event_id": event_id,
            },
        )

    def _apply(self, event: asks.Event) -> None:
        match event:
            case asks.SessionUpdate():
                self._update(event)
            case asks.AudioAppend():
                raise AssertionError("audio does not come this way")
            case asks.AudioCommit():
                self._commit()
            case asks.AudioClear():
                self.session.clear_input(SPEAKER)
                self._appended_s = 0.0
                self._outbox.send("input_audio_buffer.cleared")
            case asks.ItemCreate():
                self._create_item(event)
            case asks.ItemRetrieve():
                self._outbox.send("conversation.item.retrieved", item=self._retrieved(event.item_id))
            case asks.ItemDelete():
                self._known(event.item_id, "item_delete_invalid_item_id")
                self.session.remove_item(event.item_id)
                self._outbox.send("conversation.item.deleted", item_id=event.item_id)
            case asks.ItemTruncate():
                self._truncate(event)
            case asks.ResponseCreate():
                self._create_response(event)
            case asks.ResponseCancel():
                self._cancel_response(event)
            case asks.OutputAudioClear():
                raise EventError("output_audio_buffer.clear is for WebRTC connections", code="unsupported_event")
            case _:
                assert_never(event)

    def _update(self, event: asks.SessionUpdate) -> None:
        before = self.config
        self.config = updated(before, cast(dict[str, Any], event.session))
        try:
            settings = self.settings()
        except InputError:
            self.config = before
            raise
        self._use_formats()
        self.session.update(settings)
        self._outbox.send("session.updated", session=self._echo())

    def _commit(self) -> None:
        if self._appended_s < MIN_COMMIT_S:
            raise EventError(
                f"Error committing input audio buffer: buffer too small. Expected at least {MIN_COMMIT_S * 1000:.0f}ms of "
                f"audio, but buffer only has {self._appended_s * 1000:.2f}ms of audio.",
                code="input_audio_buffer_commit_empty",
            )
        self._appended_s = 0.0
        self.session.commit_input(SPEAKER)

    def _create_item(self, event: asks.ItemCreate) -> None:
        transcript = self.session.machine.transcript
        item_id = event.item.id or transcript.next_id()
        if item_id in transcript or item_id in self._aliases:
            raise EventError(f"Item {item_id!r} exists already", code="item_create_duplicate_item_id", param="item.id")
        if isinstance(event.item, asks.MessageItem) and not event.item.text and event.item.content:
            raise EventError("An item needs text, or audio with its transcript", param="item.content")
        after = {None: None, "root": ""}.get(event.previous_item_id, event.previous_item_id)
        after = self._aliases.get(after, after) if after else after
        if after and after not in transcript:
            raise EventError(
                f"There is no item {event.previous_item_id!r}",
                code="item_create_invalid_previous_item_id",
                param="previous_item_id",
            )
        self.session.insert_item(transcript_item(event.item, item_id), after=after)
        item, previous = wire_item(transcript[item_id]), self._previous(item_id)
        self._outbox.send("conversation.item.added", item=item, previous_item_id=previous)
        self._outbox.send("conversation.item.done", item=item, previous_item_id=previous)

    def _known(self, item_id: str, code: str) -> str:
        """The transcript's id of an item."""
        known = self._aliases.get(item_id, item_id)
        if known not in self.session.machine.transcript:
            raise EventError(f"There is no item {item_id!r}", code=code, param="item_id")
        return known

    def _retrieved(self, item_id: str) -> dict[str, Any]:
        if item_id == self._turn.item_id and self._turn.committed:
            return _spoken_item(item_id, None)
        item = self.session.machine.transcript[self._known(item_id, "item_retrieve_invalid_item_id")]
        return {**wire_item(item, transcript=item.text), "id": item_id}

    def _truncate(self, event: asks.ItemTruncate) -> None:
        item_id = self._known(event.item_id, "item_truncate_invalid_item_id")
        if self.session.machine.transcript[item_id].role != "agent":
            raise EventError("Only the agent's messages can be truncated", code="item_truncate_invalid_item_id", param="item_id")
        end_ms = self.session.truncate_item(item_id, event.audio_end_ms) if item_id == event.item_id else event.audio_end_ms
        self._outbox.send(
            "conversation.item.truncated", item_id=event.item_id, content_index=event.content_index, audio_end_ms=end_ms
        )

    def _create_response(self, event: asks.ResponseCreate) -> None:
        if not isinstance(self.config, RealtimeConfig):
            raise EventError("A transcription session has no responses", code="unsupported_event")
        params = event.response
        if params.conversation == "none":
            self._aside(params)
            return
        if self._requested or (self._response is not None and self._response.open):
            raise EventError(
                "Conversation already has an active response in progress", code="conversation_already_has_active_response"
            )
        request_id = f"request_{next(self._requests)}"
        options = self._options(params, request_id)
        self._requested[request_id] = params
        self.session.request_reply(options)

    def _aside(self, params: asks.ResponseParams) -> None:
        """Out of band: beside the conversation, which never hears of it."""
        head = replace(self._head(params), conversation_id=None)
        request = self.session.request_of(self._options(params, ""))
        self._asides.start(head, request, self.session.engines, self._options(params, "").voice)

    def _options(self, params: asks.ResponseParams, request_id: str) -> ReplyOptions:
        voice = params.audio.output.voice if params.audio is not None and params.audio.output is not None else None
        name = voice.get("id") if isinstance(voice, dict) else voice
        limit = params.max_output_tokens
        return ReplyOptions(
            instructions=params.instructions or "",
            max_tokens=None if limit in (None, "inf") else cast(int, limit),
            tools=None if params.tools is None else tools_of(params.tools),
            tool_choice=None if params.tool_choice is None else tool_choice_of(params.tool_choice),
            spoken=None if params.output_modalities is None else params.output_modalities == ["audio"],
            voice=self._voice_of(name) if isinstance(name, str) else None,
            context=None if params.input is None else self._context(params.input),
            request_id=request_id,
        )

    def _context(self, inputs: list[asks.ItemInput | asks.ItemReference]) -> tuple[Message, ...]:
        """What the client wants this response to read instead of the conversation."""
        transcript = Transcript()
        for number, entry in enumerate(inputs):
            if isinstance(entry, asks.ItemReference):
                item = self.session.machine.transcript[self._known(entry.id, "response_input_invalid_item_id")]
            else:
                item = transcript_item(entry, entry.id or f"input_{number}")
            if item.item_id not in transcript:
                transcript.add(item)
        return build_messages(transcript, self.session.settings.prompt)[1:]

    def _cancel_response(self, event: asks.ResponseCancel) -> None:
        active = self._response if self._response is not None and self._response.open else None
        if active is None or event.response_id not in (None, active.head.response_id):
            raise EventError("Cancellation failed: no active response found", code="response_cancel_not_active")
        self._cancelled_by_client = True
        self.session.cancel_reply()
        self._cancelled_by_client = False

    # ------------------------------------------------------------ what happens

    def observe(self, now: float, what: Observed) -> None:
        """The session's observer."""
        match what:
            case on.SpeechStarted():
                self._speech_started(what)
            case on.SpeechStopped():
                self._turn.stopped_at = what.at
            case on.TranscriptPartial():
                self._partial(what)
            case on.InputCommitted():
                self._input_committed()
            case on.ReplyTextAdded():
                self._text_added(what)
            case on.PlayoutAdvanced():
                self._extend(ext.Heard(response_id=self._response_id(), item_id=self._item_id, text=what.heard))
            case do.CommitTurn():
                self._turn_committed(what)
            case do.DiscardTurn():
                self._turn_discarded(what)
            case do.StartReply():
                if not what.speculative:
                    self._begin_response(what.reply_id, self._requested.pop(what.request_id, None))
            case do.CommitReply() | do.SayText():
                self._begin_response(what.reply_id, None)
            case do.CancelReply():
                self._drafts.pop(what.reply_id, None)
            case do.CallTool():
                self._call_tool(what)
            case do.PausePlayout():
                self._tell_speech_started()
                self._extend(ext.PlayoutPaused(response_id=self._response_id()))
            case do.ResumePlayout():
                self._extend(ext.PlayoutResumed(response_id=self._response_id()))
                self._continue_response()
            case do.RecordReply():
                self._reply_recorded(what)
            case do.ReportIdle():
                self._idle(now, what)
            case do.ReportState():
                self._extend(ext.AgentState(state=what.state))
            case TurnReport():
                self._reported(what)
            case _:
                return

    # -------------------------------- the person's turn

    def _speech_started(self, event: on.SpeechStarted) -> None:
        item_id = self.session.machine.speaker(event.speaker).item_id
        if item_id == self._turn.item_id:
            return  # the turn goes on
        self._turn = _OpenTurn(item_id=item_id, started_at=event.at, stopped_at=event.at)
        # Clients fall silent when they hear of speech. Over the agent they are told once it is known to be an interruption.
        if self.session.machine.reply.state is not Replying.PLAYING or not self.session.settings.conversation.interruption.enabled:
            self._tell_speech_started()

    def _tell_speech_started(self) -> None:
        turn = self._turn
        if not turn.item_id or turn.told or turn.committed:
            return
        turn.told = True
        padding_ms = 300
        start_ms = max(0, self.session.audio_ms(SPEAKER, turn.started_at) - padding_ms)
        self._outbox.send("input_audio_buffer.speech_started", item_id=turn.item_id, audio_start_ms=start_ms)

    def _tell_speech_stopped(self) -> None:
        end_ms = self.session.audio_ms(SPEAKER, self._turn.stopped_at)
        self._outbox.send("input_audio_buffer.speech_stopped", item_id=self._turn.item_id, audio_end_ms=end_ms)

    def _partial(self, event: on.TranscriptPartial) -> None:
        """Deltas only ever append, so only words that will hardly change are told."""
        turn = self._turn
        self._extend(
            ext.PartialTranscript(
                item_id=turn.item_id, text=event.text, stable_words=event.stable_words, confidence=event.confidence
            )
        )
        stable = " ".join(event.text.split()[: event.stable_words])
        if not self._transcribes() or not turn.told or len(stable) <= len(turn.transcribed):
            return
        if stable.startswith(turn.transcribed):
            self._transcription("delta", turn.item_id, delta=stable[len(turn.transcribed) :])
            turn.transcribed = stable

    def _input_committed(self) -> None:
        """By hand: it is acknowledged at once, the transcript follows."""
        item_id = self.session.machine.speaker(SPEAKER).item_id
        if item_id != self._turn.item_id:
            self._turn = _OpenTurn(item_id=item_id)
        if not self._turn.committed and item_id:
            if self._turn.told:
                self._tell_speech_stopped()
            self._tell_committed()

    def _tell_committed(self) -> None:
        turn = self._turn
        turn.committed = True
        previous = self._previous(turn.item_id)
        self._outbox.send("input_audio_buffer.committed", item_id=turn.item_id, previous_item_id=previous)
        item = _spoken_item(turn.item_id, None)
        self._outbox.send("conversation.item.added", item=item, previous_item_id=previous)
        self._outbox.send("conversation.item.done", item=item, previous_item_id=previous)

    def _turn_committed(self, effect: do.CommitTurn) -> None:
        if effect.by_text:
            return
        turn = self._turn
        if not turn.committed:
            self._tell_speech_started()
            self._tell_speech_stopped()
            self._tell_committed()
        self._appended_s = 0.0
        self._extend(
            ext.TurnTranscript(item_id=effect.item_id, text=effect.text, confidence=effect.confidence, language=effect.language)
        )
        self._completed(effect.item_id, effect.text)
        self._turn = _OpenTurn()

    def _completed(self, item_id: str, text: str) -> None:
        if self._transcribes():
            seconds = max(0.0, self._turn.stopped_at - self._turn.started_at)
            self._transcription("completed", item_id, transcript=text, usage={"type": "duration", "seconds": seconds})

    def _turn_discarded(self, effect: do.DiscardTurn) -> None:
        turn, self._turn = self._turn, _OpenTurn()
        if turn.committed:
            if effect.reason == "failed" and self._transcribes():
                error = {"type": "transcription_error", "code": "transcription_failed", "message": "The audio was not understood"}
                self._transcription("failed", turn.item_id, error=error)
            else:
                self._completed(turn.item_id, "")
        elif turn.told:
            end_ms = self.session.audio_ms(SPEAKER, turn.stopped_at)
            self._outbox.send("input_audio_buffer.speech_stopped", item_id=turn.item_id, audio_end_ms=end_ms)

    def _transcribes(self) -> bool:
        return self.config.audio.input.transcription is not None or not isinstance(self.config, RealtimeConfig)

    def _transcription(self, kind: Literal["delta", "completed", "failed"], item_id: str, **fields: Any) -> None:
        self._outbox.send(f"conversation.item.input_audio_transcription.{kind}", item_id=item_id, content_index=0, **fields)

    def _idle(self, now: float, effect: do.ReportIdle) -> None:
        turns = self.config.audio.input.turn_detection
        if isinstance(turns, ServerVad) and turns.idle_timeout_ms is not None:
            end_ms = self.session.audio_ms(SPEAKER, now)
            start_ms = max(0, end_ms - round(effect.silent_s * 1000))
            item_id = self.session.machine.transcript.next_id()
            self._outbox.send("input_audio_buffer.timeout_triggered", item_id=item_id, audio_start_ms=start_ms, audio_end_ms=end_ms)

    # -------------------------------- the agent's reply

    def _begin_response(self, reply_id: int, params: asks.ResponseParams | None) -> None:
        self._reply_id = reply_id
        self._item_id = self.session.machine.reply.item_id
        asked = params if params is not None else asks.ResponseParams()
        self._response = OpenResponse(self._outbox, self._head(asked))
        self._say(self._drafts.pop(reply_id, ""))

    def _head(self, params: asks.ResponseParams) -> ResponseHead:
        config = self.config
        assert isinstance(config, RealtimeConfig), "transcription sessions do not reply"
        modality = params.output_modalities[0] if params.output_modalities else modality_of(config)
        return ResponseHead(
            response_id=f"resp_{self.session_id.removeprefix('sess_')}_{next(self._responses)}",
            conversation_id=self._conversation_id,
            modality=modality,
            voice=config.audio.output.voice,
            output_format=config.audio.output.format.model_dump(),
            max_output_tokens=params.max_output_tokens or config.max_output_tokens,
            metadata=params.metadata,
        )

    def _text_added(self, event: on.ReplyTextAdded) -> None:
        if event.reply_id == self._reply_id:
            self._say(event.text)
        elif event.reply_id == self.session.machine.reply.reply_id:  # a draft: nobody is told before it is committed
            self._drafts = {event.reply_id: self._drafts.get(event.reply_id, "") + event.text}

    def _say(self, text: str) -> None:
        if text and self._response is not None:
            self._open_message()
            self._response.say(text)

    def _open_message(self) -> None:
        assert self._response is not None
        if self._response.item_id is None:
            self._response.begin_message(self._item_id, self._previous(self._item_id))

    def _audio(self, data: bytes) -> None:
        """From the transport, when the gate is open."""
        if self._response is not None and self._response.open:
            self._open_message()
            self._response.play(data)

    def _all_written(self) -> None:
        """From the transport. Calls of functions that belong to the reply may still be on their way to the machine."""
        response = self._response
        if response is not None:
            self.transport.soon(partial(self._finish_response, response))

    def _finish_response(self, response: OpenResponse) -> None:
        run = self.session.run_of_reply
        response.finish(
            "completed",
            previous_item_id=self._previous(response.item_id or ""),
            input_tokens=run.prompt_tokens if run is not None else 0,
            output_tokens=run.tokens if run is not None else 0,
        )

    def _call_tool(self, effect: do.CallTool) -> None:
        if self._response is not None and effect.reply_id == self._reply_id:
            item = wire_item(self.session.machine.transcript[effect.item_id])
            self._response.call(item, self._previous(effect.item_id))

    def _continue_response(self) -> None:
        """The client has dropped what it had of a reply that was sent completely: the rest comes as another response, with an
        item that stands for the same one."""
        if self._response is None or self._response.open or self._response.item_id is None:
            return
        alias = f"{self._item_id}_{len(self._aliases) + 2}"
        self._aliases[alias] = self._item_id
        params = asks.ResponseParams(metadata={"continues_item": self._item_id})
        self._response = OpenResponse(self._outbox, self._head(params))
        self._response.begin_message(alias, self._item_id)

    def _reply_recorded(self, effect: do.RecordReply) -> None:
        response = self._response
        if response is None or effect.reply_id != self._reply_id or not response.open:
            return  # told completely, though not heard completely: the client will truncate it
        previous = self._previous(response.item_id or "")
        if effect.failed and not effect.heard:
            error = {"type": "server_error", "code": effect.failed, "message": "The reply could not be made"}
            response.finish("failed", previous_item_id=previous, details={"type": "failed", "error": error})
        elif effect.interrupted:
            reason = "client_cancelled" if self._cancelled_by_client else "turn_detected"
            response.finish(
                "cancelled", previous_item_id=previous, details={"type": "cancelled", "reason": reason}, heard=effect.heard
            )
        else:
            self._finish_response(response)

    # -------------------------------- what is ours

    def _reported(self, report: TurnReport) -> None:
        speculation = report.speculation
        self._extend(
            ext.ReplyReport(
                response_id=self._response_id(),
                turn=report.turn,
                user_text=report.user_text,
                reply_text=report.reply_text,
                heard_text=report.heard_text,
                interrupted=report.interrupted,
                failed=report.failed,
                engines=report.engines,
                waterfall_ms=report.waterfall_ms,
                voice_to_voice_ms=report.voice_to_voice_ms,
                speculation=ext.SpeculationReport(
                    hit=speculation.hit, wasted_tokens=speculation.wasted_tokens, drafts=speculation.drafts
                ),
            )
        )

    def _extend(self, event: ext.Extension) -> None:
        if self._with_extensions:
            fields = event.model_dump()
            self._outbox.send(fields.pop("type"), **fields)

    def _response_id(self) -> str:
        return self._response.head.response_id if self._response is not None else ""

    def _previous(self, item_id: str) -> str | None:
        """The id before this one, or of the last item for one that is not in the transcript (yet). None at the head."""
        ids = self.session.machine.transcript.ids()
        if ids and ids[-1] == item_id:
            return ids[-2] if len(ids) > 1 else None
        if item_id not in ids:
            return ids[-1] if ids else None
        place = ids.index(item_id)
        return ids[place - 1] if place else None


class _OpenTurn:
    """What the client knows of the person's turn. `told`: speech_started was sent; `committed`: the item was."""

    def __init__(self, item_id: str = "", started_at: float = 0.0, stopped_at: float = 0.0) -> None:
        self.item_id = item_id
        self.started_at = started_at
        self.stopped_at = stopped_at
        self.told = False
        self.committed = False
        self.transcribed = ""


def _spoken_item(item_id: str, transcript: str | None) -> dict[str, Any]:
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": transcript}],
    }
