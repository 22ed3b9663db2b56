"""Every format comes out in pieces, early, and is decoded again by a reader that is not ours."""

import io
from typing import get_args

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.audio.encoding import CONTENT_TYPES, AudioFormat, encoder, wav_header
from voice_agent.audio.pcm import Pcm16

RATE = 24_000
FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
CODED: tuple[AudioFormat, ...] = ("mp3", "opus", "aac", "flac")

PADDING_S = {"mp3": 0.08, "aac": 0.1}
"""Codecs that work in frames add some silence at both ends; the others say how much of it to drop."""


def tone(seconds: float, *, hertz: float = 220.0) -> Pcm16:
    at = np.arange(round(seconds * RATE))
    return np.asarray(8000.0 * np.sin(2.0 * np.pi * hertz * at / RATE), dtype=np.int16)


def encoded(audio_format: AudioFormat, pcm: Pcm16, block: int) -> bytes:
    coder = encoder(audio_format, rate=RATE)
    pieces = [coder.push(pcm[start : start + block]) for start in range(0, pcm.size, block)]
    return b"".join(pieces) + coder.finish()


def decoded(audio_format: AudioFormat, data: bytes) -> Pcm16:
    """Mono at `RATE`."""
    if audio_format == "pcm":
        return np.frombuffer(data, dtype="<i2").astype(np.int16)
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(io.BytesIO(data), "r") as file:
        frames = [part for frame in file.decode(audio=0) for part in resampler.resample(frame)] + resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("block", [1, 479, 24_000])
def test_what_comes_out_is_as_long_and_as_loud_as_what_went_in(audio_format: AudioFormat, block: int) -> None:
    pcm = tone(0.3 if block == 1 else 2.0)
    back = decoded(audio_format, encoded(audio_format, pcm, block))
    assert back.size / RATE == pytest.approx(pcm.size / RATE, abs=PADDING_S.get(audio_format, 0.001))
    middle = slice(back.size // 4, 3 * back.size // 4)
    assert np.std(back[middle].astype(float)) == pytest.approx(8000 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("audio_format", ["wav", "pcm", "flac"])
def test_lossless_formats_give_every_sample_back(audio_format: AudioFormat) -> None:
    pcm = np.random.default_rng(3).integers(-32768, 32767, 50_001).astype(np.int16)
    assert np.array_equal(decoded(audio_format, encoded(audio_format, pcm, 1000)), pcm)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_bytes_leave_while_it_is_spoken(audio_format: AudioFormat) -> None:
    """After half a second a listener has at least 0.3 s to play."""
    coder = encoder(audio_format, rate=RATE)
    early = b"".join(coder.push(tone(0.05)) for _ in range(10))
    assert decoded(audio_format, early).size >= 0.3 * RATE
    coder.finish()


@pytest.mark.parametrize("audio_format", ["wav", "mp3", "opus", "flac"])
def test_libsndfile_reads_it_too(audio_format: AudioFormat) -> None:
    data = encoded(audio_format, tone(1.0), 4800)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert file.samplerate == RATE
        assert file.read(RATE // 2, dtype="int16").size == RATE // 2


@pytest.mark.parametrize("audio_format", FORMATS)
def test_nothing_said_is_no_failure(audio_format: AudioFormat) -> None:
    coder = encoder(audio_format, rate=RATE)
    data = coder.push(np.zeros(0, dtype=np.int16)) + coder.finish()
    assert len(data) < 1000


def test_a_wav_header_leaves_the_length_open() -> None:
    header = wav_header(RATE)
    assert len(header) == 44
    assert header[4:8] == header[40:44] == b"\xff\xff\xff\xff"


def test_every_format_has_a_media_type() -> None:
    assert set(CONTENT_TYPES) == set(FORMATS)


@given(st.lists(st.integers(0, 3000), max_size=8), st.sampled_from(CODED))
def test_blocks_of_any_size_make_the_same_stream(sizes: list[int], audio_format: AudioFormat) -> None:
    pcm = tone(sum(sizes) / RATE, hertz=440.0)[: sum(sizes)]
    whole = encoder(audio_format, rate=RATE)
    at_once = whole.push(pcm) + whole.finish()
    cut = encoder(audio_format, rate=RATE)
    edges = np.cumsum(np.asarray(sizes, dtype=np.int64))[:-1]
    pieces = b"".join(cut.push(part) for part in np.split(pcm, edges)) + cut.finish()
    if audio_format == "opus":  # pages carry a random serial number
        assert len(at_once) == len(pieces)
    else:
        assert at_once == pieces
