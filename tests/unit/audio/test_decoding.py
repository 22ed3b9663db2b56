"""Uploads of every kind, damaged ones, and those that would make the reader open something else."""

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.audio.decoding import decode_audio
from voice_agent.audio.files import read_audio
from voice_agent.audio.pcm import Pcm16
from voice_agent.errors import AudioInputError

RATE = 44_100

KINDS = {
    "wav": ("wav", "pcm_s16le"),
    "flac": ("flac", "flac"),
    "ogg": ("ogg", "libvorbis"),
    "opus": ("ogg", "libopus"),
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "webm": ("webm", "libopus"),
    "aac": ("adts", "aac"),
    "mpeg": ("mpeg", "mp2"),
}


def file_of(kind: str, seconds: float = 1.0) -> bytes:
    """A stereo file with a tone of 300 Hz."""
    container, codec = KINDS[kind]
    rate = 48_000 if codec == "libopus" else RATE
    at = np.arange(round(seconds * rate))
    tone: Pcm16 = np.asarray(8000 * np.sin(2 * np.pi * 300 * at / rate), dtype=np.int16)
    data = io.BytesIO()
    if kind == "ogg":  # PyAV brings no encoder for Vorbis
        soundfile.write(data, np.stack([tone, tone], axis=1), rate, format="OGG", subtype="VORBIS")
        return data.getvalue()
    with av.open(data, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=rate, layout="stereo")  # Any: PyAV types it by the codec's name
        frame = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None, :], format="s16", layout="stereo")
        frame.sample_rate = rate
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return data.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read(kind: str) -> None:
    samples = decode_audio(file_of(kind))
    assert samples.dtype == np.float32
    assert samples.size / 16_000 == pytest.approx(1.0, abs=0.1)
    middle = samples[4000:12_000]
    assert np.abs(np.fft.rfft(middle)).argmax() == 300 // 2  # bins of 2 Hz
    assert np.std(middle) == pytest.approx(8000 / 32768 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("kind", ["webm", "m4a", "mp3", "wav", "opus"])
def test_too_long_is_refused_before_all_of_it_is_decoded(kind: str) -> None:
    with pytest.raises(AudioInputError) as caught:
        decode_audio(file_of(kind, 3.0), max_seconds=2.0)
    assert caught.value.code == "audio.too_long"


@pytest.mark.parametrize("kind", ["webm", "mp3", "opus", "aac", "flac", "wav"])
def test_a_file_that_was_cut_off_gives_what_is_there(kind: str) -> None:
    data = file_of(kind, 2.0)
    assert 0.3 < decode_audio(data[: len(data) // 2]).size / 16_000 < 1.7


@pytest.mark.parametrize(
    "data", [b"", b"hello, this is text", b"\x00" * 100, b"RIFF", b"\x1a\x45\xdf\xa3", b"\x00\x00\x00\x18ftypM4A "]
)
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    with pytest.raises(AudioInputError) as caught:
        decode_audio(data)
    assert caught.value.code in ("audio.unreadable", "audio.empty")


def test_a_picture_of_a_film_without_sound_is_refused() -> None:
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), dtype=np.uint8), format="rgb24")
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with pytest.raises(AudioInputError, match="no sound track"):
        decode_audio(data.getvalue())


@pytest.mark.parametrize("entry", ["file '{path}'", "{path}"])
def test_play_lists_open_nothing(tmp_path: Path, entry: str) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(file_of("wav"))
    for head in ("ffconcat version 1.0\n", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"):
        with pytest.raises(AudioInputError):
            decode_audio((head + entry.format(path=secret) + "\n").encode())


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_damage_never_breaks_more_than_the_file(kind: str, data: st.DataObject) -> None:
    whole = bytearray(_SHORT[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        samples = decode_audio(bytes(whole[:cut]), max_seconds=60.0)
    except AudioInputError:
        return
    assert samples.size > 0
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.0


_SHORT = {kind: file_of(kind, 0.2) for kind in KINDS}


def test_what_libsndfile_reads_is_read_as_before() -> None:
    data = file_of("flac")
    assert np.array_equal(decode_audio(data), read_audio(data))


@pytest.mark.parametrize("channels", ["7.1", "hexadecagonal"])
def test_many_channels_are_averaged_like_two(channels: str) -> None:
    """PyAV's own array of eight and more planar channels is read beyond its end."""
    count, data = av.AudioLayout(channels).nb_channels, io.BytesIO()
    with av.open(data, "w", format="matroska") as file:
        stream: Any = file.add_stream("pcm_s16le", rate=16_000, layout=channels)
        sound = np.full((1, 16_000 * count), 3277, dtype=np.int16)
        frame = av.AudioFrame.from_ndarray(sound, format="s16", layout=channels)
        frame.sample_rate = 16_000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    samples = decode_audio(data.getvalue())
    assert samples.size == 16_000
    assert np.allclose(samples, 0.1, atol=0.001)
