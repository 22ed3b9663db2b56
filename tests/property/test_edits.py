"""Clients that edit: settings that change at any moment, functions that are called, requests with an id, a record that is
corrected. `World` plays everything else, and its promises hold here too.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from tests.property.test_machine import CONVERSATIONS, World
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.settings import ConversationSettings
from voice_agent.conversation.state import Listening, Replying
from voice_agent.conversation.transcript import Item


class Edits(World):
    """Unlike in `World` nobody hears when somebody speaks in manual mode: that is what the session's ears do."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0
        self.read: dict[int, list[Item]] = {}
        """The record that each draft was begun with."""
        self.held_back: dict[int, list[str]] = {}
        """Calls that drafts want to make."""
        self.due: list[str] = []
        """Calls that must have been made by now."""
        self.made: list[str] = []
        self.asked: str | None = None
        """The request that is still to be answered."""

    def number(self) -> str:
        self.numbers += 1
        return str(self.numbers)

    # ------------------------------------------------------------ the books

    def book(self, event: on.Event | None, effects: list[do.Effect]) -> None:
        begun = [effect.reply_id for effect in effects if isinstance(effect, do.CommitReply)]
        for reply_id in begun:
            assert self.read[reply_id] == self.record_without(effects), "a draft that does not know the record"
            self.due += self.held_back.get(reply_id, [])
        if isinstance(event, on.ToolCalled) and event.reply_id == self.live:
            if self.replies[event.reply_id].speculative:
                self.held_back.setdefault(event.reply_id, []).append(event.call_id)
            else:
                self.due.append(event.call_id)
        super().book(event, effects)
        assert self.made == self.due

    def record_without(self, effects: list[do.Effect]) -> list[Item]:
        """What the record was before these."""
        new = {effect.item_id for effect in effects if isinstance(effect, do.CommitTurn | do.CallTool)}
        return [item for item in self.machine.transcript if item.item_id not in {*new, self.machine.reply.item_id}]

    def execute(self, effect: do.Effect) -> None:
        super().execute(effect)
        match effect:
            case do.StartReply():
                if effect.speculative:
                    self.read[effect.reply_id] = list(self.machine.transcript)
                if effect.request_id == self.asked:
                    self.asked = None
            case do.CallTool():
                assert self.machine.transcript[effect.item_id].call_id == effect.call_id
                self.made.append(effect.call_id)
            case do.EndSession():
                self.asked = None
            case _:
                pass

    # ------------------------------------------------------------ what clients do

    @rule(conversation=CONVERSATIONS, sure=st.just(0))
    def settings_change(self, conversation: ConversationSettings, sure: int) -> None:
        if self.ended:
            return
        self.settings = conversation
        if not conversation.automatic_turns:
            for person in self.persons.values():
                person.speaking = False  # and nobody tells the machine
        self.send(on.SettingsChanged(settings=conversation))
        deadline = self.machine.next_deadline()
        assert deadline is None or deadline > self.now, "what is late by the new settings is done at once"

    @rule(name=World.people)
    def speaks(self, name: str) -> None:
        if self.settings.automatic_turns:
            super().speaks(name)

    @rule()
    def asks_by_id(self) -> None:
        if not self.ended:
            self.asked = self.number()
            self.send(on.ReplyRequested(request_id=self.asked))

    @rule(instructions=st.sampled_from(("", "Be brief.")))
    def asks_for_a_reply(self, instructions: str) -> None:
        self.asked = None
        super().asks_for_a_reply(instructions)

    @rule()
    def presses_stop(self) -> None:
        self.asked = None
        super().presses_stop()

    @rule(name=World.people)
    def writes_under_the_id_of_an_open_turn(self, name: str) -> None:
        before = self.machine.transcript.ids()
        for speaker in self.machine.speakers:
            if speaker.name == name and speaker.open:
                self.send(on.ItemInserted(item=Item(item_id=speaker.item_id, role="user", text="Mine.", at=0.0)))
        assert self.machine.transcript.ids() == before

    # ------------------------------------------------------------ what models do

    @precondition(World.alive)
    @rule()
    def model_calls_a_function(self) -> None:
        assert self.live is not None
        self.send(on.ToolCalled(reply_id=self.live, call_id=self.number(), name="look_up", arguments="{}"))

    @rule(data=st.data())
    def a_late_call_comes(self, data: st.DataObject) -> None:
        over = [reply_id for reply_id in self.replies if reply_id != self.live]
        if over:
            reply_id = data.draw(st.sampled_from(over))
            self.send(on.ToolCalled(reply_id=reply_id, call_id=self.number(), name="look_up", arguments="{}"))

    @precondition(World.alive)
    @rule()
    def reply_was_only_a_call(self) -> None:
        assert self.live is not None
        if not self.replies[self.live].audible:
            self.model_calls_a_function()
            self.send(on.PlayoutFinished(reply_id=self.live, heard=""))

    # ------------------------------------------------------------ what always holds

    @invariant()
    def a_reply_is_silent_only_for_somebody(self) -> None:
        if self.machine.reply.state is Replying.HALTED:
            assert self.settings.interruption.enabled
            assert any(speaker.open for speaker in self.machine.speakers)

    @invariant()
    def drafts_are_made_only_where_they_may_be(self) -> None:
        may = self.settings.automatic_turns and self.settings.automatic_replies and self.settings.speculate
        assert may or self.machine.reply.state is not Replying.DRAFT

    @invariant()
    def without_ears_nobody_is_taken_to_speak(self) -> None:
        states = {speaker.state for speaker in self.machine.speakers}
        assert self.settings.automatic_turns or states <= {Listening.QUIET, Listening.CLOSING}

    def silence_leads_back_to_listening(self) -> None:
        super().silence_leads_back_to_listening()
        assert self.asked is None, "a request that nobody answered"


def test_whatever_clients_edit_the_conversation_keeps_its_promises() -> None:
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Edits, settings=settings(max_examples=100, stateful_step_count=50, suppress_health_check=checks, deadline=None)
    )
