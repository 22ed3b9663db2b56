"""Sound files: any that libsndfile reads in, one stereo WAV out."""

import contextlib
import errno
import io
import os
import wave
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from voice_agent.audio.pcm import Pcm16, Samples
from voice_agent.errors import AudioInputError

MAX_SECONDS: Final = 1800.0
"""Half an hour at 16 kHz is 115 MB of samples."""

RATES: Final = range(8_000, 192_001)
"""Hz. What is outside is a damaged header or no speech."""

BLOCK_FRAMES: Final = 16_384

FORMATS: Final = "WAV, FLAC, OGG or MP3"

Source = Path | str | bytes


def read_audio(source: Source, *, rate: int = 16_000, max_seconds: float = MAX_SECONDS) -> Samples:
    """The whole of a sound file (path, or its bytes) as mono samples in [-1, 1] at `rate`; channels are averaged.

    It is read by blocks, so only the result is held in memory. A file that ends before its header says gives what is there.
    Raises `AudioInputError` with the code "audio.not_found", "audio.unreadable" (not sound, a folder, no permission),
    "audio.empty", "audio.not_finite" or "audio.too_long".
    """
    name = "the audio" if isinstance(source, bytes) else str(source)
    with _opened(source, name) as file:
        if file.samplerate not in RATES:
            why = f"its sample rate is {file.samplerate} Hz"
            raise _unreadable(name, why, f"Convert it to a rate from {RATES.start} to {RATES.stop - 1} Hz")
        blocks = _checked(_blocks(file, name), name, round(max_seconds * file.samplerate), max_seconds)
        samples = _resampled(blocks, file.samplerate, rate)
    if samples.size == 0:
        raise AudioInputError(f"{name} holds no sound", why="it has no samples", remedy="Record it again", code="audio.empty")
    return np.clip(samples, -1.0, 1.0, out=samples)


@contextlib.contextmanager
def _opened(source: Source, name: str) -> Iterator[Any]:
    """The open `SoundFile`. A path is opened here and handed on as a descriptor: the errors are Python's clear ones, and
    libsndfile goes by the content alone, not by the name's ending."""
    with contextlib.ExitStack() as stack:
        if isinstance(source, bytes):
            handle: Any = _InMemory(source)
            size = len(source)
        else:
            raw = stack.enter_context(_open_path(Path(source), name))
            handle, size = raw.fileno(), os.fstat(raw.fileno()).st_size
        if size == 0:
            raise AudioInputError(f"{name} is empty", why="0 bytes", remedy=f"Give a {FORMATS} file", code="audio.empty")
        try:
            file = stack.enter_context(soundfile.SoundFile(handle, closefd=False))
        except soundfile.LibsndfileError as error:
            raise _unreadable(name, error.error_string, f"Give a {FORMATS} file") from error
        yield file


def _open_path(path: Path, name: str) -> io.FileIO:
    try:
        if path.exists() and not path.is_file():
            raise _unreadable(name, "it is a folder" if path.is_dir() else "it is not a regular file", f"Give a {FORMATS} file")
        return io.FileIO(path)
    except FileNotFoundError as error:
        raise AudioInputError(f"There is no file {name}", remedy="Check the path", code="audio.not_found") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise _unreadable(name, reason, "Check the path and its permissions") from error


class _InMemory(io.BytesIO):
    """libsndfile seeks before the start of a damaged file; that must not raise inside its callback."""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


def _blocks(file: Any, name: str) -> Iterator[NDArray[np.float32]]:
    """Blocks of shape (frames, channels) up to the end, or up to where the file is cut off."""
    read_any = False
    while True:
        try:
            block: NDArray[np.float32] = file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            if read_any:
                return
            raise _unreadable(name, error.error_string or "it is damaged", f"Give a {FORMATS} file") from error
        if block.shape[0] == 0:
            return
        read_any = True
        yield block


