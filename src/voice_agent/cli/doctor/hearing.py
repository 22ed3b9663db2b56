"""Probes of the engines that listen: they are given what a voice of this machine spoke.

They raise what their engine raises; `bounded.checked` makes findings of that.
"""

import asyncio
import math
import time

from voice_agent.audio.framing import Framer
from voice_agent.audio.pcm import Samples
from voice_agent.cli.doctor.findings import Fact, Finding, State
from voice_agent.cli.doctor.phrase import PHRASE, UNDERSTOOD_SHARE, understood, words_of
from voice_agent.cli.doctor.speaking import SESSION, Heard, silence
from voice_agent.conversation.segmentation import Onset, SegmentationSettings, SpeechSegmenter
from voice_agent.engines.base import INPUT_RATE, SttModel, TurnDetector, VadModel
from voice_agent.errors import EngineFailed

SLOW_TRANSCRIPT_S = 1.0
"""For a phrase of 1.5 s. The hold covers 0.3 to 1.4 s of it; past that the speaker waits for the recogniser."""

ROBOTIC = "espeak"
"""The voice that recognisers, trained on people, may fail to follow."""


async def probe_vad(name: str, engine: VadModel, heard: Heard | None, settings: SegmentationSettings) -> Finding:
    """Finds the phrase and finds nothing in silence, with the thresholds of the settings."""
    began = time.perf_counter()
    quiet = await asyncio.to_thread(_probabilities, engine, silence(1.0))
    speech = [] if heard is None else await asyncio.to_thread(_probabilities, engine, heard.samples)
    seconds = (len(quiet) + len(speech)) * engine.window_samples / INPUT_RATE
    ms = 1000 * (time.perf_counter() - began) / seconds
    facts: dict[str, Fact] = {
        "model": engine.model,
        "silence": round(max(quiet), 3),
        "speech": round(max(speech), 3) if speech else None,
    }
    if _onset(engine, quiet, settings):
        raise EngineFailed(f"{name} takes silence for speech", engine=name, remedy="Raise VAD_THRESHOLD (0.5 is usual)")
    if speech and not _onset(engine, speech, settings):
        why = f"at most {max(speech):.2f}, VAD_THRESHOLD is {settings.threshold:g}"
        raise EngineFailed(
            f"{name} does not hear a spoken phrase", engine=name, why=why, remedy="Lower VAD_THRESHOLD (0.5 is usual)"
        )
    told = f"speech {max(speech):.2f}, silence {max(quiet):.2f}" if speech else "silence only: nothing could speak to it"
    return Finding(
        group="vad", name=name, state=State.OK, ms=ms, detail=f"{engine.model}: {told} ({ms:.1f} ms a second)", facts=facts
    )


def _probabilities(engine: VadModel, samples: Samples) -> list[float]:
    stream = engine.stream()
    return [stream.probability(window.copy()) for window in Framer(engine.window_samples).push(samples)]


def _onset(engine: VadModel, probabilities: list[float], settings: SegmentationSettings) -> bool:
    segmenter = SpeechSegmenter(engine.window_samples, settings)
    return any(isinstance(segmenter.process(probability), Onset) for probability in probabilities)


async def probe_stt(name: str, engine: SttModel, heard: Heard | None) -> Finding:
    """Recognises what a voice of this machine spoke."""
    samples = silence(1.0) if heard is None else heard.samples
    stream = engine.stream(session=SESSION, language="en")
    try:
        stream.accept(samples)
        began = time.perf_counter()
        transcript = await stream.final()
        took_s = time.perf_counter() - began
    finally:
        stream.close()
    spoken, right = len(words_of(PHRASE)), understood(PHRASE, transcript.text)
    facts: dict[str, Fact] = {
        "model": engine.model,
        "text": transcript.text,
        "confidence": round(transcript.confidence, 3),
        "words_spoken": spoken if heard is not None else 0,
        "words_understood": right,
        "voice": heard.engine if heard is not None else None,
    }
    why, remedy = _judge_transcript(name, heard, right / spoken, f"{right} of {spoken}", took_s)
    told = "it answers; nothing could speak to it" if heard is None else f"{right} of {spoken} words: {transcript.text!r}"
    return Finding(
        group="stt",
        name=name,
        state=State.NOT_THE_BEST if why else State.OK,
        ms=1000 * took_s,
        detail=f"{engine.model}: {told}, confidence {transcript.confidence:.2f}"
        if heard is not None
        else f"{engine.model}: {told}",
        why=why,
        remedy=remedy,
        facts=facts,
    )


def _judge_transcript(name: str, heard: Heard | None, share: float, words: str, took_s: float) -> tuple[str, str]:
    """What is not the best about it, and the remedy. Raises `EngineFailed` when it understands nothing of a natural voice."""
    if heard is None:
        return "it was tested without speech, since no voice works", ""
    if share == 0.0 and heard.engine != ROBOTIC:
        raise EngineFailed(f"{name} understood no word of what {heard.engine} said", engine=name)
    if share < UNDERSTOOD_SHARE:
        remedy = "Try it with a person: voice-agent talk --input FILE"
        return f"it understood {words} words of {heard.engine}'s voice; people may be easier for it", remedy
    if took_s > SLOW_TRANSCRIPT_S:
        return f"it took {took_s:.1f} s for a short phrase", "Choose a smaller model (STT_MODEL=tiny), or a machine with a GPU"
    return "", ""


async def probe_turn(name: str, engine: TurnDetector, heard: Heard | None) -> Finding:
    """Whether it answers; the answer itself may be any."""
    samples = silence(1.0) if heard is None else heard.samples
    began = time.perf_counter()
    probability = await engine.probability(samples, session=SESSION)
    ms = 1000 * (time.perf_counter() - began)
    if not (math.isfinite(probability) and 0.0 <= probability <= 1.0):
        raise EngineFailed(f"{name} gave {probability} in place of a probability", engine=name)
    return Finding(
        group="turn",
        name=name,
        state=State.OK,
        ms=ms,
        detail=f"{engine.model}: turn over with {probability:.2f}" + (" (of silence)" if heard is None else " after the phrase"),
        facts={"model": engine.model, "probability": round(probability, 3)},
    )
