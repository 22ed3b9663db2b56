"""Smart Turn's features against an independent implementation of Whisper's."""

import numpy as np
import pytest

from voice_agent.audio.pcm import Samples
from voice_agent.engines.turn.log_mel import N_FRAMES, N_MELS, WINDOW_SAMPLES, LogMel, Matrix, mel_bank


def speechlike(samples: int) -> Samples:
    """Noise that swells and fades, with an offset."""
    random = np.random.default_rng(samples)
    swell = 0.1 * np.sin(np.arange(samples) / 900.0) ** 2
    return (random.standard_normal(samples) * swell + 0.01).astype(np.float32)


def reference(samples: Samples) -> Matrix:
    """faster-whisper's features of the last eight seconds, padded on the left, at zero mean and unit variance."""
    from faster_whisper.feature_extractor import FeatureExtractor

    heard = samples[-WINDOW_SAMPLES:]
    padded = np.concatenate((np.zeros(WINDOW_SAMPLES - heard.size), heard))
    normal = ((padded - padded.mean()) / np.sqrt(padded.var() + 1e-7)).astype(np.float32)
    features: Matrix = FeatureExtractor(feature_size=N_MELS)(normal, padding=0)
    return features


@pytest.mark.parametrize("samples", [1, 100, 199, 200, 201, 360, 361, 500, 16_000, 40_001, 127_999, 128_000, 200_000])
def test_features_are_whispers(samples: int) -> None:
    given = speechlike(samples)
    features = LogMel()(given)
    assert features.shape == (1, N_MELS, N_FRAMES)
    assert features.dtype == np.float32
    assert np.abs(features[0] - reference(given)).max() < 1e-4


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_audio_without_any_change_has_features_too(level: float) -> None:
    features = LogMel()(np.full(WINDOW_SAMPLES, level, dtype=np.float32))
    assert np.isfinite(features).all()
    assert np.ptp(features) < 1e-6


def test_nothing_and_silence_are_alike() -> None:
    log_mel = LogMel()
    assert (log_mel(np.zeros(0, dtype=np.float32)) == log_mel(np.zeros(5000, dtype=np.float32))).all()


def test_loudness_does_not_matter() -> None:
    given = speechlike(50_000)
    assert np.abs(LogMel()(given) - LogMel()(given * np.float32(0.1))).max() < 1e-2


def test_the_bank_is_whispers() -> None:
    from faster_whisper.feature_extractor import FeatureExtractor

    assert np.abs(mel_bank() - FeatureExtractor(feature_size=N_MELS).mel_filters).max() < 1e-7


def test_what_is_given_is_not_changed() -> None:
    given = speechlike(30_000)
    before = given.copy()
    LogMel()(given)
    assert (given == before).all()
