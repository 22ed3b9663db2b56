"""Reading sound files, the damaged ones above all."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from voice_agent.audio.files import read_audio
from voice_agent.audio.pcm import Samples
from voice_agent.errors import AudioInputError


def tone(rate: int, *, seconds: float = 0.5, channels: int = 1) -> NDArray[np.float32]:
    """440 Hz at half scale, shape (frames, channels)."""
    mono = 0.5 * np.sin(2 * np.pi * 440.0 * np.arange(round(seconds * rate)) / rate)
    return np.repeat(mono[:, None], channels, axis=1).astype(np.float32)


def encoded(samples: NDArray[np.float32], rate: int, *, form: str = "WAV", subtype: str | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=form, subtype=subtype)
    return out.getvalue()


def refused(source: Path | str | bytes, **limits: float) -> AudioInputError:
    with pytest.raises(AudioInputError) as caught:
        read_audio(source, **limits)  # type: ignore[arg-type]  # only max_seconds is ever given
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    return caught.value


def like_the_tone(samples: Samples, *, seconds: float = 0.5) -> bool:
    expected = tone(16_000, seconds=seconds)[:, 0]
    shared = slice(400, min(samples.size, expected.size) - 400)
    return abs(samples.size - expected.size) <= 1 and bool(np.abs(samples[shared] - expected[shared]).max() < 0.02)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count(rate: int, channels: int) -> None:
    samples = read_audio(encoded(tone(rate, channels=channels), rate))
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert like_the_tone(samples)


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_U8"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"), ("WAV", "ULAW"), ("FLAC", None)],
)
def test_any_lossless_format(form: str, subtype: str | None) -> None:
    assert like_the_tone(read_audio(encoded(tone(16_000), 16_000, form=form, subtype=subtype)))


@pytest.mark.parametrize(("form", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")])
def test_any_lossy_format(form: str, subtype: str) -> None:
    samples = read_audio(encoded(tone(16_000, seconds=2.0), 16_000, form=form, subtype=subtype))
    assert samples.size == pytest.approx(32_000, rel=0.1)
    assert float(np.abs(samples[8_000:24_000]).max()) == pytest.approx(0.5, abs=0.1)


def test_another_rate_can_be_asked_for() -> None:
    assert read_audio(encoded(tone(16_000), 16_000), rate=24_000).size == 12_000


def test_channels_are_averaged() -> None:
    stereo = np.stack((np.full(1600, 0.5), np.full(1600, -0.25)), axis=1).astype(np.float32)
    assert read_audio(encoded(stereo, 16_000, subtype="FLOAT")) == pytest.approx(0.125)


def test_a_path_goes_by_its_content_not_by_its_ending(tmp_path: Path) -> None:
    for ending in ("wav", "raw", "txt", "mp3"):
        path = tmp_path / f"spoken.{ending}"
        path.write_bytes(encoded(tone(16_000), 16_000))
        assert like_the_tone(read_audio(path))
        assert like_the_tone(read_audio(str(path)))


def test_floats_beyond_full_scale_are_clipped() -> None:
    samples = read_audio(encoded(tone(16_000) * 1e30, 16_000, subtype="FLOAT"))
    assert np.abs(samples).max() == 1.0


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_wav_cut_in_mid_frame_gives_what_is_there(kept: float, subtype: str) -> None:
    whole = encoded(tone(16_000, channels=2), 16_000, subtype=subtype)
    cut = whole[: int(len(whole) * kept) | 1]
    assert read_audio(cut).size == pytest.approx(8_000 * kept, abs=30)


def test_a_flac_cut_in_mid_frame_gives_what_can_be_decoded() -> None:
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 160_000).astype(np.float32)
    whole = encoded(noise, 16_000, form="FLAC")
    assert 16_000 < read_audio(whole[: len(whole) // 2 + 1]).size < 90_000


def test_a_header_that_promises_too_much_is_not_believed() -> None:
    whole = bytearray(encoded(tone(16_000), 16_000))
    whole[40:44] = (0xFFFFFFFF).to_bytes(4, "little")  # what a recorder writes that could not seek back
    assert like_the_tone(read_audio(bytes(whole)))


@pytest.mark.parametrize(
    "junk",
    [
        b"hello world" * 100,
        bytes(1000),
        b"RIFF",
        b"RIFF\x00\x00\x00\x00WAVE",
        b"\xff\xfb",
        b"fLaC" + bytes(40),
        b"OggS",
        bytes(range(256)) * 20,
    ],
    ids=["text", "zeros", "riff", "wave", "mpeg", "flac", "ogg", "bytes"],
)
def test_what_is_not_sound(junk: bytes, tmp_path: Path) -> None:
    assert refused(junk).code == "audio.unreadable"
    path = tmp_path / "junk.wav"
    path.write_bytes(junk)
    error = refused(path)
    assert error.code == "audio.unreadable"
    assert str(path) in error.what


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    path.touch()
    assert refused(path).code == "audio.empty"
    assert refused(b"").code == "audio.empty"


def test_a_file_of_no_seconds() -> None:
    assert refused(encoded(tone(16_000, seconds=0.0), 16_000)).code == "audio.empty"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers(bad: float) -> None:
    samples = tone(48_000, channels=2)
    samples[20_000, 1] = bad
    assert refused(encoded(samples, 48_000, subtype="FLOAT")).code == "audio.not_finite"


def test_a_file_that_is_too_long() -> None:
    audio = encoded(tone(16_000, seconds=2.0), 16_000)
    error = refused(audio, max_seconds=1.5)
    assert error.code == "audio.too_long"
    assert "1.5 s" in str(error)
    assert read_audio(audio, max_seconds=2.0).size == 32_000


def test_minutes_at_192_khz_need_no_more_memory_than_their_result(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "long.flac"
    silence = np.zeros((192_000, 2), dtype=np.int16)
    with soundfile.SoundFile(path, "w", 192_000, 2) as out:
        for _ in range(180):
            out.write(silence)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_audio(path).size == 2_880_000
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 100  # the whole file would be 276 MB


@pytest.mark.parametrize("rate", [1, 4_000, 7_999, 192_001])
def test_a_rate_that_nothing_speaks_at(rate: int) -> None:
    audio = bytearray(encoded(tone(16_000), 16_000))
    audio[24:28] = rate.to_bytes(4, "little")
    error = refused(bytes(audio))
    assert error.code == "audio.unreadable"
    assert f"{rate} Hz" in error.why


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    error = refused(tmp_path / "nobody.wav")
    assert error.code == "audio.not_found"
    assert "nobody.wav" in error.what


def test_a_folder(tmp_path: Path) -> None:
    error = refused(tmp_path)
    assert error.code == "audio.unreadable"
    assert "folder" in error.why


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe").code == "audio.unreadable"


def test_paths_that_no_system_takes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file" / "below.wav").code in {"audio.unreadable", "audio.not_found"}
    assert refused("null\0byte.wav").code == "audio.unreadable"
    assert refused("x" * 5000).code == "audio.unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "secret.wav"
    path.write_bytes(encoded(tone(16_000), 16_000))
    path.chmod(0)
    error = refused(path)
    assert error.code == "audio.unreadable"
    assert "denied" in error.why.lower()
