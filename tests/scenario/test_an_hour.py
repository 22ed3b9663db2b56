"""An hour of conversation through the machine alone."""

import time

from voice_agent.cli.bench.simulation import simulate
from voice_agent.conversation.machine import Machine
from voice_agent.conversation.settings import ConversationSettings

LIMIT_S = 5.0


def test_an_hour_of_conversation_costs_the_machine_seconds() -> None:
    machine = Machine(ConversationSettings())
    began = time.perf_counter()
    events = simulate(machine, minutes=60.0)
    took = time.perf_counter() - began
    print(f"\nan hour of conversation: {events} events in {took:.2f} s, {took / events * 1e6:.1f} µs each")
    assert took <= LIMIT_S
    said = [item for item in machine.transcript if item.role == "user"]
    heard = [item for item in machine.transcript if item.role == "agent"]
    assert len(said) >= 360, "six turns a minute, and the barge-ins"
    assert len(heard) == 360
    assert sum(item.interrupted for item in heard) == 90
