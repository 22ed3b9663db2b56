"""A closed mouth against an open one."""

import numpy as np

from voice_agent.audio.pcm import Samples
from voice_agent.audio.spectrum import brightness_db

RATE = 16_000
TIME = np.arange(512) / RATE


def harmonics(*levels: tuple[float, float]) -> Samples:
    wave = sum((level * np.sin(2 * np.pi * hertz * TIME) for hertz, level in levels), np.zeros(512))
    return wave.astype(np.float32)


def test_a_hum_is_dark_and_a_vowel_is_bright() -> None:
    hum = harmonics((140, 1.0), (280, 0.5), (420, 0.1), (1400, 0.005))
    vowel = harmonics((140, 1.0), (700, 0.8), (1200, 0.5), (2600, 0.2))

    assert brightness_db(hum, RATE) < -30
    assert -15 < brightness_db(vowel, RATE) < 0


def test_hiss_is_brighter_than_anything() -> None:
    assert brightness_db(harmonics((2000, 0.1), (3500, 0.1)), RATE) > 20


def test_silence_is_neither() -> None:
    assert brightness_db(np.zeros(512, dtype=np.float32), RATE) == 0.0
