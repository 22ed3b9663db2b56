"""The machine's replies as the client is told of them: one response each, or two where one went on after a false barge-in."""

import itertools
from collections.abc import Callable
from typing import Any, TypeVar

from voice_agent.api.realtime import extensions as ext
from voice_agent.api.realtime.connection import Connection
from voice_agent.api.realtime.response import OpenResponse, ResponseHead, Status
from voice_agent.api.realtime.settings_map import modality_of
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.session.report import TurnReport
from voice_agent.transports.realtime.client_events import ResponseParams
from voice_agent.transports.realtime.config import RealtimeConfig

T = TypeVar("T")


class Replies:
    """At most one response is open. It may be open before its reply begins: a client that asked for one is told at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._response: OpenResponse | None = None
        self._waits = False  # the response is open, its reply has not begun
        self._reply_id = 0
        self._item_id = ""  # of the reply
        self._start_char = 0  # of the reply's text: where the response's begins
        self._heard_chars = 0  # of the reply's text
        self._written = False  # all audio has left
        self._generated_id = 0  # the newest reply of which everything is made
        self._failure = ""
        self._silenced = False  # the client fell silent and the response ended: what is left may come as another one
        self._calls_kept: list[do.CallTool] = []  # made meanwhile
        self._by_client = False

    @property
    def ends_by_client(self) -> bool:
        """Whatever ends now is the client's doing."""
        return self._by_client

    @property
    def active(self) -> bool:
        """A response is open, or may yet go on."""
        return self._silenced or (self._response is not None and self._response.open)

    def speaks(self, item_id: str) -> bool:
        """The item's response is open."""
        return self._response is not None and self._response.open and not self._waits and item_id == self._item_id

    @property
    def response_id(self) -> str:
        return self._response.head.response_id if self._response is not None else ""

    def head(self, params: ResponseParams, *, conversation: bool = True) -> ResponseHead:
        """Of a new response."""
        config = self._connection.config
        assert isinstance(config, RealtimeConfig), "transcription sessions do not reply"
        name = self._connection.session_id.removeprefix("sess_")
        return ResponseHead(
            response_id=f"resp_{name}_{next(self._numbers)}",
            conversation_id=f"conv_{name}" if conversation else None,
            modality=params.output_modalities[0] if params.output_modalities else modality_of(config),
            voice=params.voice or config.audio.output.voice,
            output_format=config.audio.output.format.model_dump(),
            max_output_tokens=params.max_output_tokens or config.max_output_tokens,
            metadata=params.metadata,
        )

    # ------------------------------------------------------------ beginning

    def ask(self, params: ResponseParams) -> None:
        """The client has asked for a reply, which begins as soon as nobody speaks."""
        self._open(params)
        self._waits = True

    def _open(self, params: ResponseParams) -> OpenResponse:
        self._response = OpenResponse(self._connection.outbox, self.head(params))
        return self._response

    def begin(self, reply_id: int) -> None:
        """A reply that will be heard."""
        reply = self._connection.session.machine.reply
        if not self._waits:
            self._open(ResponseParams())
        self._waits = self._written = self._silenced = False
        self._reply_id, self._item_id, self._failure = reply_id, reply.item_id, ""
        self._start_char = self._heard_chars = 0
        self._say(reply.written)

    # ------------------------------------------------------------ what is said

    def text_added(self, event: on.ReplyTextAdded) -> None:
        if event.reply_id == self._reply_id and not self._silenced:
            self._say(event.text)

    def _say(self, text: str) -> None:
        if text and self._response is not None and self._response.open and not self._waits:
            self._open_message(self._response)
            self._response.say(text)

    def audio(self, data: bytes) -> None:
        """In wire format; the session lets out only what may be heard."""
        if self._response is not None and self._response.open and not self._silenced and not self._waits:
            self._open_message(self._response)
            self._response.play(data)

    def _open_message(self, response: OpenResponse) -> None:
        if response.item_id is None:
            previous = self._connection.items.tell(self._item_id, as_text=response.head.modality == "text")
            response.begin_message(self._item_id, previous)

    def called(self, effect: do.CallTool) -> None:
        """A call of a function that belongs to the reply."""
        if effect.reply_id != self._reply_id or self._response is None:
            return
        if self._silenced:
            self._calls_kept.append(effect)
            return
        items = self._connection.items
        previous = items.tell(effect.item_id)
        self._response.call(items.wire(effect.item_id, self._connection.session.machine.transcript[effect.item_id]), previous)

    # ------------------------------------------------------------ silence, and going on

    def silence(self) -> None:
        """The client has been told of speech and drops what it holds: the response ends. What is written can be read on."""
        response = self._response
        if response is None or not self._reply_id or self._silenced or self._waits or response.head.modality == "text":
            return
        self._silenced = True
        self._connection.outbox.drop_audio(self.response_id)
        self._close(response, "cancelled", reason="turn_detected", heard=self._connection.session.playout_text)

    def go_on(self) -> None:
        """It was no interruption. The rest is another response, with an item that is a piece of the reply's."""
        response, reply = self._response, self._connection.session.machine.reply
        if not self._silenced or response is None:
            return
        self._silenced = self._written = False
        rest = reply.written[len(reply.heard) :].lstrip() if reply.written.startswith(reply.heard) else ""
        calls, self._calls_kept = self._calls_kept, []
        if not rest and not calls and self._is_made:
            return  # everything was heard
        told = response.item_id is not None
        again = self._open(ResponseParams(metadata={"continues_item": self._item_id} if told else None))
        if told and rest:
            self._begin_piece(again, len(reply.written) - len(rest))
        self._say(rest)
        for call in calls:
            self.called(call)

    def _begin_piece(self, response: OpenResponse, start_char: int) -> None:
        items, self._start_char = self._connection.items, start_char
        previous = items.last_name(self._item_id)
        name = items.go_on(self._item_id, start_char=start_char, start_ms=self._connection.session.playout_ms)
        response.begin_message(name, previous)

    # ------------------------------------------------------------ ending

    def generated(self, event: on.ReplyGenerated) -> None:
        self._generated_id = event.reply_id
        self._complete()

    def failed(self, event: on.ReplyFailed) -> None:
        """What is there is still played."""
        if event.reply_id == self._reply_id and event.partly:
            self._failure = event.code
            self._complete()

    def all_written(self) -> None:
        self._written = True
        self._complete()

    def _complete(self) -> None:
        """Once everything is made and has left; calls of functions come before the former."""
        silent = self._silenced or self._waits
        if self._response is not None and self._reply_id and self._written and self._is_made and not silent:
            self._close(self._response, "failed" if self._failure else "completed", error=self._failure)

    @property
    def _is_made(self) -> bool:
        """No more of the reply will come."""
        return self._generated_id == self._reply_id or bool(self._failure)

    def recorded(self, effect: do.RecordReply) -> None:
        """The reply is over. If it was told completely it need not have been heard completely: the client truncates it."""
        if effect.reply_id != self._reply_id or self._response is None:
            return
        if self._waits:
            pass  # its response is over; the open one is the next reply's, asked for while this one was still playing
        elif effect.failed:
            self._close(self._response, "failed", error=effect.failed, heard=effect.heard)
        elif effect.interrupted:
            reason = "client_cancelled" if self._by_client else "turn_detected"
            self._close(self._response, "cancelled", reason=reason, heard=effect.heard)
        else:
            self._close(self._response, "completed")
        if not self._connection.items.is_told(self._item_id):
            self._connection.session.remove_item(self._item_id)  # nobody knows of it
        for call in self._calls_kept:
            self._connection.session.remove_item(call.item_id)  # nobody will answer it
        self._calls_kept = []
        self._reply_id, self._silenced = 0, False

    def _close(
        self, response: OpenResponse, status: Status, *, reason: str = "", error: str = "", heard: str | None = None
    ) -> None:
        """`heard` is of the whole reply."""
        details: dict[str, Any] | None = None
        if reason:
            details = {"type": status, "reason": reason}
        elif error:
            details = {"type": status, "error": {"type": "server_error", "code": error, "message": "The reply could not be made"}}
        run = self._connection.session.run_of_reply
        tokens = (run.prompt_tokens, run.tokens) if run is not None and run.reply_id == self._reply_id else (0, 0)
        told = None if heard is None else heard[self._start_char :].strip()
        response.finish(status, details=details, heard=told, input_tokens=tokens[0], output_tokens=tokens[1])

    def cancel(self, response_id: str | None) -> bool:
        """The client wants no more of the open response, or of this one. False if there is none."""
        response = self._response
        if self._silenced:
            self.end_by_client(self._connection.session.cancel_reply)  # it will not go on
        if response is None or not response.open or response_id not in (None, response.head.response_id):
            return False
        with_reply = not self._waits
        self._waits = False
        self.end_by_client(self._connection.session.cancel_reply)
        if not with_reply:
            self._close(response, "cancelled", reason="client_cancelled")
        return True

    def end_by_client(self, edit: Callable[[], T]) -> T:
        """What ends during `edit` is the client's doing."""
        self._by_client = True
        try:
            return edit()
        finally:
            self._by_client = False

    def end(self) -> None:
        """The session has ended."""
        if self._response is not None:
            self._close(self._response, "cancelled", reason="client_cancelled")

    # ------------------------------------------------------------ what is ours

    def advanced(self, event: on.PlayoutAdvanced) -> None:
        """More of the reply has been heard, or less, when the client has said so."""
        if event.reply_id != self._reply_id:
            return
        connection, name = self._connection, self._connection.items.last_name(self._item_id)
        start_ms, _ = connection.items.audio_of(name)
        times = connection.session.word_times(event.reply_id, max(self._heard_chars, self._start_char), len(event.heard))
        self._heard_chars = len(event.heard)
        words = [ext.HeardWord(text=text, start_ms=start - start_ms, end_ms=end - start_ms) for text, start, end in times]
        text = event.heard[self._start_char :].lstrip()
        connection.extend(ext.Heard(response_id=self.response_id, item_id=name, text=text, words=words))

    def paused(self) -> None:
        self._connection.extend(ext.PlayoutPaused(response_id=self.response_id))

    def resumed(self) -> None:
        self._connection.extend(ext.PlayoutResumed(response_id=self.response_id))

    def reported(self, report: TurnReport) -> None:
        self._connection.extend(ext.reply_report(self.response_id, report))
