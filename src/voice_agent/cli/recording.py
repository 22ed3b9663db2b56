"""The stereo recording of `talk`: both sides as the sound card had them, on one clock."""

from pathlib import Path

from voice_agent.audio.files import StereoWriter
from voice_agent.audio.pcm import Pcm16, Samples, to_int16
from voice_agent.audio.resample import Resampler
from voice_agent.transports.in_memory import INPUT_RATE, OUTPUT_RATE


class Recording:
    """`add` is an in-memory transport's tap. Raises `AudioInputError` at once if the file cannot be made."""

    def __init__(self, path: Path) -> None:
        self._writer = StereoWriter(path, OUTPUT_RATE)
        self._resampler = Resampler(INPUT_RATE, OUTPUT_RATE)
        self._left = 0
        self._right = 0

    def add(self, microphone: Samples, agent: Pcm16) -> None:
        self._place_left(self._resampler.push(to_int16(microphone)))
        self._writer.place("right", self._right, agent)
        self._right += agent.size

    def _place_left(self, pcm: Pcm16) -> None:
        if pcm.size:
            self._writer.place("left", self._left, pcm)
            self._left += pcm.size

    def close(self) -> None:
        """Writes the file (blocking)."""
        self._place_left(self._resampler.flush())
        self._writer.close()
