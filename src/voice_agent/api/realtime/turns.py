"""The person's turns as the client is told of them: speech, commit, item, transcript."""

from dataclasses import dataclass
from typing import Any, Literal

from voice_agent.api.realtime import extensions as ext
from voice_agent.api.realtime.connection import Connection
from voice_agent.api.realtime.wire_items import spoken_item
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.state import Replying
from voice_agent.transports.realtime.config import ServerVad
from voice_agent.transports.realtime.transport import SPEAKER

PREFIX_PADDING_MS = 300
"""Speech is told to have begun this much before its onset, where the client has not said how much."""

NOT_UNDERSTOOD = {"type": "transcription_error", "code": "transcription_failed", "message": "The audio was not understood"}


@dataclass(slots=True)
class _Turn:
    """`told`: speech_started was sent; `committed`: the item was. `transcribed` is the sum of the deltas, `by_hand_s` how much
    audio the client has committed."""

    item_id: str = ""
    started_at: float = 0.0
    stopped_at: float = 0.0
    told: bool = False
    committed: bool = False
    transcribed: str = ""
    by_hand_s: float | None = None


class Turns:
    """One turn at a time; one with an empty id is not open."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = _Turn()
        self._mark_s = 0.0  # how much audio had come when the last turn was settled; what came since is not committed

    @property
    def is_open(self) -> bool:
        """Somebody speaks, or pauses."""
        return bool(self._turn.item_id) and not self._turn.committed

    @property
    def awaits_words(self) -> bool:
        """It was committed by hand; its transcript is being made."""
        return self._turn.committed

    def pending_s(self, received_s: float) -> float:
        """Audio that is not committed, of all that has come."""
        return max(0.0, received_s - self._mark_s)

    def clear(self, received_s: float) -> None:
        """What has come is withdrawn."""
        self._mark_s = received_s

    # ------------------------------------------------------------ speech

    def speech_started(self, event: on.SpeechStarted) -> None:
        item_id = self._connection.session.machine.speaker(event.speaker).item_id
        if item_id == self._turn.item_id:
            return  # the turn goes on
        self._turn = _Turn(item_id=item_id, started_at=event.at, stopped_at=event.at)
        # Clients fall silent when they hear of speech. Over the agent they are told once it is known to be an interruption.
        if not self._over_the_agent():
            self.tell_speech()

    def _over_the_agent(self) -> bool:
        session = self._connection.session
        return session.machine.reply.state is Replying.PLAYING and session.settings.conversation.interruption.enabled

    def tell_speech(self) -> None:
        """Unless that has been told."""
        turn = self._turn
        if turn.item_id and not turn.told and not turn.committed:
            turn.told = True
            start_ms = max(0, self._ms(turn.started_at) - self._padding_ms())
            self._connection.send("input_audio_buffer.speech_started", item_id=turn.item_id, audio_start_ms=start_ms)

    def _padding_ms(self) -> int:
        detection = self._connection.config.audio.input.turn_detection
        return detection.prefix_padding_ms if isinstance(detection, ServerVad) else PREFIX_PADDING_MS

    def speech_stopped(self, event: on.SpeechStopped) -> None:
        """The client is told at the end of the turn: this may be a pause in it."""
        self._turn.stopped_at = event.at

    def _tell_stopped(self) -> None:
        end_ms = self._ms(self._turn.stopped_at)
        self._connection.send("input_audio_buffer.speech_stopped", item_id=self._turn.item_id, audio_end_ms=end_ms)

    def _ms(self, at: float) -> int:
        return self._connection.session.audio_ms(SPEAKER, at)

    def let_go(self) -> None:
        """Turns are ended by hand from now on: the open one is the client's to commit."""
        turn = self._turn
        if turn.item_id and not turn.committed:
            if turn.told:
                self._tell_stopped()
            self._turn = _Turn()

    # ------------------------------------------------------------ words

    def partial(self, event: on.TranscriptPartial) -> None:
        """Deltas only ever append, so only words that will hardly change are told."""
        turn = self._turn
        self._connection.extend(
            ext.PartialTranscript(
                item_id=turn.item_id, text=event.text, stable_words=event.stable_words, confidence=event.confidence
            )
        )
        stable = " ".join(event.text.split()[: event.stable_words])
        grows = len(stable) > len(turn.transcribed) and stable.startswith(turn.transcribed)
        if self._connection.transcribes and turn.told and grows:
            self._tell_words("delta", turn.item_id, delta=stable[len(turn.transcribed) :])
            turn.transcribed = stable

    def _tell_words(self, kind: Literal["delta", "completed", "failed"], item_id: str, **fields: Any) -> None:
        kind_of_event = f"conversation.item.input_audio_transcription.{kind}"
        self._connection.send(kind_of_event, item_id=item_id, content_index=0, **fields)

    def _tell_completed(self, item_id: str, text: str, seconds: float) -> None:
        if self._connection.transcribes:
            usage = {"type": "duration", "seconds": round(seconds, 3)}
            self._tell_words("completed", item_id, transcript=text, usage=usage)

    # ------------------------------------------------------------ the end

    def commit(self, received_s: float) -> None:
        """The client ends the turn. It is acknowledged at once, the transcript follows."""
        seconds, self._mark_s = self.pending_s(received_s), received_s
        self._connection.session.commit_input(SPEAKER)
        if self._turn.committed:  # its words are not known yet
            self._turn.by_hand_s = seconds

    def committed_by_hand(self) -> None:
        """As the session says."""
        item_id = self._connection.session.machine.speaker(SPEAKER).item_id
        if item_id != self._turn.item_id:
            self._turn = _Turn(item_id=item_id)
        if not self._turn.committed:
            self._tell_committed()

    def _tell_committed(self) -> None:
        turn = self._turn
        if turn.told:
            self._tell_stopped()
        turn.committed = True
        previous = self._connection.items.tell(turn.item_id)
        self._connection.send("input_audio_buffer.committed", item_id=turn.item_id, previous_item_id=previous)
        item = spoken_item(turn.item_id)
        self._connection.send("conversation.item.added", item=item, previous_item_id=previous)
        self._connection.send("conversation.item.done", item=item, previous_item_id=previous)

    def committed(self, effect: do.CommitTurn) -> None:
        """Its words are known."""
        if effect.by_text:
            return
        seconds = self._seconds()
        if not self._turn.committed:
            self.tell_speech()
            self._tell_committed()
        self._connection.extend(
            ext.TurnTranscript(item_id=effect.item_id, text=effect.text, confidence=effect.confidence, language=effect.language)
        )
        self._tell_completed(effect.item_id, effect.text, seconds)
        self._settled()

    def _seconds(self) -> float:
        """How long it was, as far as that is known."""
        turn = self._turn
        said_s = turn.stopped_at - turn.started_at
        return said_s if turn.by_hand_s is None else turn.by_hand_s

    def discarded(self, effect: do.DiscardTurn) -> None:
        """It was no turn. An item that was told already is taken back."""
        turn = self._turn
        if turn.committed:
            self._take_back(turn, failed=effect.reason == "failed")
        elif turn.told:
            self._tell_stopped()
        self._settled()

    def _take_back(self, turn: _Turn, *, failed: bool) -> None:
        if failed and self._connection.transcribes:
            self._tell_words("failed", turn.item_id, error=NOT_UNDERSTOOD)
        else:
            self._tell_completed(turn.item_id, "", self._seconds())
        for name in self._connection.items.forget(turn.item_id):
            self._connection.send("conversation.item.deleted", item_id=name)

    def _settled(self) -> None:
        if self._turn.by_hand_s is None:
            self._mark_s = self._connection.transport.received_s
        self._turn = _Turn()
        self._connection.transport.release()

    # ------------------------------------------------------------ silence

    def idle(self, now: float, effect: do.ReportIdle) -> None:
        detection = self._connection.config.audio.input.turn_detection
        if isinstance(detection, ServerVad) and detection.idle_timeout_ms is not None:
            end_ms = self._ms(now)
            start_ms = max(0, end_ms - round(effect.silent_s * 1000))
            item_id = self._connection.session.machine.transcript.next_id()
            self._connection.send(
                "input_audio_buffer.timeout_triggered", item_id=item_id, audio_start_ms=start_ms, audio_end_ms=end_ms
            )
