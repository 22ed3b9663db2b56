"""The audio of one turn, and what its level says. Values and pure functions; no threads, no engine."""

import numpy as np

from voice_agent.engines.base import INPUT_RATE, Samples

FIRST_CAPACITY = 4 * INPUT_RATE
"""Most turns are shorter than 4 s, so most never grow."""

LIMIT_SAMPLES = 600 * INPUT_RATE
"""Ten minutes (38 MB) that nobody has asked a transcript of. Audio past it is refused and counted."""

LEVEL_WINDOW = INPUT_RATE // 50
"""20 ms: the length of a vowel's steady part, so that one window inside speech is wholly voiced."""

SPEECH_RANGE = 10 ** (-25 / 20)
"""What lies 25 dB under the loudest 20 ms of a turn is the room, not the speaker."""

CUT_WINDOW = INPUT_RATE // 10
"""100 ms: shorter than a pause between words, longer than the closure of a stop consonant."""


class SpeechBuffer:
    """Grows by doubling. `view` is a snapshot: later calls never change samples that it shows, so a worker may read it."""

    def __init__(self) -> None:
        self._data: Samples = np.empty(FIRST_CAPACITY, dtype=np.float32)
        self._size = 0
        self.refused_samples = 0

    def __len__(self) -> int:
        return self._size

    def append(self, samples: Samples) -> None:
        """Copies, limited to [-1, 1]; a sample that is not a number becomes silence."""
        fits = min(samples.size, LIMIT_SAMPLES - self._size)
        self.refused_samples += samples.size - fits
        end = self._size + fits
        if end > self._data.size:
            self._grow(end)
        fresh = self._data[self._size : end]
        np.clip(samples[:fits], -1.0, 1.0, out=fresh, casting="same_kind")
        if np.isnan(fresh).any():
            fresh[np.isnan(fresh)] = 0.0
        self._size = end

    def view(self) -> Samples:
        return self._data[: self._size]

    def drop(self, samples: int) -> None:
        """Forgets the first ones. Views given out before keep their audio."""
        rest = self._data[samples : self._size]
        data = np.empty(max(FIRST_CAPACITY, rest.size), dtype=np.float32)
        data[: rest.size] = rest
        self._data, self._size = data, rest.size

    def _grow(self, needed: int) -> None:
        data = np.empty(max(needed, 2 * self._data.size), dtype=np.float32)
        data[: self._size] = self._data[: self._size]
        self._data = data


def loudest(samples: Samples) -> float:
    """RMS of the loudest 20 ms window, 0 for less audio than that. Two loud samples in silence do not count as speech."""
    energy = _energies(samples)
    return float(np.sqrt(energy.max(initial=0.0)))


def voiced_seconds(samples: Samples) -> float:
    """How much of it is not the room: 20 ms windows within `SPEECH_RANGE` of the loudest."""
    energy = _energies(samples)
    return np.count_nonzero(energy > energy.max(initial=0.0) * SPEECH_RANGE**2) * LEVEL_WINDOW / INPUT_RATE


def _energies(samples: Samples) -> Samples:
    """Mean square of each whole 20 ms window."""
    windows = samples[: samples.size // LEVEL_WINDOW * LEVEL_WINDOW].reshape(-1, LEVEL_WINDOW)
    energies: Samples = np.einsum("ij,ij->i", windows, windows) / np.float32(LEVEL_WINDOW)
    return energies


def quietest_cut(samples: Samples, start: int, end: int) -> int:
    """The middle of the quietest 100 ms window of `samples[start:end]`: where cutting does least harm."""
    squares = np.square(samples[start:end], dtype=np.float64)
    sums = np.concatenate((np.zeros(1), np.cumsum(squares)))
    energy = sums[CUT_WINDOW:] - sums[:-CUT_WINDOW]
    return start + int(energy.argmin()) + CUT_WINDOW // 2