def _checked(blocks: Iterator[NDArray[np.float32]], name: str, limit_frames: int, max_seconds: float) -> Iterator[Samples]:
    """Mono blocks; refuses samples that are not numbers, and more than `limit_frames`."""
    frames = 0
    for block in blocks:
        frames += block.shape[0]
        if frames > limit_frames:
            raise AudioInputError(
                f"{name} is too long", why=f"more than {max_seconds:g} s", remedy="Cut it into shorter files", code="audio.too_long"
            )
        if not np.isfinite(block).all():
            raise AudioInputError(
                f"{name} holds samples that are not numbers",
                why="NaN or infinite",
                remedy="Export it again",
                code="audio.not_finite",
            )
        yield np.clip(block, -1.0, 1.0, out=block).mean(axis=1, dtype=np.float32)


def _resampled(blocks: Iterator[Samples], rate: int, to_rate: int) -> Samples:
    if rate == to_rate:
        parts = list(blocks)
    else:
        stream = soxr.ResampleStream(rate, to_rate, 1, dtype="float32", quality="HQ")
        parts = [stream.resample_chunk(block) for block in blocks]
        parts.append(stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def _unreadable(name: str, why: str, remedy: str) -> AudioInputError:
    return AudioInputError(f"{name} cannot be read as sound", why=why, remedy=remedy, code="audio.unreadable")


Side = Literal["left", "right"]


class StereoWriter:
    """A conversation as one 16-bit stereo WAV: the speaker left, the agent right, both on one clock.

    Audio is placed by its sample position; what nobody placed is silence. It is kept in memory (4 bytes a sample, 5.8 MB a
    minute at 24 kHz) and written by `close`, so placing never blocks. The file appears whole under its name or not at all.
    """

    def __init__(self, path: Path | str, rate: int) -> None:
        """Raises `AudioInputError` (code "audio.unwritable") if no file can be made there: now, not after the conversation."""
        self._path = Path(path)
        self._rate = rate
        self._sides: dict[Side, _Track] = {"left": _Track(), "right": _Track()}
        self._open = True
        try:
            if self._path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self._part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
            self._part.touch()
        except (OSError, ValueError) as error:
            raise self._unwritable(error) from error

    def place(self, side: Side, start: int, pcm: Pcm16) -> None:
        """Puts `pcm` (at the writer's rate) at sample `start` of `side`, over what is there."""
        if start < 0:
            raise ValueError(f"audio cannot start at sample {start}")
        self._sides[side].place(start, pcm)

    def close(self) -> None:
        """Writes the file. Idempotent. Raises `AudioInputError` (code "audio.unwritable"), say on a full disk."""
        if not self._open:
            return
        self._open = False
        try:
            with self._part.open("wb") as file, wave.open(file, "wb") as out:
                out.setnchannels(2)
                out.setsampwidth(2)
                out.setframerate(self._rate)
                out.writeframes(self._interleaved())
            self._part.replace(self._path)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            with contextlib.suppress(OSError):
                self._part.unlink(missing_ok=True)

    def __enter__(self) -> "StereoWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()  # after an error too: the recording shows what led to it

    def _interleaved(self) -> bytes:
        left, right = self._sides["left"].pcm(), self._sides["right"].pcm()
        both = np.zeros((max(left.size, right.size), 2), dtype="<i2")
        both[: left.size, 0] = left
        both[: right.size, 1] = right
        return both.tobytes()

    def _unwritable(self, error: OSError | ValueError) -> AudioInputError:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        remedy = "Free some space, or write it elsewhere" if getattr(error, "errno", None) == errno.ENOSPC else "Write it elsewhere"
        return AudioInputError(f"{self._path} cannot be written", why=reason, remedy=remedy, code="audio.unwritable")


class _Track:
    """One side: samples in an array that doubles as it fills."""

    def __init__(self) -> None:
        self._samples: Pcm16 = np.zeros(0, dtype=np.int16)
        self._end = 0

    def place(self, start: int, pcm: Pcm16) -> None:
        end = start + pcm.size
        if end > self._samples.size:
            grown = np.zeros(max(end, 2 * self._samples.size), dtype=np.int16)
            grown[: self._end] = self._samples[: self._end]
            self._samples = grown
        self._samples[start:end] = pcm
        self._end = max(self._end, end)

    def pcm(self) -> Pcm16:
        return self._samples[: self._end]
