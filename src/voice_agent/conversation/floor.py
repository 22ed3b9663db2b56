"""The agent's side of the conversation: the life of one reply at a time, from draft to what was heard of it.

machine.py decides *when*; this file knows what each step means for the reply, the transcript and the effects.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

from voice_agent.conversation import effects as do
from voice_agent.conversation.events import ItemInserted, ItemRemoved, ItemTruncated, ReplyRequested, ToolCalled
from voice_agent.conversation.settings import ConversationSettings
from voice_agent.conversation.state import Reply, Replying, Turning
from voice_agent.conversation.transcript import Item, Transcript
from voice_agent.conversation.words import same_words


@dataclass(slots=True)
class Context:
    """What both sides share: the time, the effects of the running call, and when something was last said."""

    now: float = 0.0
    out: list[do.Effect] = field(default_factory=list)
    quiet_since: float = 0.0
    idle_reported: bool = False

    def emit(self, effect: do.Effect) -> None:
        self.out.append(effect)

    def stir(self) -> None:
        """A person did something: idle time starts anew."""
        self.idle_reported = False
        self.quiet_since = self.now

    def stir_by_agent(self) -> None:
        """The agent's own voice breaks the silence too, but does not make it worth asking again."""
        self.quiet_since = self.now


class Floor:
    """At most one reply; `reply.state` NONE means that the agent has nothing to say."""

    def __init__(self, settings: ConversationSettings, transcript: Transcript, context: Context) -> None:
        self.reply = Reply()
        self.failed_draft: tuple[do.PendingTurn, ...] = ()
        """The turns whose draft failed; they are tried once more when they end, not before."""
        self.owed_notice: Literal["reply_lost", "not_understood"] | None = None
        """What is to be said as soon as nobody speaks, unless a reply comes first."""
        self.settings = settings
        self._transcript = transcript
        self._context = context
        self._count = 0

    # ------------------------------------------------------------ beginning

    def draft(self, turns: tuple[do.PendingTurn, ...]) -> None:
        """A reply to turns that may go on, unless it was begun already, has failed already, or something is being said."""
        busy = self.reply.state not in (Replying.NONE, Replying.DRAFT)
        if busy or self.has_draft(turns) or _same_turns(self.failed_draft, turns):
            return
        self.end()
        self._begin(Turning.DRAFT)
        self.reply.pending = turns
        self._context.emit(do.StartReply(reply_id=self.reply.reply_id, pending=turns, speculative=True))

    def has_draft(self, turns: tuple[do.PendingTurn, ...]) -> bool:
        """There is one, and it is a reply to these."""
        return self.reply.state is Replying.DRAFT and _same_turns(self.reply.pending, turns)

    def order(self, request: ReplyRequested | None = None, *, idle: bool = False) -> None:
        """A reply to the transcript as it is."""
        self._begin(Turning.ORDER)
        asked = request if request is not None else ReplyRequested()
        self._context.emit(
            do.StartReply(reply_id=self.reply.reply_id, instructions=asked.instructions, request_id=asked.request_id, idle=idle)
        )
        self._take_place()

    def say(self, notice: Literal["reply_lost", "not_understood"] | None = None, *, text: str = "") -> None:
        """A canned text."""
        self._begin(Turning.ORDER)
        self.reply.notice = True
        self._context.emit(do.SayText(reply_id=self.reply.reply_id, notice=notice, text=text))
        self._take_place()

    def commit(self) -> None:
        """The draft's turn has ended as it was."""
        self.reply.fire(Turning.COMMIT)
        self._context.emit(do.CommitReply(reply_id=self.reply.reply_id))
        self._take_place()
        for call in self.reply.calls:
            self._call(call)

    def _begin(self, trigger: Turning) -> None:
        assert self.reply.state is Replying.NONE, "one reply at a time"
        self._count += 1
        self.reply = Reply(reply_id=self._count)
        self.reply.fire(trigger)

    def _take_place(self) -> None:
        """In the transcript, behind the turn it answers; what is heard is filled in as it plays."""
        reply, now = self.reply, self._context.now
        reply.pending, self.owed_notice = (), None
        reply.committed_at = reply.progress_at = now
        reply.item_id = self._transcript.next_id()
        self._transcript.add(Item(item_id=reply.item_id, role="agent", text="", at=now, reply_id=reply.reply_id))
        self._context.stir_by_agent()

    def tool_called(self, call: ToolCalled) -> None:
        """A draft's call waits until the turn it answers has ended: functions do things."""
        if self.reply.state is Replying.DRAFT:
            self.reply.calls.append(call)
        else:
            self._call(call)

    def _call(self, call: ToolCalled) -> None:
        item = Item(item_id="", role="tool_call", text=call.arguments, at=0.0, call_id=call.call_id, name=call.name)
        item_id = self._transcript.write(item, at=self._context.now)
        self._context.emit(
            do.CallTool(reply_id=call.reply_id, item_id=item_id, call_id=call.call_id, name=call.name, arguments=call.arguments)
        )

    # ------------------------------------------------------------ playing

    def playout_started(self) -> None:
        if self.reply.state in (Replying.COMMITTED, Replying.HALTED):
            self.reply.fire(Turning.AUDIBLE)
            self.reply.audible = True
            self.reply.progress_at = self._context.now

    def playout_advanced(self, heard: str) -> None:
        self.reply.progress_at = self._context.now
        if self.reply.item_id and heard != self.reply.heard:
            self.reply.heard = heard
            self._transcript.truncate(self.reply.item_id, heard)

    def playout_finished(self, heard: str) -> None:
        if self.reply.state is Replying.DRAFT:
            return  # it has nothing to say; that shows when it is committed
        lost = bool(self.reply.failed) and not self.reply.notice
        self.playout_advanced(heard)
        self._record(interrupted=False)
        if lost:
            self.owed_notice = "reply_lost"

    def halt(self) -> None:
        """Silent until it is known whether it goes on."""
        self.reply.fire(Turning.HALT)
        self._context.emit(do.PausePlayout(reply_id=self.reply.reply_id))

    def resume(self) -> None:
        self.reply.fire(Turning.RESUME if self.reply.audible else Turning.RELEASE)
        self.reply.progress_at = self.reply.committed_at = self._context.now
        self._context.emit(do.ResumePlayout(reply_id=self.reply.reply_id))
        self._context.stir_by_agent()

    # ------------------------------------------------------------ ending

    def failed(self, code: str, *, partly: bool) -> None:
        """No more will come. What is `partly` there is still played."""
        if self.reply.state is Replying.DRAFT:
            self.failed_draft = self.reply.pending
            self.end()
        elif partly:
            self.reply.failed = code
        else:
            self.lose(code)

    def lose(self, code: str) -> None:
        """Nothing (more) of the reply will be heard: the person will be told."""
        self.reply.failed = code
        self.end()
        if not self.reply.notice:
            self.owed_notice = "reply_lost"

    def end(self, *, interrupted: bool = False, only: Replying | None = None) -> None:
        """Ends whatever reply there is (or only one in that state)."""
        reply = self.reply
        if reply.state is Replying.NONE or (only is not None and reply.state is not only):
            return
        stop = do.StopPlayout if reply.audible else do.CancelReply
        self._context.emit(stop(reply_id=reply.reply_id))
        if reply.state is Replying.DRAFT:
            reply.fire(Turning.OVER)
        else:
            self._record(interrupted=interrupted)

    def _record(self, *, interrupted: bool) -> None:
        reply = self.reply
        reply.fire(Turning.OVER)
        reply.over_at = self._context.now
        keep = self.settings.keep_unheard
        self._transcript.finish_reply(reply.item_id, heard=reply.heard, written=reply.written, interrupted=interrupted, keep=keep)
        self._context.emit(
            do.RecordReply(
                reply_id=reply.reply_id,
                item_id=reply.item_id,
                heard=reply.heard,
                written=reply.written,
                interrupted=interrupted,
                failed=reply.failed,
            )
        )
        self._context.stir_by_agent()

    # ------------------------------------------------------------ the client's edits

    def edit(self, event: ItemInserted | ItemRemoved | ItemTruncated) -> None:
        """The client corrects the record; what is playing may end by it, and a draft does not know the new record. An edit that
        does not fit (any more) does nothing."""
        transcript = self._transcript
        match event:
            case ItemInserted():
                fits = event.after in (None, "") or event.after in transcript
                if fits and event.item.item_id and not transcript.is_taken(event.item.item_id):
                    self.end(only=Replying.DRAFT)
                    transcript.add(replace(event.item, at=self._context.now), after=event.after)
                    self._context.stir()
            case ItemRemoved():
                if event.item_id in transcript:
                    self.end(interrupted=True, only=None if event.item_id == self.reply.item_id else Replying.DRAFT)
                if event.item_id in transcript:  # not that of a reply of which nothing was heard
                    transcript.remove(event.item_id)
            case ItemTruncated():
                if event.item_id not in transcript:
                    return
                if event.item_id == self.reply.item_id and self.reply.state is not Replying.NONE:
                    self.playout_advanced(event.heard)
                    self.end(interrupted=True)
                else:
                    self.end(only=Replying.DRAFT)
                    transcript.cut_off(event.item_id, event.heard)
            case _:
                assert_never(event)

    # ------------------------------------------------------------ time

    def deadlines(self, *, talked_over: bool) -> Iterator[float]:
        """When the reply counts as stuck. A halted one waits for as long as it is `talked_over`."""
        match self.reply.state:
            case Replying.COMMITTED:
                yield self.reply.committed_at + self.settings.reply_timeout_s
            case Replying.PLAYING:
                yield self.reply.progress_at + self.settings.playout_timeout_s
            case Replying.HALTED:
                if not talked_over:
                    yield self._context.quiet_since + self.settings.halt_timeout_s
            case Replying.NONE | Replying.DRAFT:
                return
            case _:
                assert_never(self.reply.state)

    def give_up_if_late(self, *, talked_over: bool) -> None:
        if all(self._context.now < due_at for due_at in self.deadlines(talked_over=talked_over)):
            return
        if self.reply.state is Replying.HALTED:
            self.resume()
        else:
            self.lose("reply.timeout")

    def agent_state(self) -> do.AgentState:
        match self.reply.state:
            case Replying.PLAYING:
                return "speaking"
            case Replying.COMMITTED:
                return "thinking"
            case Replying.NONE | Replying.DRAFT | Replying.HALTED:
                return "listening"
            case _:
                assert_never(self.reply.state)


def _same_turns(one: tuple[do.PendingTurn, ...], other: tuple[do.PendingTurn, ...]) -> bool:
    return len(one) == len(other) and all(
        a.speaker == b.speaker and same_words(a.text, b.text) for a, b in zip(one, other, strict=True)
    )
