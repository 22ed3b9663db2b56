"""What listeners say without wanting the turn, spoken by espeak: no human recordings of "mhm" are free to ship."""

import asyncio

import numpy as np

from voice_agent.audio.pcm import Samples, to_float32
from voice_agent.audio.resample import resample
from voice_agent.engines.base import INPUT_RATE, SpeechRequest, TtsModel

SOUNDS: tuple[tuple[str, str], ...] = (
    ("mhm", "umhum"),
    ("mm-hmm", "ummhmm"),
    ("uh huh", "uh huh"),
    ("yeah", "yeah"),
    ("okay", "okay"),
)
"""What is said, and how it is written for espeak, which spells "mhm" letter by letter."""

VOICES = ("en-us", "en-gb+f3")


async def listener_sounds() -> list[tuple[str, Samples]]:
    """Name and samples (16 kHz, about -21 dBFS, 0.3 to 0.6 s) of each sound in each voice. Raises `EngineUnavailable`."""
    from voice_agent.engines.tts import espeak

    engine = await asyncio.to_thread(espeak.load)
    try:
        return [(f"{said} ({voice})", await _spoken(engine, written, voice)) for voice in VOICES for said, written in SOUNDS]
    finally:
        await engine.aclose()


async def _spoken(engine: TtsModel, text: str, voice: str) -> Samples:
    request = SpeechRequest(text=text, voice=voice, language="en", speed=1.0)
    blocks = [chunk.pcm async for chunk in engine.speak(request, session="bench")]
    return resample(to_float32(np.concatenate(blocks)), engine.capabilities.sample_rate, INPUT_RATE)
