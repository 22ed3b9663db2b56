"""What a client asks: its events, carried out in the session's own order."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

from voice_agent.api.realtime.asides import Aside, Asides
from voice_agent.api.realtime.connection import Connection
from voice_agent.api.realtime.replies import Replies
from voice_agent.api.realtime.settings_map import session_settings_of, tool_choice_of, tools_of
from voice_agent.api.realtime.turns import Turns
from voice_agent.api.realtime.wire_items import transcript_item
from voice_agent.conversation.transcript import Item, Transcript
from voice_agent.engines.base import Message
from voice_agent.errors import InputError
from voice_agent.session.prompt import build_messages
from voice_agent.session.settings import ReplyOptions, SessionSettings
from voice_agent.transports.realtime import client_events as asks
from voice_agent.transports.realtime.client_events import EventError
from voice_agent.transports.realtime.config import ConfigError, RealtimeConfig, SessionConfig, echoed, updated
from voice_agent.transports.realtime.transport import SPEAKER

MIN_COMMIT_S = 0.1
"""Less audio cannot be committed, as clients expect."""

VoiceOf = Callable[[str], str | None]
"""The engine's name for a client's voice. Raises `InputError` for one that nobody has."""


class Requests:
    """Each method raises `EventError`, `ConfigError` or `InputError` for what cannot be done; nothing has changed then."""

    def __init__(self, connection: Connection, turns: Turns, replies: Replies, *, base: SessionSettings, voice_of: VoiceOf) -> None:
        self._connection = connection
        self._turns = turns
        self._replies = replies
        self._base = base
        self._voice_of = voice_of
        self._asides = Asides(connection.outbox)
        self._requests = 0

    async def aclose(self) -> None:
        """Ends what runs beside the session."""
        await self._asides.aclose()

    def carry_out(self, event: asks.Event, received_s: float) -> None:
        """One event, behind `received_s` seconds of audio. Whatever is wrong with it is answered with an `error` event."""
        try:
            self._apply(event, received_s)
        except (EventError, ConfigError) as error:
            self.refuse(error.what, code=error.code, param=error.param, event_id=event.event_id)
        except InputError as error:
            self.refuse(str(error), code=EventError.code, param=None, event_id=event.event_id)

    def refuse(self, message: str, *, code: str, param: str | None, event_id: str | None) -> None:
        """Tells the client that its event was not carried out."""
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": param, "event_id": event_id}
        self._connection.send("error", error=error)

    def _apply(self, event: asks.Event, received_s: float) -> None:
        match event:
            case asks.SessionUpdate():
                self._update(cast(dict[str, Any], event.session))
            case asks.AudioCommit():
                self._commit(received_s)
            case asks.AudioClear():
                self._clear(received_s)
            case asks.ItemCreate():
                self._create_item(event)
            case asks.ItemRetrieve():
                self._retrieve_item(event.item_id)
            case asks.ItemDelete():
                self._delete_item(event.item_id)
            case asks.ItemTruncate():
                self._truncate_item(event)
            case asks.ResponseCreate():
                self._create_response(event.response or asks.ResponseParams())
            case asks.ResponseCancel():
                self._cancel_response(event.response_id)
            case asks.OutputAudioClear():
                raise EventError("output_audio_buffer.clear is for WebRTC connections", code="unsupported_event")
            case asks.AudioAppend():
                raise AssertionError("audio does not come this way")

    # ------------------------------------------------------------ the session

    def settings_of(self, config: SessionConfig) -> SessionSettings:
        """What a session with this configuration is to run with."""
        voice = self._voice_of(config.audio.output.voice) if isinstance(config, RealtimeConfig) else None
        return session_settings_of(self._base, config, voice=voice)

    def use_formats(self) -> None:
        audio = self._connection.config.audio
        config = self._connection.config
        output = config.audio.output.format.type if isinstance(config, RealtimeConfig) else "audio/pcm"
        self._connection.transport.use(input_codec=audio.input.format.type, output_codec=output)

    def echo(self) -> dict[str, Any]:
        """The effective configuration."""
        return echoed(self._connection.config, self._connection.session_id)

    def _update(self, update: dict[str, Any]) -> None:
        config = updated(self._connection.config, update)
        settings = self.settings_of(config)
        self._connection.config = config
        self.use_formats()
        if config.audio.input.turn_detection is None:
            self._turns.let_go()
        self._connection.session.update(settings)
        self._connection.send("session.updated", session=self.echo())

    # ------------------------------------------------------------ audio

    def _commit(self, received_s: float) -> None:
        """What comes behind it waits until the turn's words are known, so that items keep the order in which they were told."""
        pending_s = self._turns.pending_s(received_s)
        if pending_s < MIN_COMMIT_S:
            raise EventError(
                f"Error committing input audio buffer: buffer too small. Expected at least {MIN_COMMIT_S * 1000:.0f}ms of "
                f"audio, but buffer only has {pending_s * 1000:.2f}ms of audio.",
                code="input_audio_buffer_commit_empty",
            )
        self._turns.commit(received_s)
        if self._turns.awaits_words:
            self._connection.transport.hold()

    def _clear(self, received_s: float) -> None:
        self._connection.session.clear_input(SPEAKER)
        self._turns.clear(received_s)
        self._connection.send("input_audio_buffer.cleared")

    # ------------------------------------------------------------ items

    def _create_item(self, event: asks.ItemCreate) -> None:
        items, transcript = self._connection.items, self._connection.session.machine.transcript
        item_id = event.item.id
        if item_id is not None and not items.is_free(item_id):
            raise EventError(f"Item {item_id!r} exists already", code="item_create_duplicate_item_id", param="item.id")
        if isinstance(event.item, asks.MessageItem) and not event.item.text and event.item.content:
            raise EventError("An item needs text, or audio with its transcript", param="item.content")
        after = self._place_behind(event.previous_item_id)
        item = transcript_item(event.item, item_id or transcript.next_id())
        self._connection.session.insert_item(item, after=after)
        previous = items.tell(item.item_id)
        wire = items.wire(item.item_id, item)
        self._connection.send("conversation.item.added", item=wire, previous_item_id=previous)
        self._connection.send("conversation.item.done", item=wire, previous_item_id=previous)

    def _place_behind(self, name: str | None) -> str | None:
        """As the transcript wants it: None for the end, "" for the head."""
        if name is None or name == "root":
            return None if name is None else ""
        return self._known(name, code="item_create_invalid_previous_item_id", param="previous_item_id").item_id

    def _known(self, name: str, *, code: str, param: str = "item_id") -> Item:
        item = self._connection.items.find(name)
        if item is None:
            raise EventError(f"There is no item {name!r}", code=code, param=param)
        return item

    def _retrieve_item(self, name: str) -> None:
        item = self._known(name, code="item_retrieve_invalid_item_id")
        status = "in_progress" if self._replies.speaks(item.item_id) else None
        self._connection.send("conversation.item.retrieved", item=self._connection.items.wire(name, item, status=status))

    def _delete_item(self, name: str) -> None:
        item = self._known(name, code="item_delete_invalid_item_id")
        self._replies.end_by_client(partial(self._connection.session.remove_item, item.item_id))
        for known in self._connection.items.forget(item.item_id):
            self._connection.send("conversation.item.deleted", item_id=known)

    def _truncate_item(self, event: asks.ItemTruncate) -> None:
        """Never an error for a known reply: a time behind its end is its end."""
        item = self._known(event.item_id, code="item_truncate_invalid_item_id")
        if item.role != "agent":
            raise EventError("Only the agent's messages can be truncated", code="item_truncate_invalid_item_id", param="item_id")
        start_ms, length_ms = self._connection.items.audio_of(event.item_id)
        if length_ms is not None:  # it ended where the next piece begins
            end_ms = min(event.audio_end_ms, length_ms)
        else:
            truncate = partial(self._connection.session.truncate_item, item.item_id, start_ms + event.audio_end_ms)
            end_ms = max(0, self._replies.end_by_client(truncate) - start_ms)
        self._connection.send(
            "conversation.item.truncated", item_id=event.item_id, content_index=event.content_index, audio_end_ms=end_ms
        )

    # ------------------------------------------------------------ responses

    def _create_response(self, params: asks.ResponseParams) -> None:
        if not isinstance(self._connection.config, RealtimeConfig):
            raise EventError("A transcription session has no responses", code="unsupported_event")
        if params.conversation == "none":
            self._start_aside(params)
            return
        if self._replies.active:
            raise EventError(
                "Conversation already has an active response in progress", code="conversation_already_has_active_response"
            )
        options = self._options(params)
        self._replies.ask(params)
        self._connection.session.request_reply(options)

    def _start_aside(self, params: asks.ResponseParams) -> None:
        """Out of band: beside the conversation, which never hears of it."""
        self._asides.check_room()
        session, options = self._connection.session, self._options(params)
        aside = Aside(
            head=self._replies.head(params, conversation=False),
            request=session.request_of(options),
            engines=session.engines,
            voice=replace(session.settings.voice, voice=options.voice or session.settings.voice.voice),
            codec=self._connection.transport.output_codec,
        )
        self._asides.start(aside)

    def _options(self, params: asks.ResponseParams) -> ReplyOptions:
        self._requests += 1
        limit = params.max_output_tokens
        return ReplyOptions(
            instructions=params.instructions or "",
            max_tokens=None if limit in (None, "inf") else cast(int, limit),
            tools=None if params.tools is None else tools_of(params.tools),
            tool_choice=None if params.tool_choice is None else tool_choice_of(params.tool_choice),
            spoken=None if params.output_modalities is None else params.output_modalities == ["audio"],
            voice=self._voice_of(params.voice) if params.voice is not None else None,
            context=None if params.input is None else self._context(params.input),
            request_id=f"request_{self._requests}",
        )

    def _context(self, inputs: list[asks.ItemInput | asks.ItemReference]) -> tuple[Message, ...]:
        """What the client wants this response to read instead of the conversation."""
        context = Transcript()
        for number, entry in enumerate(inputs):
            if isinstance(entry, asks.ItemReference):
                item = self._known(entry.id, code="response_input_invalid_item_id", param="response.input")
            else:
                item = transcript_item(entry, entry.id or f"input_{number}")
            if item.item_id not in context:
                context.add(item)
        prompt = replace(self._connection.session.settings.prompt, history_items=max(1, len(context)))
        return build_messages(context, prompt)[1:]

    def _cancel_response(self, response_id: str | None) -> None:
        if response_id is not None and self._asides.cancel(response_id):
            return
        if not self._replies.cancel(response_id):
            raise EventError("Cancellation failed: no active response found", code="response_cancel_not_active")
