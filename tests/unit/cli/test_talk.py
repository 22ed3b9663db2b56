"""How `talk` ends when the conversation does not go as it should. With real engines: tests/integration/test_talk.py."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tests.fake_assembly import FakeAssembly
from tests.virtual_time import run_virtual
from voice_agent.cli import talk
from voice_agent.cli.director import Director
from voice_agent.cli.screen import JsonScreen
from voice_agent.conversation.effects import EndSession
from voice_agent.engines.base import Samples
from voice_agent.engines.fakes import FakeVad, FakeVadStream
from voice_agent.engines.registry import EngineRegistry
from voice_agent.errors import EngineFailed, TransportError

SPEECH = np.full(16_000, 0.1, dtype=np.float32)
PLAN = talk.Plan(inputs=[Path("a.wav")], clips=[SPEECH], texts=[], barge_in_after=None)


class GoneReader(JsonScreen):
    """What is printed is read by nobody any more."""

    def observe(self, now: float, what: object) -> None:
        raise BrokenPipeError


class Deaf(FakeVad):
    """Breaks in the middle of the speech."""

    def stream(self) -> FakeVadStream:
        return DeafStream()


class DeafStream(FakeVadStream):
    def __init__(self) -> None:
        self._windows = 0

    def probability(self, window: Samples) -> float:
        self._windows += 1
        if self._windows > 15:
            raise EngineFailed("The model broke", engine="silero")
        return super().probability(window)


def hold(assembly: FakeAssembly, screen: JsonScreen) -> None:
    async def conversation() -> None:
        await talk._converse(lambda transport: talk._session(assembly, transport, screen), PLAN, None)

    run_virtual(conversation())


def test_a_screen_that_breaks_ends_the_talk() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        hold(FakeAssembly(), GoneReader())
    assert caught.group_contains(BrokenPipeError)


def test_a_session_that_goes_deaf_ends_the_talk() -> None:
    assembly = FakeAssembly()
    assembly.vad = EngineRegistry("vad", [assembly._spec("vad", Deaf())])
    with pytest.raises(ExceptionGroup) as caught:
        hold(assembly, JsonScreen())
    assert caught.group_contains(EngineFailed, match="The model broke")


def test_a_session_that_ends_by_itself_ends_the_talk_with_its_reason() -> None:
    async def watch() -> None:
        director = Director(JsonScreen())
        waiting = asyncio.ensure_future(director.ended())
        director.observe(1.0, EndSession(reason="transport.failed"))
        await waiting

    with pytest.raises(TransportError, match=r"ended early \(transport.failed\)"):
        asyncio.run(watch())
