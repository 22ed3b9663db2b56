"""The conversation: events in, effects out. The only place that decides.

No await, clock, thread or I/O. `handle(event, now)` and `handle_timer(now)` return the effects to carry out, in order;
`next_deadline()` tells when to call `handle_timer` next. `now` never goes back; events of equal time are taken in the order in
which they arrive. Decisions about silence count audio (`AudioAdvanced`); the wall clock only decides that something is too
late.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, assert_never

from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.endpointing import CUT_OFF_WINDOW_S, hold_s
from voice_agent.conversation.floor import Context, Floor
from voice_agent.conversation.interruption import Verdict, ignorable, judge
from voice_agent.conversation.pending import pending_of
from voice_agent.conversation.settings import ConversationSettings
from voice_agent.conversation.state import Hearing, Listening, Reply, Replying, Speaker
from voice_agent.conversation.transcript import Item, Transcript
from voice_agent.conversation.words import begins_with, is_echo, is_filler, is_question, words

ECHO_WORDS_BEFORE = 60
ECHO_WORDS_AFTER = 20
"""The agent's words that a microphone may have picked up: about 24 s before the playout position and 8 s behind it."""

UNSURE = 0.3
"""Confidence given to a partial that has to stand in for a final that failed."""


class Machine:
    """One conversation. `transcript` may be that of an earlier one, which then goes on."""

    def __init__(self, settings: ConversationSettings, transcript: Transcript | None = None) -> None:
        self.settings = settings
        self.transcript = transcript if transcript is not None else Transcript()
        self.ended = False
        self._context = Context()
        self._floor = Floor(settings, self.transcript, self._context)
        self._speakers: dict[str, Speaker] = {}
        self._owed: on.ReplyRequested | None = None  # a reply that waits for its time
        self._shown: do.AgentState = "listening"

    # ------------------------------------------------------------ the interface

    def handle(self, event: on.Event, now: float) -> list[do.Effect]:
        """Takes one event."""
        self._context.now = max(self._context.now, now)
        if not self.ended and not self._is_stale(event):
            self._dispatch(event)
        return self._drain()

    def handle_timer(self, now: float) -> list[do.Effect]:
        """Whatever is due by `now`."""
        self._context.now = max(self._context.now, now)
        if not self.ended:
            self._give_up_what_is_late()
        return self._drain()

    def next_deadline(self) -> float | None:
        """When `handle_timer` has something to do if nothing else happens, or None. Asking changes nothing."""
        return None if self.ended else min(self._deadlines(), default=None)

    @property
    def reply(self) -> Reply:
        """The current reply, to be read only."""
        return self._floor.reply

    @property
    def speakers(self) -> tuple[Speaker, ...]:
        """Who is known, to be read only."""
        return tuple(self._speakers.values())

    def speaker(self, name: str) -> Speaker:
        """What is known of a speaker (made when first seen)."""
        if name not in self._speakers:
            self._speakers[name] = Speaker(name=name)
        return self._speakers[name]

    def hold_s(self, speaker: Speaker) -> float:
        """The speaker's hold as things stand."""
        return hold_s(speaker.text, speaker.probability, speaker.pauses, self.settings.endpointing)

    # ------------------------------------------------------------ events

    def _is_stale(self, event: on.Event) -> bool:
        """The one place where late answers are dropped."""
        match event:
            case on.TranscriptPartial() | on.TranscriptFinal() | on.TranscriptFailed() | on.TurnProbability():
                speaker = self._speakers.get(event.speaker)
                return speaker is None or not speaker.open or event.utterance_id != speaker.utterance_id
            case on.SpeechStarted():
                return event.utterance_id <= self.speaker(event.speaker).utterance_id
            case on.SpeechStopped():
                speaker = self._speakers.get(event.speaker)
                return speaker is None or event.utterance_id != speaker.utterance_id
            case on.AudioAdvanced() | on.SpeakerLeft():
                return event.speaker not in self._speakers
            case on.ReplyTextAdded() | on.ToolCalled() | on.ReplyGenerated() | on.ReplyFailed():
                return self._is_past_reply(event.reply_id)
            case on.PlayoutStarted() | on.PlayoutAdvanced() | on.PlayoutFinished():
                return self._is_past_reply(event.reply_id)
            case _:
                return False

    def _is_past_reply(self, reply_id: int) -> bool:
        return self.reply.state is Replying.NONE or reply_id != self.reply.reply_id

    def _dispatch(self, event: on.Event) -> None:
        match event:
            case on.AudioAdvanced():
                self._audio_advanced(event)
            case on.PlayoutAdvanced():
                self._floor.playout_advanced(event.heard)
            case on.ReplyTextAdded():
                self.reply.written += event.text
            case on.SpeechStarted():
                self._speech_started(event)
            case on.SpeechStopped():
                self._speech_stopped(event)
            case on.TranscriptPartial():
                self._transcript_partial(event)
            case on.TranscriptFinal():
                self._transcript_final(event)
            case on.TranscriptFailed():
                self._transcript_failed(self.speaker(event.speaker))
            case on.TurnProbability():
                self.speaker(event.speaker).probability = event.probability
            case on.TextReceived():
                self._text_received(event)
            case on.InputCommitted():
                self._input_committed(self.speaker(event.speaker))
            case on.InputCleared():
                self._discard(self.speaker(event.speaker), "cleared")
            case on.ReplyRequested():
                self._floor.end(only=Replying.DRAFT)
                self._owe(event)
            case on.SayRequested():
                if self.reply.state is Replying.NONE and not self._someone_is_open():
                    self._floor.say(text=event.text)
            case on.ReplyCancelled():
                self._floor.end(interrupted=True)
                self._owed = self._floor.owed_notice = None
            case on.ToolCalled():
                self._floor.tool_called(event)
            case on.ReplyGenerated():
                self.reply.progress_at = self._context.now
            case on.ReplyFailed():
                self._floor.failed(event.code, partly=event.partly)
            case on.PlayoutStarted():
                self._floor.playout_started()
            case on.PlayoutFinished():
                self._floor.playout_finished(event.heard)
            case on.SpeakerJoined():
                self.speaker(event.speaker)
                self._context.stir()
            case on.SpeakerLeft():
                self._discard(self.speaker(event.speaker), "left")
                del self._speakers[event.speaker]
            case on.ItemInserted() | on.ItemRemoved() | on.ItemTruncated():
                self._floor.edit(event)
            case on.SettingsChanged():
                self._change(event.settings)
            case on.Disconnected():
                self._end(event.reason)
            case _:
                assert_never(event)

    def _change(self, settings: ConversationSettings) -> None:
        """What they rule out ends, and what is late by them is late now."""
        self.settings = self._floor.settings = settings
        if not settings.automatic_turns:
            # Nobody will tell when these stop. Their audio waits for `InputCommitted`, which opens a turn with all of it.
            for speaker in self._speakers.values():
                if speaker.state in (Listening.SPEAKING, Listening.PAUSED):
                    self._close_turn(speaker)
        if not (settings.automatic_turns and settings.automatic_replies and settings.speculate):
            self._floor.end(only=Replying.DRAFT)
        if self.reply.state is Replying.HALTED and not (settings.interruption.enabled and self._someone_is_open()):
            self._floor.resume()
        self._give_up_what_is_late()

    # ------------------------------------------------------------ hearing

    def _speech_started(self, event: on.SpeechStarted) -> None:
        speaker = self.speaker(event.speaker)
        self._learn_pause(speaker, event.at)
        if not speaker.open:
            self._open_turn(speaker)
        if speaker.state is not Listening.SPEAKING:
            speaker.fire(Hearing.ONSET)
        speaker.utterance_id = event.utterance_id
        speaker.started_at = speaker.heard_until = event.at
        speaker.final, speaker.probability, speaker.committed_at = False, None, None
        speaker.began_as_filler = speaker.humming = False
        self._context.stir()
        if self.reply.state is Replying.COMMITTED and self.settings.interruption.enabled:
            self._floor.halt()  # nothing is audible yet: waiting costs nothing

    def _open_turn(self, speaker: Speaker) -> None:
        speaker.item_id = self.transcript.promise_id()
        speaker.text, speaker.confidence, speaker.language = "", 1.0, ""

    def _learn_pause(self, speaker: Speaker, at: float) -> None:
        pause_s = at - speaker.stopped_at
        if speaker.state is Listening.PAUSED:
            speaker.pauses.saw_pause(pause_s)
        elif speaker.committed_at is not None and at - speaker.committed_at <= CUT_OFF_WINDOW_S:
            speaker.pauses.saw_cut_off(pause_s)

    def _speech_stopped(self, event: on.SpeechStopped) -> None:
        speaker = self.speaker(event.speaker)
        if speaker.state is not Listening.SPEAKING:
            return  # the turn was closed while they spoke
        speaker.fire(Hearing.END)
        speaker.stopped_at = event.at
        self._request_final(speaker)
        self._context.stir()

    def _audio_advanced(self, event: on.AudioAdvanced) -> None:
        speaker = self._speakers[event.speaker]
        speaker.heard_until = max(speaker.heard_until, event.at)
        if speaker.state is Listening.SPEAKING:
            speaker.humming = event.humming
        if speaker.state is Listening.SPEAKING and self.reply.state is Replying.PLAYING:
            self._judge(speaker)

    def _transcript_partial(self, event: on.TranscriptPartial) -> None:
        speaker = self.speaker(event.speaker)
        if speaker.final:
            return  # the final of the same utterance knows better
        speaker.text, speaker.confidence = event.text, event.confidence
        speaker.began_as_filler = speaker.began_as_filler or is_filler(event.text)
        if speaker.state is not Listening.SPEAKING:
            return
        if self.reply.state is Replying.PLAYING:
            self._judge(speaker)
        elif self.reply.state is Replying.DRAFT and not self._still_answers(speaker):
            self._floor.end()

    def _still_answers(self, speaker: Speaker) -> bool:
        """The draft's turn holds everything that was recognised of this speaker's turn: speech that went on is not new words."""
        return any(turn.speaker == speaker.name and begins_with(turn.text, speaker.text) for turn in self.reply.pending)

    def _judge(self, speaker: Speaker) -> None:
        """Does this speech over the agent stop it?"""
        evidence = speaker.evidence(speaker.heard_until)
        verdict = judge(evidence, agent_text=self._words_in_the_air(), settings=self.settings.interruption)
        if verdict is Verdict.STOP:
            self._floor.halt()

    def _words_in_the_air(self) -> str:
        """The agent's words around the playout position."""
        position = len(words(self.reply.heard))
        return " ".join(words(self.reply.written)[max(0, position - ECHO_WORDS_BEFORE) : position + ECHO_WORDS_AFTER])

    def _transcript_final(self, event: on.TranscriptFinal) -> None:
        speaker = self.speaker(event.speaker)
        if speaker.state is Listening.SPEAKING:
            return  # asked for by a commit that the speaker talked over; the next one is on its way
        speaker.text, speaker.confidence, speaker.language = event.text.strip(), event.confidence, event.language
        self._final_known(speaker)

    def _transcript_failed(self, speaker: Speaker) -> None:
        """A partial stands in if there was one: nothing that was understood is lost."""
        if speaker.state is Listening.SPEAKING:
            return
        if speaker.text:
            speaker.confidence = UNSURE
            self._final_known(speaker)
            return
        self._discard(speaker, "failed")
        if self.reply.state is Replying.NONE and self.settings.automatic_replies:
            self._floor.owed_notice = "not_understood"

    def _final_known(self, speaker: Speaker) -> None:
        speaker.final = True
        closing = speaker.state is Listening.CLOSING
        if not speaker.text:
            self._discard(speaker, "empty")
        elif self._talked_over_the_agent(speaker) and not closing and self._is_ignorable(speaker):
            self._discard(speaker, "echo" if is_echo(speaker.text, self._words_in_the_air()) else "backchannel")
        else:
            if self.settings.interruption.enabled and self._reply_is_committed():
                self._floor.end(interrupted=True)
            if closing:
                self._commit_turns([speaker])

    def _reply_is_committed(self) -> bool:
        return self.reply.state not in (Replying.NONE, Replying.DRAFT)

    def _talked_over_the_agent(self, speaker: Speaker) -> bool:
        """Also when the reply has ended while the final was made."""
        still = self._reply_is_committed() or (self.reply.state is Replying.NONE and speaker.started_at < self.reply.over_at)
        return self.reply.audible and still

    def _is_ignorable(self, speaker: Speaker) -> bool:
        return ignorable(
            speaker.evidence(speaker.stopped_at),
            agent_text=self._words_in_the_air(),
            asked=is_question(self.reply.heard),
            settings=self.settings.interruption,
        )

    def _input_committed(self, speaker: Speaker) -> None:
        if speaker.state is Listening.CLOSING:
            return
        if speaker.state is Listening.PAUSED and speaker.final:
            self._commit_turns([speaker])
            return
        if not speaker.open:
            speaker.utterance_id += 1
            self._open_turn(speaker)
        asked_already = speaker.state is Listening.PAUSED
        speaker.fire(Hearing.CLOSE)
        if not asked_already:
            speaker.stopped_at = self._context.now
            self._request_final(speaker)
        self._context.stir()

    def _request_final(self, speaker: Speaker) -> None:
        speaker.final, speaker.probability = False, None
        speaker.final_deadline_at = self._context.now + self.settings.transcript_timeout_s
        self._context.emit(do.RequestFinal(speaker=speaker.name, utterance_id=speaker.utterance_id))

    # ------------------------------------------------------------ turns

    def _text_received(self, event: on.TextReceived) -> None:
        text = event.text.strip()
        if not text:
            return
        self._floor.end(interrupted=True, only=None if event.reply else Replying.DRAFT)
        self._write_turn(Item(item_id="", role="user", text=text, at=0.0, speaker=event.speaker, by_text=True))
        if event.reply and self.settings.automatic_replies:
            self._owe()

    def _commit_turns(self, speakers: Sequence[Speaker]) -> None:
        """Their turns end now, in the order in which they stopped."""
        turns = pending_of(speakers)
        for speaker in speakers:
            self._write_spoken_turn(speaker)
            speaker.committed_at = self._context.now
        self._floor.owed_notice = None
        if self._floor.has_draft(turns) and (self._owed is None or self._owed == on.ReplyRequested()):
            self._owed = None  # the draft was begun after that and answers it too
            self._floor.commit()
            return
        self._floor.end(only=Replying.DRAFT)
        if self.settings.automatic_replies:
            self._owe()

    def _write_spoken_turn(self, speaker: Speaker) -> None:
        item = Item(
            item_id=speaker.item_id,
            role="user",
            text=speaker.text,
            at=0.0,
            speaker=speaker.name,
            confidence=speaker.confidence,
            language=speaker.language,
        )
        self._write_turn(item)
        self._close_turn(speaker)

    def _write_turn(self, item: Item) -> None:
        item_id = self.transcript.write(item, at=self._context.now)
        self._context.emit(
            do.CommitTurn(
                speaker=item.speaker,
                item_id=item_id,
                text=item.text,
                confidence=item.confidence,
                language=item.language,
                by_text=item.by_text,
            )
        )
        self._floor.failed_draft = ()
        self._context.stir()

    def _discard(self, speaker: Speaker, reason: Literal["empty", "backchannel", "echo", "cleared", "failed", "left"]) -> None:
        """Whatever is open of this speaker was no turn."""
        if not speaker.open:
            return
        if any(turn.speaker == speaker.name for turn in self.reply.pending):
            self._floor.end(only=Replying.DRAFT)
        self._close_turn(speaker)
        self._context.emit(do.DiscardTurn(speaker=speaker.name, reason=reason))
        self._context.stir()
        if self.reply.state is Replying.HALTED and not self._someone_is_open():
            self._floor.resume()

    def _close_turn(self, speaker: Speaker) -> None:
        speaker.fire(Hearing.OVER)
        self.transcript.release_id(speaker.item_id)
        speaker.text, speaker.final, speaker.probability = "", False, None

    def _someone_is_open(self) -> bool:
        return any(speaker.open for speaker in self._speakers.values())

    def _someone_talks(self) -> bool:
        """Someone speaks, or has said words whose final is awaited."""
        return any(speaker.state is Listening.SPEAKING or (speaker.open and speaker.text) for speaker in self._speakers.values())

    def _owe(self, request: on.ReplyRequested | None = None) -> None:
        """A reply is due as soon as nobody speaks and the last reply is over."""
        self._owed = request or self._owed or on.ReplyRequested()

    def _settle(self) -> None:
        """Ends, drafts and replies that have become possible. Runs after every event."""
        speakers = [speaker for speaker in self._speakers.values() if speaker.open]
        if not speakers:
            self._say_what_is_owed()
            return
        if not self.settings.automatic_turns or not all(s.state is Listening.PAUSED and s.final for s in speakers):
            return
        speakers.sort(key=lambda speaker: speaker.stopped_at)
        if all(self._hold_is_over(speaker) for speaker in speakers):
            self._commit_turns(speakers)
            self._settle()
        elif self.settings.speculate and self.settings.automatic_replies and self._owed in (None, on.ReplyRequested()):
            self._floor.draft(pending_of(speakers))

    def _say_what_is_owed(self) -> None:
        if self.reply.state is not Replying.NONE:
            return
        if self._owed is not None:
            request, self._owed = self._owed, None
            self._floor.order(request)
        elif self._floor.owed_notice is not None:
            self._floor.say(self._floor.owed_notice)

    def _hold_is_over(self, speaker: Speaker) -> bool:
        hold = self.hold_s(speaker)
        heard_s = speaker.heard_until - speaker.stopped_at
        return heard_s >= hold or self._context.now >= speaker.stopped_at + hold + self.settings.stall_grace_s

    # ------------------------------------------------------------ time

    def _deadlines(self) -> Iterator[float]:
        """Absolute times at which something is too late. Every one lies ahead once `handle` has returned."""
        for speaker in self._speakers.values():
            if self._awaits_final(speaker):
                yield speaker.final_deadline_at
            elif speaker.state is Listening.PAUSED and self.settings.automatic_turns:
                due_at = speaker.stopped_at + self.hold_s(speaker) + self.settings.stall_grace_s
                if due_at > self._context.now:  # else it waits for another speaker
                    yield due_at
        yield from self._floor.deadlines(talked_over=self._someone_talks())
        if self.settings.idle_timeout_s is not None and self._is_idle():
            yield self._context.quiet_since + self.settings.idle_timeout_s

    @staticmethod
    def _awaits_final(speaker: Speaker) -> bool:
        return speaker.state in (Listening.PAUSED, Listening.CLOSING) and not speaker.final

    def _give_up_what_is_late(self) -> None:
        now = self._context.now
        for speaker in list(self._speakers.values()):
            if self._awaits_final(speaker) and now >= speaker.final_deadline_at:
                self._transcript_failed(speaker)
        self._floor.give_up_if_late(talked_over=self._someone_talks())
        timeout_s = self.settings.idle_timeout_s
        if timeout_s is not None and self._is_idle() and now >= self._context.quiet_since + timeout_s:
            self._context.idle_reported = True
            self._context.emit(do.ReportIdle(silent_s=now - self._context.quiet_since))
            if self.settings.idle_reply:
                self._floor.order(idle=True)

    def _is_idle(self) -> bool:
        unasked = self._owed is None and self._floor.owed_notice is None and not self._context.idle_reported
        return unasked and self.reply.state is Replying.NONE and not self._someone_is_open()

    # ------------------------------------------------------------ the end of a call, and of all

    def _drain(self) -> list[do.Effect]:
        if not self.ended:
            self._settle()
            state = self._floor.agent_state()
            if state != self._shown:
                self._shown = state
                self._context.emit(do.ReportState(state=state))
        out, self._context.out = self._context.out, []
        return out

    def _end(self, reason: str) -> None:
        """What was said completely is kept, the rest is let go."""
        self._owed = None
        self._floor.end(interrupted=True)
        for speaker in self._speakers.values():
            if speaker.state is Listening.PAUSED and speaker.final:
                self._write_spoken_turn(speaker)
            else:
                self._discard(speaker, "left")
        self.ended = True
        self._context.emit(do.EndSession(reason=reason))
