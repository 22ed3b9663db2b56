"""Probe of the voices: each speaks the phrase, which then serves to probe the engines that listen."""

import asyncio
import contextlib
import time
from dataclasses import dataclass

import numpy as np

from voice_agent.audio.pcm import Samples, level_dbfs, to_float32
from voice_agent.audio.resample import resample
from voice_agent.cli.doctor.findings import Finding, State
from voice_agent.cli.doctor.phrase import PHRASE
from voice_agent.engines.base import INPUT_RATE, SpeechRequest, TtsModel
from voice_agent.errors import EngineFailed, InputError

SESSION = "doctor"

BEFORE_S, AFTER_S = 0.5, 0.3
"""Silence around the phrase, as a microphone would send it: engines judge a pause, not a cut."""

AUDIBLE_DBFS = -50.0
"""Speech is at -30 to -15 dBFS; what is below this nobody hears."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """How the sessions of these settings speak."""

    voice: str | None = None
    language: str = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The phrase as `engine` speaks it, at 16 kHz with silence around it."""

    engine: str
    samples: Samples


async def probe_tts(name: str, engine: TtsModel, voice: Voice) -> Finding:
    """Speaks the phrase as a session would. A voice that the engine does not know is left out, as a session leaves it out."""
    known = voice.voice is None or knows_voice(engine, voice.voice)
    request = SpeechRequest(text=PHRASE, voice=voice.voice if known else None, language=voice.language)
    spoken, first_s, took_s = await _speak(engine, request)
    seconds = spoken.size / INPUT_RATE
    factor = took_s / seconds
    why, remedy = "", ""
    if factor > 1.0:
        why = f"it needs {factor:.1f} s for a second of speech, so that its speech has gaps"
        remedy = "Put espeak first in TTS_ENGINES, or use a faster machine"
    elif not known:
        why, remedy = f"it does not know the voice {voice.voice!r}", "Set TTS_VOICE to one of its voices: " + _some_voices(engine)
    return Finding(
        group="tts",
        name=name,
        state=State.NOT_THE_BEST if why else State.OK,
        ms=1000 * first_s,
        detail=f"{engine.model}: first sound after {1000 * first_s:.0f} ms, real-time factor {factor:.3f}",
        why=why,
        remedy=remedy,
        facts={
            "model": engine.model,
            "first_chunk_ms": round(1000 * first_s, 1),
            "real_time_factor": round(factor, 4),
            "audio_s": round(seconds, 3),
        },
    )


async def hear(name: str, engine: TtsModel) -> Heard:
    """The phrase in the engine's own English voice, for the engines that listen."""
    spoken, _, _ = await _speak(engine, SpeechRequest(text=PHRASE))
    return Heard(engine=name, samples=np.concatenate((silence(BEFORE_S), spoken, silence(AFTER_S))))


def knows_voice(engine: TtsModel, voice: str) -> bool:
    with contextlib.suppress(InputError):
        engine.check_voice(voice)
        return True
    return False


async def _speak(engine: TtsModel, request: SpeechRequest) -> tuple[Samples, float, float]:
    """What it said at 16 kHz, seconds to its first chunk, seconds to its last."""
    began = time.perf_counter()
    first_s, rate, blocks = 0.0, INPUT_RATE, []
    async for chunk in engine.speak(request, session=SESSION):
        first_s = first_s or time.perf_counter() - began
        rate = chunk.sample_rate
        blocks.append(chunk.pcm)
    took_s = time.perf_counter() - began
    spoken = to_float32(np.concatenate(blocks)) if blocks else silence(0.0)
    if level_dbfs(spoken) < AUDIBLE_DBFS:
        raise EngineFailed(f"{engine.name} spoke nothing that can be heard", engine=engine.name)
    return await asyncio.to_thread(resample, spoken, rate, INPUT_RATE), first_s, took_s


def _some_voices(engine: TtsModel) -> str:
    voices = engine.capabilities.voices
    return ", ".join(voices[:5]) + (", …" if len(voices) > 5 else "")


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * INPUT_RATE), dtype=np.float32)
