"""The machine against an environment that behaves as badly as a real one: whatever happens, in whatever order.

`World` plays the people, the engines and the playout, and keeps the books of an executor: it fails as soon as an effect makes
no sense. The invariants are those of STYLE.md, section 12.
"""

from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.machine import Machine
from voice_agent.conversation.settings import ConversationSettings, InterruptionSettings
from voice_agent.conversation.state import Listening, Replying
from voice_agent.conversation.transcript import Item
from voice_agent.conversation.words import begins_with

SPEAKERS = ("ann", "bob", "cy")
SAID = (
    "hello there",
    "hello there my friend.",
    "book a table for",
    "mhm",
    "okay",
    "what time is it?",
    "stop",
    "one two three four",
)
WRITTEN = (" One", " two", " three", " four.", " Shall", " we?")
WINDOW_S = 0.032

CONVERSATIONS = st.builds(
    ConversationSettings,
    automatic_turns=st.sampled_from((True, True, True, False)),
    automatic_replies=st.sampled_from((True, True, True, False)),
    speculate=st.booleans(),
    interruption=st.builds(InterruptionSettings, enabled=st.sampled_from((True, True, False))),
    idle_timeout_s=st.sampled_from((None, 5.0)),
    idle_reply=st.booleans(),
)


@dataclass
class Person:
    """What the ears of one speaker know."""

    speaking: bool = False
    utterance_id: int = 0
    asked: list[int] = field(default_factory=list)
    """Finals that were requested and not answered."""


@dataclass
class Played:
    """One reply, as its executor knows it."""

    speculative: bool
    paused: bool = False
    audible: bool = False
    written: str = ""
    heard: str = ""
    recorded: do.RecordReply | None = None
    over: bool = False


