"""From speech probabilities to utterances: hysteresis that counts samples. Pure.

A window is the VAD's unit (32 ms). Onset: `onset_windows` in a row at or above `threshold`. End: the first
`release_windows` in a row below `release`; the end is dated back to where they began.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationSettings:
    threshold: float = 0.5
    """Silero's own default."""
    release: float = 0.35
    """15 points of hysteresis, as every user of Silero has it."""
    onset_windows: int = 2
    """64 ms: one window alone is a click."""
    release_windows: int = 2
    """64 ms: one window alone is often a plosive's closure. The transcript starts here, the hold decides the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """Speech since `sample`, counted from the start of the stream."""

    sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """No speech since `sample`."""

    sample: int


class SpeechSegmenter:
    """Feed it every window of one speaker's stream in order."""

    def __init__(self, window_samples: int, settings: SegmentationSettings = SegmentationSettings()) -> None:
        self._window = window_samples
        self.settings = settings if settings is not None else SegmentationSettings()
        self._position = 0
        self._run = 0
        self.speaking = False

    @property
    def position(self) -> int:
        """Samples looked at so far."""
        return self._position

    def process(self, probability: float) -> Onset | End | None:
        """One window; at most one boundary."""
        self._position += self._window
        settings = self.settings
        crossing = probability < settings.release if self.speaking else probability >= settings.threshold
        if not crossing:
            self._run = 0
            return None
        self._run += 1
        needed = settings.release_windows if self.speaking else settings.onset_windows
        if self._run < needed:
            return None
        boundary = self._position - self._run * self._window
        self._run = 0
        self.speaking = not self.speaking
        return Onset(sample=boundary) if self.speaking else End(sample=boundary)

    def skip(self, samples: int) -> End | None:
        """Audio that never came (a gap in the stream): silence. Ends an utterance that was going on."""
        boundary = self._position
        self._position += samples
        self._run = 0
        if not self.speaking:
            return None
        self.speaking = False
        return End(sample=boundary)
