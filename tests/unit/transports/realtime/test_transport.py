"""The realtime transport: codecs, order, back-pressure, what was heard by the clock."""

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import numpy as np
import pytest

from tests.virtual_time import run_virtual
from voice_agent.audio import g711
from voice_agent.transports.base import AudioInput, Deferred, Input, Presence
from voice_agent.transports.realtime.transport import BYTES_PER_S, INPUT_LIMIT, AudioDecoder, AudioEncoder, Codec, RealtimeTransport

CODECS: list[Codec] = ["audio/pcm", "audio/pcmu", "audio/pcma"]


def tone(seconds: float, rate: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.asarray(8000 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate), dtype=np.int16)


def encoded(codec: Codec, seconds: float = 1.0) -> bytes:
    if codec == "audio/pcm":
        return tone(seconds, 24_000).tobytes()
    pcm = tone(seconds, 8000)
    return g711.encode_ulaw(pcm) if codec == "audio/pcmu" else g711.encode_alaw(pcm)


def strength(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


class Wire:
    """A transport and what came out of it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.ends = 0
        self.transport = RealtimeTransport(on_audio=self.sent.append, on_end=self._ended)
        self.inputs = cast(AsyncGenerator[Input, None], self.transport.inputs())

    def _ended(self) -> None:
        self.ends += 1

    async def take(self) -> Input:
        return await anext(self.inputs)


# ---------------------------------------------------------------- codecs


@pytest.mark.parametrize("codec", CODECS)
def test_decoded_audio_has_the_length_and_the_loudness_of_what_was_sent(codec: Codec) -> None:
    samples = AudioDecoder(codec).decode(encoded(codec))
    assert samples.size == pytest.approx(16_000, abs=100)
    assert strength(samples) == pytest.approx(8000 / 32768 / np.sqrt(2), rel=0.03)


@pytest.mark.parametrize("codec", CODECS)
def test_any_cut_of_the_bytes_gives_the_same_audio(codec: Codec) -> None:
    data, decoder = encoded(codec), AudioDecoder(codec)
    whole = AudioDecoder(codec).decode(data)
    pieces = np.concatenate([decoder.decode(data[start : start + 997]) for start in range(0, len(data), 997)])
    assert pieces.size == whole.size
    assert np.allclose(pieces, whole, atol=1e-4)


@pytest.mark.parametrize("codec", CODECS)
def test_encoded_audio_is_whole_when_it_is_finished(codec: Codec) -> None:
    encoder, pcm = AudioEncoder(codec), tone(1.0, 24_000)
    data = b"".join(encoder.encode(pcm[start : start + 4800]) for start in range(0, pcm.size, 4800)) + encoder.finish()
    assert len(data) == pytest.approx(BYTES_PER_S[codec], abs=8)
    assert strength(AudioDecoder(codec).decode(data)) == pytest.approx(8000 / 32768 / np.sqrt(2), rel=0.03)


@pytest.mark.parametrize("codec", CODECS)
def test_every_byte_means_something(codec: Codec) -> None:
    assert np.all(np.isfinite(AudioDecoder(codec).decode(bytes(range(256)) * 4)))


# ---------------------------------------------------------------- order


def test_what_is_to_be_done_comes_behind_the_audio_and_before_what_follows() -> None:
    async def script() -> None:
        wire, done = Wire(), []
        assert isinstance(await wire.take(), Presence)
        await wire.transport.receive(encoded("audio/pcm", 0.25))
        await wire.transport.do(lambda: done.append("done"))
        await wire.transport.receive(encoded("audio/pcm", 0.02))
        blocks = [await wire.take() for _ in range(3)]
        assert all(isinstance(block, AudioInput) and block.samples.size <= 1700 for block in blocks)
        deferred = await wire.take()
        assert isinstance(deferred, Deferred)
        following = asyncio.ensure_future(wire.take())
        await asyncio.sleep(1.0)
        assert not following.done(), "it waits until that has been done"
        deferred.run()
        assert isinstance(await following, AudioInput)
        assert done == ["done"]
        assert wire.transport.received_s == pytest.approx(0.27)
        await wire.inputs.aclose()

    run_virtual(script())


def test_what_follows_can_be_held() -> None:
    async def script() -> None:
        wire = Wire()
        await wire.take()
        await wire.transport.do(wire.transport.hold)
        await wire.transport.do(lambda: None)
        deferred = await wire.take()
        assert isinstance(deferred, Deferred)
        deferred.run()
        following = asyncio.ensure_future(wire.take())
        await asyncio.sleep(1.0)
        assert not following.done()
        wire.transport.release()
        assert isinstance(await following, Deferred)
        await wire.inputs.aclose()

    run_virtual(script())


def test_a_client_that_sends_too_fast_waits() -> None:
    async def script() -> None:
        wire = Wire()
        sending = asyncio.ensure_future(wire.transport.receive(bytes(4800 * (INPUT_LIMIT + 10))))
        await asyncio.sleep(1.0)
        assert not sending.done()
        for _ in range(20):
            await wire.take()
        await sending
        await wire.inputs.aclose()

    run_virtual(script())


def test_hanging_up_ends_everything() -> None:
    async def script() -> None:
        wire = Wire()
        await wire.take()
        await wire.transport.do(wire.transport.hold)
        deferred = await wire.take()
        assert isinstance(deferred, Deferred)
        deferred.run()
        following = asyncio.ensure_future(anext(wire.inputs, None))
        sending = asyncio.ensure_future(wire.transport.receive(bytes(4800 * (INPUT_LIMIT + 10))))
        await asyncio.sleep(1.0)
        await wire.transport.aclose()
        assert await following is None
        await sending

    run_virtual(script())


# ---------------------------------------------------------------- what was heard


def test_playing_goes_by_the_clock() -> None:
    async def script() -> None:
        transport = Wire().transport
        for _ in range(2):
            await transport.write(tone(0.5, 24_000))
        assert transport.position() == 0
        await asyncio.sleep(0.6)
        assert transport.position() == 14_400
        transport.clear()
        await asyncio.sleep(1.0)
        assert transport.position() == 14_400
        await transport.write(tone(0.5, 24_000))
        await asyncio.sleep(9.0)
        assert transport.position() == 14_400 + 12_000

    run_virtual(script())


def test_the_last_milliseconds_of_telephone_audio_are_sent_with_the_end_and_not_with_the_next_reply() -> None:
    async def script() -> None:
        wire = Wire()
        wire.transport.use(input_codec="audio/pcmu", output_codec="audio/pcmu")
        assert wire.transport.output_codec == "audio/pcmu"
        await wire.transport.write(tone(0.5, 24_000))
        wire.transport.end()
        assert wire.ends == 1
        assert sum(map(len, wire.sent)) == pytest.approx(4000, abs=8)
        await wire.transport.write(tone(0.2, 24_000))
        wire.transport.clear()
        wire.sent.clear()
        await wire.transport.write(np.zeros(24_000, dtype=np.int16))
        assert not np.any(g711.decode_ulaw(b"".join(wire.sent)))

    run_virtual(script())
