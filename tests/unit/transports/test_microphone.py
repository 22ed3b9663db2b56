"""The sound card's two callbacks, with a PortAudio that is played by the test."""

import asyncio
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from voice_agent.errors import TransportError
from voice_agent.transports.base import AudioInput, Presence
from voice_agent.transports.microphone import MicrophoneTransport

BLOCK_OUT = 480


class PortAudioError(Exception):
    pass


class Stream:
    """Keeps its callback for the test to call."""

    made: list["Stream"] = []  # noqa: RUF012 - reset by the fixture

    def __init__(self, *, callback: Callable[..., None], **_: Any) -> None:
        self.callback = callback
        self.closed = False
        Stream.made.append(self)

    def start(self) -> None:
        return

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("sounddevice")
    module.__dict__.update(
        InputStream=Stream, OutputStream=Stream, PortAudioError=PortAudioError, query_devices=lambda: ["a sound card"]
    )
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    Stream.made = []
    return module


async def test_what_is_recorded_arrives_in_order(devices: types.ModuleType) -> None:
    transport = MicrophoneTransport()
    inputs = transport.inputs()
    assert await anext(inputs) == Presence(speaker="user", joined=True)
    recorded = Stream.made[0].callback

    for level in (0.1, 0.2):
        recorded(np.full((320, 1), level, dtype=np.float32), 320, None, None)

    for level in (0.1, 0.2):
        block = await anext(inputs)
        assert isinstance(block, AudioInput)
        assert np.allclose(block.samples, level)
    await transport.aclose()
    assert all(stream.closed for stream in Stream.made)


async def test_what_is_written_is_played_and_counted(devices: types.ModuleType) -> None:
    transport = MicrophoneTransport()
    inputs = transport.inputs()
    await anext(inputs)
    play = Stream.made[1].callback
    await transport.write(np.full(600, 7, dtype=np.int16))

    first, second = np.ones((BLOCK_OUT, 1), dtype=np.int16), np.ones((BLOCK_OUT, 1), dtype=np.int16)
    play(first, BLOCK_OUT, None, None)
    play(second, BLOCK_OUT, None, None)

    assert (first == 7).all()
    assert (second[:120] == 7).all()
    assert (second[120:] == 0).all()
    assert transport.position() == 600
    await transport.aclose()


async def test_a_full_buffer_makes_the_writer_wait_and_clearing_frees_it(devices: types.ModuleType) -> None:
    transport = MicrophoneTransport()
    await anext(transport.inputs())
    await transport.write(np.ones(2000, dtype=np.int16))
    waiting = asyncio.ensure_future(transport.write(np.ones(480, dtype=np.int16)))
    await asyncio.sleep(0)
    assert not waiting.done()

    transport.clear()
    await waiting

    block = np.zeros((BLOCK_OUT, 1), dtype=np.int16)
    Stream.made[1].callback(block, BLOCK_OUT, None, None)
    assert transport.position() == 480
    await transport.aclose()


async def test_a_device_that_does_not_open_is_told(devices: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise PortAudioError("device is busy")

    monkeypatch.setattr(devices, "OutputStream", refuse)
    transport = MicrophoneTransport()

    with pytest.raises(TransportError, match="busy") as caught:
        await anext(transport.inputs())
    assert caught.value.code == "transport.no_sound_device"
    assert "--input" in str(caught.value)
    await transport.aclose()


async def test_no_device_at_all(devices: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "query_devices", list)

    with pytest.raises(TransportError, match="no sound device"):
        MicrophoneTransport()


async def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)

    with pytest.raises(TransportError, match=r"no microphone.*libportaudio2"):
        MicrophoneTransport()
