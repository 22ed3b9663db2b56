"""The stereo recording of a conversation."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voice_agent.audio.files import StereoWriter
from voice_agent.audio.pcm import Pcm16
from voice_agent.errors import AudioInputError


def pcm(*values: int) -> Pcm16:
    return np.array(values, dtype=np.int16)


def written(path: Path) -> list[list[int]]:
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    assert rate == 24_000
    rows: list[list[int]] = samples.tolist()
    return rows


def test_both_sides_stand_on_one_clock(tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    with StereoWriter(path, 24_000) as out:
        out.place("left", 1, pcm(10, 11))
        out.place("right", 3, pcm(20))
        out.place("left", 5, pcm(12))
    assert written(path) == [[0, 0], [10, 0], [11, 0], [0, 20], [0, 0], [12, 0]]
    assert [entry.name for entry in tmp_path.iterdir()] == ["talk.wav"]


def test_later_audio_replaces_earlier_and_order_does_not_matter(tmp_path: Path) -> None:
    with StereoWriter(tmp_path / "talk.wav", 24_000) as out:
        out.place("right", 2, pcm(3, 4))
        out.place("right", 0, pcm(1, 2, 9))
    assert written(tmp_path / "talk.wav") == [[0, 1], [0, 2], [0, 9], [0, 4]]


def test_many_blocks(tmp_path: Path) -> None:
    stream = np.random.default_rng(3).integers(-32768, 32767, 50_000, dtype=np.int16)
    with StereoWriter(tmp_path / "talk.wav", 24_000) as out:
        for start in range(0, stream.size, 480):
            out.place("left", start, stream[start : start + 480])
    assert np.array(written(tmp_path / "talk.wav"))[:, 0].tolist() == stream.tolist()


def test_nothing_placed_gives_an_empty_file(tmp_path: Path) -> None:
    StereoWriter(tmp_path / "talk.wav", 24_000).close()
    assert written(tmp_path / "talk.wav") == []


def test_an_earlier_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(b"earlier")
    out = StereoWriter(path, 24_000)
    out.place("left", 0, pcm(5))
    assert path.read_bytes() == b"earlier"
    out.close()
    out.close()
    assert written(path) == [[5, 0]]


def test_what_was_said_before_an_error_is_kept(tmp_path: Path) -> None:
    def talk() -> None:
        with StereoWriter(tmp_path / "talk.wav", 24_000) as out:
            out.place("left", 0, pcm(5))
            raise KeyError("something else")

    with pytest.raises(KeyError):
        talk()
    assert written(tmp_path / "talk.wav") == [[5, 0]]


def test_a_negative_position_is_a_mistake(tmp_path: Path) -> None:
    with StereoWriter(tmp_path / "talk.wav", 24_000) as out, pytest.raises(ValueError, match="-1"):
        out.place("left", -1, pcm(5))


@pytest.mark.parametrize("path", ["missing/talk.wav", ".", "file/talk.wav", "null\0byte.wav"])
def test_a_place_that_cannot_be_written_is_refused_at_once(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AudioInputError) as caught:
        StereoWriter(tmp_path / path, 24_000)
    assert caught.value.code == "audio.unwritable"
    assert caught.value.why
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_full_disk(tmp_path: Path) -> None:
    """/dev/full answers every write with "no space left"; the half file is put there by a link."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    out = StereoWriter(tmp_path / "talk.wav", 24_000)
    (part,) = tmp_path.iterdir()
    part.unlink()
    part.symlink_to("/dev/full")
    out.place("left", 0, np.ones(100_000, dtype=np.int16))
    with pytest.raises(AudioInputError) as caught:
        out.close()
    assert caught.value.code == "audio.unwritable"
    assert os.strerror(errno.ENOSPC) in caught.value.why
    assert "space" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []
