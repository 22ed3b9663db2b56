"""The features that Smart Turn was trained on: Whisper's log-mel spectrogram of exactly eight seconds.

Constants are those of Whisper's feature extractor (16 kHz, 25 ms periodic Hann window, 10 ms hop, 80 Slaney mel bands,
dynamic range of 8 decades). Smart Turn adds two things: shorter audio is padded with zeros on the left, and the padded
waveform is brought to zero mean and unit variance first.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from voice_agent.audio.pcm import Samples

Matrix = NDArray[np.float32]

RATE = 16_000
WINDOW_SAMPLES = 8 * RATE
N_FFT = 400
HOP = 160
N_MELS = 80
N_FRAMES = WINDOW_SAMPLES // HOP
POWER_FLOOR = 1e-10
DECADES = 8.0
VARIANCE_FLOOR = 1e-7

_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_LOG_FROM_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27.0


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's scale: linear up to 1 kHz, logarithmic above."""
    knee = _LOG_FROM_HZ / _LINEAR_HZ_PER_MEL
    curve = _LOG_FROM_HZ * np.exp(_LOG_STEP * (np.maximum(mel, knee) - knee))
    return np.where(mel < knee, mel * _LINEAR_HZ_PER_MEL, curve)


def mel_bank() -> Matrix:
    """Triangles of equal area, shape (N_MELS, N_FFT // 2 + 1)."""
    top = _LOG_FROM_HZ / _LINEAR_HZ_PER_MEL + np.log(RATE / 2 / _LOG_FROM_HZ) / _LOG_STEP
    corners = _mel_to_hz(np.linspace(0.0, top, N_MELS + 2))[:, None]
    bins = np.linspace(0.0, RATE / 2, N_FFT // 2 + 1)[None, :]
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    bank = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (right - left))
    return bank.astype(np.float32)


class LogMel:
    """Holds the window and the filters; calls are pure and may run in several threads at once."""

    def __init__(self) -> None:
        self._hann: Samples = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
        self._bank = mel_bank()

    def __call__(self, samples: Samples) -> Matrix:
        """Features of the last eight seconds of `samples` (16 kHz), shape (1, N_MELS, N_FRAMES)."""
        heard = samples[-WINDOW_SAMPLES:]
        padding = WINDOW_SAMPLES - heard.size
        mel = self._bank @ self._power(_normalised(heard, padding), padding)
        log = np.log10(np.maximum(mel, np.float32(POWER_FLOOR)))
        log = np.maximum(log, log.max() - np.float32(DECADES))
        features: Matrix = (log + np.float32(4.0)) / np.float32(4.0)
        return features[None]

    def _power(self, waveform: Samples, padding: int) -> Matrix:
        """Power spectrum, shape (N_FFT // 2 + 1, N_FRAMES).

        Frames that lie wholly in the padding are all alike, so only one of them is transformed.
        """
        half = N_FFT // 2
        alike = max(0, (padding - half) // HOP + 1)
        first = max(0, alike - 1)
        frames = sliding_window_view(np.pad(waveform, half, mode="reflect"), N_FFT)[::HOP][first:N_FRAMES]
        spectrum = np.fft.rfft(frames * self._hann, axis=-1)
        power = (np.square(spectrum.real) + np.square(spectrum.imag)).T
        return np.concatenate((np.repeat(power[:, :1], first, axis=1), power), axis=1)


def _normalised(heard: Samples, padding: int) -> Samples:
    """`heard` behind `padding` zeros, the whole at zero mean and unit variance."""
    padded = np.zeros(WINDOW_SAMPLES, dtype=np.float32)
    padded[padding:] = heard
    mean = padded.mean(dtype=np.float64)
    deviation = np.sqrt(padded.var(dtype=np.float64) + VARIANCE_FLOOR)
    return ((padded - np.float32(mean)) / np.float32(deviation)).astype(np.float32, copy=False)
