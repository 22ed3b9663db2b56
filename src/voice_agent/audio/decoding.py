"""Sound files of any kind that people upload: libsndfile's formats first, then what PyAV's codecs add (m4a, mp4, webm, aac, …).

The kind of file is told from its first bytes and passed on, never guessed by the library: among its readers are ones for play
lists, which open other files and addresses.
"""

import io
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voice_agent.audio.files import MAX_SECONDS, RATES, read_audio
from voice_agent.audio.pcm import Samples
from voice_agent.errors import AudioInputError

ACCEPTED: Final = "flac, m4a, mp3, mp4, mpeg, mpga, ogg, opus, wav, webm or aac"

DECODE_RATE: Final = 16_000


def decode_audio(data: bytes, *, max_seconds: float = MAX_SECONDS) -> Samples:
    """The whole file as mono samples in [-1, 1] at 16 kHz. Blocking: about 10 ms for a minute of sound.

    A file that ends too early, or is damaged in the middle, gives what comes before. Raises `AudioInputError` with the codes of
    `read_audio`.
    """
    try:
        return read_audio(data, rate=DECODE_RATE, max_seconds=max_seconds)
    except AudioInputError as error:
        container = _container(data)
        if error.code not in ("audio.unreadable", "audio.empty") or container is None:
            raise _told(error) from error
    return _decoded(data, container, max_seconds)


def _told(error: AudioInputError) -> AudioInputError:
    return _unreadable(error.why) if error.code == "audio.unreadable" else error


def _container(data: bytes) -> str | None:
    """What PyAV calls this kind of file, None for one that is not read."""
    head = data[:16]
    if head[4:8] in (b"ftyp", b"moov", b"wide", b"mdat", b"styp"):
        return "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"OggS"):
        return "ogg"
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return "wav"
    if head.startswith(b"\x00\x00\x01\xba"):
        return "mpeg"
    if head[:1] == b"\xff" and len(head) > 1:
        if head[1] & 0xF6 == 0xF0:  # layer 00 is none of MPEG's: ADTS
            return "aac"
        return "mp3" if head[1] & 0xE0 == 0xE0 else None
    return "mp3" if head.startswith(b"ID3") else None


def _decoded(data: bytes, container: str, max_seconds: float) -> Samples:
    import av

    try:
        with av.open(io.BytesIO(data), "r", format=container, options={"protocol_whitelist": "none"}) as file:
            parts = list(_bounded(_blocks(file), round(max_seconds * DECODE_RATE), max_seconds))
    except (av.FFmpegError, ValueError) as error:  # ValueError: a channel layout or a rate that cannot be
        raise _unreadable(str(error)) from error
    if not parts:
        raise AudioInputError("The audio holds no sound", why="it has no samples", remedy="Record it again", code="audio.empty")
    return np.concatenate(parts)


def _blocks(file: Any) -> Iterator[Samples]:
    """Mono blocks at 16 kHz up to the end, or to where it cannot be read any more."""
    import av

    if not file.streams.audio:
        raise _unreadable("there is no sound track in it")
    stream = file.streams.audio[0]
    if stream.codec_context is None:
        raise _unreadable("its codec is not known")
    if stream.rate not in RATES:
        raise _unreadable(f"its sample rate is {stream.rate} Hz")
    # Channels stay side by side in one plane: PyAV reads beyond the end of a frame of more planes than seven.
    resampler = av.AudioResampler(format="flt", rate=DECODE_RATE)
    read_any = False
    try:
        for frame in file.decode(stream):
            for part in resampler.resample(frame):
                read_any = True
                yield _clean(part)
    except (av.FFmpegError, ValueError):  # ValueError: the number of channels changes on the way
        if not read_any:
            raise
        return
    if read_any:
        for part in resampler.resample(None):
            yield _clean(part)


def _clean(frame: Any) -> Samples:
    finite = np.nan_to_num(frame.to_ndarray(), nan=0.0, posinf=0.0, neginf=0.0)
    channels: NDArray[np.float32] = np.clip(finite, -1.0, 1.0).reshape(-1, frame.layout.nb_channels)
    samples: Samples = channels.mean(axis=1, dtype=np.float32)  # not swresample's mono, which is 3 dB louder
    return samples


def _bounded(blocks: Iterator[Samples], limit: int, max_seconds: float) -> Iterator[Samples]:
    samples = 0
    for block in blocks:
        samples += block.size
        if samples > limit:
            raise AudioInputError(
                "The audio is too long",
                why=f"more than {max_seconds:g} s",
                remedy="Cut it into shorter files",
                code="audio.too_long",
            )
        yield block


def _unreadable(why: str) -> AudioInputError:
    return AudioInputError("The audio cannot be read as sound", why=why, remedy=f"Give a {ACCEPTED} file", code="audio.unreadable")