class World(RuleBasedStateMachine):
    people = Bundle("people")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.log: list[tuple[float, on.Event | None, list[do.Effect]]] = []
        self.persons: dict[str, Person] = {}
        self.replies: dict[int, Played] = {}
        self.live: int | None = None
        self.items: set[str] = set()
        self.ended = False
        self.erased: set[str] = set()

    @initialize(conversation=CONVERSATIONS)
    def begin(self, conversation: ConversationSettings) -> None:
        self.settings = self.first_settings = conversation
        self.machine = Machine(conversation)

    # ------------------------------------------------------------ the executor's books

    def send(self, event: on.Event) -> None:
        self.book(event, self.machine.handle(event, self.now))

    def book(self, event: on.Event | None, effects: list[do.Effect]) -> None:
        self.log.append((self.now, event, effects))
        assert not (self.ended and effects), "something came after the end"
        for effect in effects:
            self.execute(effect)
        deadline = self.machine.next_deadline()
        # New settings may make something due at once.
        ahead = deadline is None or deadline > self.now or isinstance(event, on.SettingsChanged)
        assert ahead, "a deadline that has passed"

    def execute(self, effect: do.Effect) -> None:
        match effect:
            case do.RequestFinal():
                person = self.persons.setdefault(effect.speaker, Person())
                person.utterance_id = max(person.utterance_id, effect.utterance_id)
                person.asked.append(effect.utterance_id)
            case do.CommitTurn():
                assert effect.text.strip()
                self.note_item(effect.item_id)
            case do.StartReply():
                self.started(effect.reply_id, speculative=effect.speculative)
                assert bool(effect.pending) == effect.speculative
            case do.SayText():
                self.started(effect.reply_id, speculative=False)
            case do.CommitReply():
                reply = self.current(effect.reply_id)
                assert reply.speculative
                reply.speculative = False
            case do.PausePlayout():
                reply = self.current(effect.reply_id)
                assert not reply.paused
                assert not reply.speculative
                reply.paused = True
            case do.ResumePlayout():
                reply = self.current(effect.reply_id)
                assert reply.paused
                reply.paused = False
            case do.CancelReply():
                reply = self.current(effect.reply_id)
                assert not reply.audible
                self.stopped(reply)
            case do.StopPlayout():
                reply = self.current(effect.reply_id)
                assert reply.audible
                self.stopped(reply)
            case do.RecordReply():
                self.recorded(effect)
            case do.EndSession():
                assert not self.ended
                assert self.live is None
                self.ended = True
            case do.CallTool():
                assert effect.reply_id == self.live
                assert not self.current(effect.reply_id).speculative
                self.note_item(effect.item_id)
            case do.DiscardTurn() | do.ReportIdle() | do.ReportState():
                pass

    def note_item(self, item_id: str) -> None:
        assert item_id not in self.items
        self.items.add(item_id)

    def started(self, reply_id: int, *, speculative: bool) -> None:
        assert self.live is None, "two replies at once"
        assert speculative or not any(speaker.open for speaker in self.machine.speakers), "it talks over somebody"
        assert reply_id not in self.replies
        self.replies[reply_id] = Played(speculative=speculative)
        self.live = reply_id

    def current(self, reply_id: int) -> Played:
        assert reply_id == self.live
        return self.replies[reply_id]

    def stopped(self, reply: Played) -> None:
        reply.over = True
        if reply.speculative:
            self.live = None

    def recorded(self, effect: do.RecordReply) -> None:
        reply = self.current(effect.reply_id)
        assert not reply.speculative
        assert reply.recorded is None
        assert effect.heard == reply.heard
        assert effect.written == reply.written
        assert begins_with(effect.written, effect.heard)
        self.note_item(effect.item_id)
        reply.recorded, reply.over = effect, True
        self.live = None

    # ------------------------------------------------------------ time

    @rule(step=st.sampled_from((0.001, 0.02, 0.1, 0.3, 0.7, 2.0, 7.0, 25.0)), late=st.sampled_from((0.0, 0.0, 0.013)))
    def time_passes(self, step: float, late: float) -> None:
        until = self.now + step
        self.fire_timers(until, late)
        self.now = max(self.now, until)

    def fire_timers(self, until: float, late: float = 0.0) -> None:
        for _ in range(100):
            deadline = self.machine.next_deadline()
            if deadline is None or deadline > until:
                return
            self.now = deadline + late
            self.book(None, self.machine.handle_timer(self.now))
        raise AssertionError("timers without end")

    # ------------------------------------------------------------ people

    @rule(target=people, name=st.sampled_from(SPEAKERS))
    def someone(self, name: str) -> str:
        self.persons.setdefault(name, Person())
        return name

    @rule(name=people)
    def joins(self, name: str) -> None:
        self.send(on.SpeakerJoined(speaker=name))

    @rule(name=people)
    def leaves(self, name: str) -> None:
        self.persons[name] = Person()
        self.send(on.SpeakerLeft(speaker=name))

    @rule(name=people)
    def speaks(self, name: str) -> None:
        person = self.persons[name]
        if not person.speaking:
            person.speaking = True
            person.utterance_id += 1
            self.send(on.SpeechStarted(speaker=name, utterance_id=person.utterance_id, at=max(0.0, self.now - 0.064)))

    @rule(name=people, back_s=st.sampled_from((0.064, 0.0, 0.5)))
    def falls_silent(self, name: str, back_s: float) -> None:
        person = self.persons[name]
        if person.speaking:
            person.speaking = False
            self.send(on.SpeechStopped(speaker=name, utterance_id=person.utterance_id, at=max(0.0, self.now - back_s)))

    @rule(name=people, windows=st.integers(1, 40))
    def audio_comes(self, name: str, windows: int) -> None:
        for _ in range(windows):
            self.time_passes(WINDOW_S, 0.0)
            self.send(on.AudioAdvanced(speaker=name, at=self.now))

    @rule(name=people, text=st.sampled_from(SAID), confidence=st.sampled_from((1.0, 0.2)))
    def is_partly_understood(self, name: str, text: str, confidence: float) -> None:
        person = self.persons[name]
        self.send(on.TranscriptPartial(speaker=name, utterance_id=person.utterance_id, text=text, confidence=confidence))

    @rule(name=people, text=st.sampled_from((*SAID, "", "  ")), first=st.booleans())
    def is_understood(self, name: str, text: str, first: bool) -> None:
        if asked := self.persons[name].asked:
            utterance_id = asked.pop(0 if first else -1)
            self.send(on.TranscriptFinal(speaker=name, utterance_id=utterance_id, text=text, confidence=0.9, language="en"))

    @rule(name=people)
    def is_not_understood(self, name: str) -> None:
        if asked := self.persons[name].asked:
            self.send(on.TranscriptFailed(speaker=name, utterance_id=asked.pop(), code="engine.failed"))

    @rule(name=people, probability=st.floats(0.0, 1.0))
    def sounds_finished(self, name: str, probability: float) -> None:
        self.send(on.TurnProbability(speaker=name, utterance_id=self.persons[name].utterance_id, probability=probability))

    @rule(name=people, text=st.sampled_from((*SAID, " ")), reply=st.booleans())
    def types(self, name: str, text: str, reply: bool) -> None:
        self.send(on.TextReceived(speaker=name, text=text, reply=reply))

    @rule()
    def a_greeting_is_asked_for(self) -> None:
        self.send(on.SayRequested(text="Hello!"))

    @rule(name=people)
    def commits(self, name: str) -> None:
        self.send(on.InputCommitted(speaker=name))

    @rule(name=people)
    def withdraws(self, name: str) -> None:
        self.send(on.InputCleared(speaker=name))

    @rule(instructions=st.sampled_from(("", "Be brief.")))
    def asks_for_a_reply(self, instructions: str) -> None:
        self.send(on.ReplyRequested(instructions=instructions))

    @rule()
    def presses_stop(self) -> None:
        self.send(on.ReplyCancelled())

    @rule(conversation=CONVERSATIONS, sure=st.integers(0, 3))
    def settings_change(self, conversation: ConversationSettings, sure: int) -> None:
        if sure == 0 and not self.ended:
            self.settings = conversation
            self.send(on.SettingsChanged(settings=conversation))
            self.book(None, self.machine.handle_timer(self.now))

    @rule(number=st.integers(1, 12), after=st.one_of(st.none(), st.sampled_from(("", "item_1", "item_2", "nowhere"))))
    def client_writes(self, number: int, after: str | None) -> None:
        """Also with ids such as the machine's own."""
        item_id = f"item_{number}"
        self.send(on.ItemInserted(item=Item(item_id=item_id, role="system", text="Note.", at=0.0), after=after))

    @rule(data=st.data())
    def client_erases(self, data: st.DataObject) -> None:
        item_id = data.draw(st.sampled_from((*self.machine.transcript.ids(), "nowhere")))
        if not self.ended:
            self.erased.add(item_id)
        self.send(on.ItemRemoved(item_id=item_id))

    @rule(data=st.data(), words=st.integers(0, 3))
    def client_tells_what_was_heard(self, data: st.DataObject, words: int) -> None:
        """Of a reply, perhaps long after."""
        heard_of = [item for item in self.machine.transcript if item.role == "agent"]
        if self.ended or not heard_of:
            return
        item = data.draw(st.sampled_from(heard_of))
        reply = self.replies[item.reply_id]
        heard = " ".join(reply.written.split()[:words])
        if not reply.over:
            reply.heard = heard
        elif reply.recorded is not None:
            reply.recorded = replace(reply.recorded, heard=heard)
        self.send(on.ItemTruncated(item_id=item.item_id, heard=heard))

    # ------------------------------------------------------------ engines and playout

    def alive(self) -> bool:
        return self.live is not None

    def playable(self) -> bool:
        return self.live is not None and not self.replies[self.live].speculative and not self.replies[self.live].paused

    @precondition(alive)
    @rule(words=st.integers(1, 3))
    def model_writes(self, words: int) -> None:
        assert self.live is not None
        reply = self.replies[self.live]
        for _ in range(words):
            text = WRITTEN[len(reply.written.split()) % len(WRITTEN)]
            reply.written += text
            self.send(on.ReplyTextAdded(reply_id=self.live, text=text))

    @precondition(alive)
    @rule()
    def model_calls_a_function(self) -> None:
        assert self.live is not None
        self.send(on.ToolCalled(reply_id=self.live, call_id="call", name="look_up", arguments="{}"))

    @precondition(alive)
    @rule()
    def model_is_done(self) -> None:
        assert self.live is not None
        self.send(on.ReplyGenerated(reply_id=self.live))

    @precondition(alive)
    @rule(partly=st.booleans())
    def reply_breaks(self, partly: bool) -> None:
        assert self.live is not None
        self.send(on.ReplyFailed(reply_id=self.live, code="engine.failed", partly=partly))

    def is_silent(self) -> bool:
        return self.live is not None and not self.replies[self.live].speculative and not self.replies[self.live].audible

    @precondition(is_silent)
    @rule()
    def first_sample_leaves(self) -> None:
        """Also just after a pause: the news may have been on its way."""
        assert self.live is not None
        self.replies[self.live].audible = True
        self.send(on.PlayoutStarted(reply_id=self.live))

    @precondition(playable)
    @rule(words=st.integers(1, 4))
    def words_are_heard(self, words: int) -> None:
        assert self.live is not None
        reply = self.replies[self.live]
        if reply.audible:
            so_far = len(reply.heard.split())
            reply.heard = " ".join(reply.written.split()[: so_far + words])
            self.send(on.PlayoutAdvanced(reply_id=self.live, heard=reply.heard))

    @precondition(alive)
    @rule()
    def everything_was_heard(self) -> None:
        """Also while it is paused: the end may have been on its way."""
        assert self.live is not None
        reply = self.replies[self.live]
        if reply.audible:
            reply.heard = reply.written
            self.send(on.PlayoutFinished(reply_id=self.live, heard=reply.written))

    @rule(data=st.data())
    def a_late_answer_comes(self, data: st.DataObject) -> None:
        """Of a reply that is over. The books would show that it had an effect."""
        over = [reply_id for reply_id in self.replies if reply_id != self.live]
        if over:
            reply_id = data.draw(st.sampled_from(over))
            late: tuple[on.Event, ...] = (
                on.ReplyTextAdded(reply_id=reply_id, text=" late"),
                on.ReplyGenerated(reply_id=reply_id),
                on.ReplyFailed(reply_id=reply_id, code="late"),
                on.PlayoutStarted(reply_id=reply_id),
                on.PlayoutAdvanced(reply_id=reply_id, heard="late"),
                on.PlayoutFinished(reply_id=reply_id, heard="late"),
            )
            self.send(data.draw(st.sampled_from(late)))

    @rule(reason=st.sampled_from(("left", "closed")), sure=st.integers(0, 20))
    def connection_breaks(self, reason: str, sure: int) -> None:
        if sure == 0:
            self.send(on.Disconnected(reason=reason))

    # ------------------------------------------------------------ what always holds

    @invariant()
    def asking_for_the_deadline_changes_nothing(self) -> None:
        before = self.snapshot()
        first, second = self.machine.next_deadline(), self.machine.next_deadline()
        assert first == second
        assert self.snapshot() == before

    def snapshot(self) -> str:
        return repr((self.machine.reply, self.machine.speakers, len(self.machine.transcript)))

    @invariant()
    def history_is_what_was_heard(self) -> None:
        history = {item.reply_id: item.text for item in self.machine.transcript if item.role == "agent"}
        for reply_id, reply in self.replies.items():
            if reply.recorded is not None and reply.recorded.item_id in self.erased:
                continue
            if reply.recorded is not None:
                assert history.get(reply_id, "") == reply.recorded.heard
            else:
                assert history.get(reply_id, "") == reply.heard

    @invariant()
    def the_books_agree(self) -> None:
        state = self.machine.reply.state
        assert (state is Replying.NONE) == (self.live is None)
        if self.live is not None:
            reply = self.replies[self.live]
            assert (state is Replying.DRAFT) == reply.speculative
            assert (state is Replying.HALTED) == reply.paused

    def teardown(self) -> None:
        if hasattr(self, "machine"):
            self.silence_leads_back_to_listening()
            self.the_same_log_gives_the_same_effects()

    def silence_leads_back_to_listening(self) -> None:
        for name, person in self.persons.items():
            if person.speaking:
                self.falls_silent(name, 0.064)
            if not self.settings.automatic_turns:
                self.commits(name)
        self.fire_timers(self.now + 3600.0)
        assert self.machine.reply.state is Replying.NONE
        assert all(speaker.state is Listening.QUIET for speaker in self.machine.speakers)
        assert all(reply.over for reply in self.replies.values())

    def the_same_log_gives_the_same_effects(self) -> None:
        again = Machine(self.first_settings)
        for now, event, effects in self.log:
            assert (again.handle_timer(now) if event is None else again.handle(event, now)) == effects


def test_whatever_happens_the_conversation_keeps_its_promises() -> None:
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        World, settings=settings(max_examples=150, stateful_step_count=50, suppress_health_check=checks, deadline=None)
    )
