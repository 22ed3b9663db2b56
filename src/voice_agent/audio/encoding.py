"""Speech as it is made into the formats of speech APIs, block by block: what goes in comes out after at most 0.1 s of sound.

pcm and wav are written here; mp3, opus, aac and flac by the codecs that PyAV brings along. Nothing is known of the length
beforehand, so no header tells it.
"""

import struct
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np

from voice_agent.audio.pcm import Pcm16

AudioFormat: TypeAlias = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

CONTENT_TYPES: Final[dict[AudioFormat, str]] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
"""Opus travels in Ogg (RFC 7845), whose media type is audio/ogg; AAC as ADTS."""

UNKNOWN_SIZE: Final = 0xFFFFFFFF
"""In a WAV header: as long as the stream goes on. What ffmpeg writes to a pipe, and what every reader takes."""


class Encoder(Protocol):
    """Mono audio of one rate, in order. Not thread-safe, but may move between threads."""

    @property
    def blocks(self) -> bool:
        """Whether it computes (2 to 7 ms for each second of audio), so that it belongs into a thread."""
        ...

    def push(self, pcm: Pcm16) -> bytes:
        """What is ready after these samples (any number of them), often of a little less than was pushed."""
        ...

    def finish(self) -> bytes:
        """The rest. The encoder is spent afterwards."""
        ...


def encoder(audio_format: AudioFormat, *, rate: int) -> Encoder:
    """Of one stream at `rate` Hz, which must be 8, 12, 16, 24 or 48 kHz for opus."""
    match audio_format:
        case "pcm":
            return PcmEncoder()
        case "wav":
            return WavEncoder(rate)
        case _:
            return CodecEncoder(_CODECS[audio_format], rate)


class PcmEncoder:
    """16-bit little-endian samples and nothing else."""

    blocks = False

    def push(self, pcm: Pcm16) -> bytes:
        return pcm.astype("<i2", copy=False).tobytes()

    def finish(self) -> bytes:
        return b""


class WavEncoder(PcmEncoder):
    """A header that leaves the length open, then the samples."""

    def __init__(self, rate: int) -> None:
        self._header = wav_header(rate)

    def push(self, pcm: Pcm16) -> bytes:
        header, self._header = self._header, b""
        return header + super().push(pcm)

    def finish(self) -> bytes:
        return self._header


def wav_header(rate: int) -> bytes:
    """44 bytes: mono, 16 bit, of unknown length."""
    riff = struct.pack("<4sI4s", b"RIFF", UNKNOWN_SIZE, b"WAVE")
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return riff + layout + struct.pack("<4sI", b"data", UNKNOWN_SIZE)


class _Codec(NamedTuple):
    """`bit_rate` in bits per second (None: lossless); `options` of the container."""

    name: str
    container: str
    bit_rate: int | None
    options: dict[str, str]


_CODECS: Final[dict[AudioFormat, _Codec]] = {
    # No Xing header: it would be filled in at the end, by going back to the start.
    "mp3": _Codec("libmp3lame", "mp3", 64_000, {"write_xing": "0", "id3v2_version": "0"}),
    # Ogg holds a page back until it has a second of sound, unless told otherwise (in microseconds).
    "opus": _Codec("libopus", "ogg", 48_000, {"page_duration": "100000"}),
    "aac": _Codec("aac", "adts", 64_000, {}),
    "flac": _Codec("flac", "flac", None, {}),
}
"""Bit rates at which a single voice at 24 kHz sounds like the original."""


class CodecEncoder:
    """Any codec of PyAV, into a stream that is only ever appended to."""

    blocks = True

    def __init__(self, codec: _Codec, rate: int) -> None:
        import av

        self._av = av
        self._rate = rate
        self._sink = _Sink()
        # flush_packets: every packet leaves at once, and does not wait for 32 kB.
        self._container = av.open(self._sink, "w", format=codec.container, options={**codec.options, "flush_packets": "1"})
        stream: Any = self._container.add_stream(codec.name, rate=rate, layout="mono")  # Any: PyAV types it by the codec's name
        if codec.bit_rate is not None:
            stream.bit_rate = codec.bit_rate
        self._stream = stream
        self._position = 0

    def push(self, pcm: Pcm16) -> bytes:
        if pcm.size:
            frame = self._av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm).reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = self._rate
            frame.pts = self._position
            self._position += pcm.size
            self._container.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        if self._position:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.take()


class _Sink:
    """The file that PyAV writes to."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken
