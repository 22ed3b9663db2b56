"""Kokoro-82M through kokoro-onnx: the natural voice. 24 kHz, nine languages, blends of voices.

Measured with the real architecture on two cores: 100 ms + 38 ms a phoneme, so half the time it speaks: one speaking session
per two cores. A piece that is being synthesised cannot be interrupted, so text goes in short pieces and a stopped clause ends
with the one that is running. kokoro-onnx's own stream is not used (it streams nothing below 510 phonemes and owns a task that
nobody ends); its session factory neither (it takes every core and spins on them).
"""

import logging
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voice_agent.audio.pcm import to_int16
from voice_agent.engines.admission import Lane, Stop
from voice_agent.engines.base import SpeechChunk, SpeechRequest, TtsCapabilities, Word
from voice_agent.engines.tts.kokoro_timing import even_edges, word_starts
from voice_agent.engines.tts.kokoro_voices import TONGUES, Style, Tongue, blend, default_voice, parse_blend, read_voices, tongue_of
from voice_agent.engines.tts.pieces import pieces
from voice_agent.engines.tts.silence import Pauses, first_audible, fit_tail, lead_samples
from voice_agent.engines.tts.speakable import speakable
from voice_agent.engines.tts.streaming import Emit, speak_pieces
from voice_agent.engines.tts.timing import WordTimes
from voice_agent.engines.tts.voicing import check_speed, unknown_language
from voice_agent.errors import EngineFailed, EngineUnavailable, ModelError

SAMPLE_RATE = 24_000

PIECE_CHARS = 240
"""Text per job: about 15 s of speech, and below the model's limit of 510 phonemes even where numbers grow into words."""

REMEDY = "Fetch it again: voice-agent models fetch kokoro-82m"

_LANGUAGE_SWITCH = re.compile(r"\([a-z]{2,3}(?:-[a-z]{2,4})?\)")
"""The phonemizer's note that a foreign word follows, which the model would pronounce."""


def load(
    model: Path,
    voices: Path,
    *,
    threads: int,
    device: Literal["cpu", "cuda"] = "cpu",
    workers: int = 1,
    pauses: Pauses | None = None,
) -> "Kokoro":
    """Blocking: about a second for the 326 MB model. `threads` per synthesis, `workers` syntheses at once.

    Raises `ModelError` for a missing or damaged file, `EngineUnavailable` where the device cannot be used.
    """
    styles = read_voices(voices, REMEDY)
    session = _session(model, threads, device)
    try:
        from kokoro_onnx import Kokoro as Native

        native: Any = Native.from_session(session, str(voices))
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineUnavailable("Kokoro cannot be loaded", engine="kokoro", why=str(error).split("\n")[0]) from error
    native.voices.close()
    native.voices = styles
    logging.getLogger("phonemizer").setLevel(logging.ERROR)  # it warns of every word that espeak joins to another
    return Kokoro(native, styles, pauses=pauses or Pauses(), workers=workers)


def _session(model: Path, threads: int, device: str) -> Any:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    providers = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"]}[device]
    if providers[0] not in onnxruntime.get_available_providers():
        raise EngineUnavailable(
            "Kokoro cannot use the GPU here",
            engine="kokoro",
            why=f"onnxruntime has no {providers[0]}",
            remedy="Install onnxruntime-gpu",
        )
    if not model.is_file():
        raise ModelError(f"Kokoro's model file {model.name} is missing", remedy=REMEDY)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other engines need the cores between clauses
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=providers)
    except (
        failures.Fail,
        failures.InvalidArgument,
        failures.InvalidGraph,
        failures.InvalidProtobuf,
        failures.NoSuchFile,
        failures.NotImplemented,
        failures.RuntimeException,
        RuntimeError,
    ) as error:
        raise ModelError(
            f"Kokoro's model file {model.name} is damaged", why=str(error).split("\n")[0][:200], remedy=REMEDY
        ) from error
    inputs = {tensor.name for tensor in session.get_inputs()}
    if not {"style", "speed"} <= inputs or not {"tokens", "input_ids"} & inputs:
        raise ModelError(f"{model.name} is not a Kokoro model", why=f"its inputs are {', '.join(sorted(inputs))}", remedy=REMEDY)
    return session


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What one synthesis gave: `edges[i]` is where phoneme i begins, in seconds, the last where all ends."""

    samples: NDArray[np.float32]
    phonemes: str
    edges: list[float]


class Kokoro:
    """The shared model. Voices as in its file, or a blend "name:weight+name:weight" (weights of at least 0, made to add to 1)."""

    name = "kokoro"
    model = "kokoro-82m"

    def __init__(self, native: Any, styles: dict[str, Style], *, pauses: Pauses, workers: int) -> None:
        self._native = native
        self._styles = styles
        self._pauses = pauses
        self._lane = Lane("kokoro", workers=workers)
        tongues = {TONGUES[name[:1]].code for name in styles if name[:1] in TONGUES}
        self.capabilities = TtsCapabilities(
            sample_rate=SAMPLE_RATE, voices=tuple(styles), languages=tuple(sorted(tongues)), blends=True
        )

    def check_voice(self, voice: str) -> None:
        parse_blend(voice, self.capabilities.voices)

    def _weights(self, request: SpeechRequest) -> dict[str, float]:
        voices = self.capabilities.voices
        voice = request.voice or default_voice(request.language, voices)
        if voice is None:
            raise unknown_language(request.language, self.capabilities.languages, engine=self.name)
        return parse_blend(voice, voices)

    async def warm_up(self) -> None:
        """The first synthesis and the first use of the phonemizer are slow; this one is not heard."""
        async for _ in self.speak(SpeechRequest(text="Hi."), session="warm-up"):
            pass

    async def speak(self, request: SpeechRequest, *, session: str) -> AsyncGenerator[SpeechChunk, None]:
        speed = check_speed(request.speed)
        weights = self._weights(request)
        tongue = tongue_of(weights)

        def synthesise(part: str, stop: Stop, emit: Emit) -> tuple[Word, ...]:
            return self._speak_part(part, blend(weights, self._styles), tongue, speed, stop, emit)

        chunks = speak_pieces(self._lane, pieces(request.text, PIECE_CHARS), synthesise, session=session)
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    async def aclose(self) -> None:
        await self._lane.aclose()

    # ------------------------------------------------------------ in the lane's thread

    def _speak_part(self, part: str, style: Style, tongue: Tongue, speed: float, stop: Stop, emit: Emit) -> tuple[Word, ...]:
        speech = speakable(part, tongue.code)
        times = WordTimes(speech)
        spoken = self._infer(speech.spoken, style, tongue, speed) if speech.spoken_words else None
        pcm = to_int16(spoken.samples) if spoken is not None else np.zeros(0, dtype=np.int16)
        audible = first_audible(pcm)
        if spoken is None or audible is None or stop():
            return times.rest(0.0, 0.0)
        lead = lead_samples(audible, SAMPLE_RATE)
        pcm, sound = fit_tail(pcm[lead:], SAMPLE_RATE, self._pauses.after(part) / speed)
        end_s = sound / SAMPLE_RATE
        starts = word_starts(speech.spoken_words, spoken.phonemes, spoken.edges)
        words: list[Word] = []
        at = 0.0
        for origin, start in zip(speech.origins, starts, strict=True):
            if times.has_speech(origin):
                until = min(end_s, max(at, start - lead / SAMPLE_RATE))
                words += times.until(origin, at, until)
                at = until
        emit(SpeechChunk(pcm=pcm, sample_rate=SAMPLE_RATE, words=(*words, *times.rest(at, end_s))))
        return ()

    def _infer(self, text: str, style: Style, tongue: Tongue, speed: float) -> _Spoken | None:
        """None where the text has no sound in this language."""
        phonemes = " ".join(_LANGUAGE_SWITCH.sub("", self._native.tokenizer.phonemize(text, tongue.phonemes)).split())
        known = self._native.tokenizer.known(phonemes)
        if not any(char.isalpha() for char in known):
            return None
        try:
            samples, _, timings = self._native.create_timed(
                phonemes, style, speed, is_phonemes=True, trim=False, sentence_pause=0.0, clause_pause=0.0
            )
        except _onnx_failures() as error:
            raise EngineFailed("Kokoro could not speak a clause", engine="kokoro", why=str(error).split("\n")[0][:200]) from error
        if not np.isfinite(samples).all():
            raise EngineFailed("Kokoro could not speak a clause", engine="kokoro", why="its audio is not a number")
        if timings:
            spoken = "".join(timing.phoneme for timing in timings)
            return _Spoken(samples, spoken, [*(timing.start for timing in timings), timings[-1].end])
        return _Spoken(samples, known, even_edges(known, len(samples) / SAMPLE_RATE))


def _onnx_failures() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    return (failures.Fail, failures.InvalidArgument, failures.RuntimeException, failures.EPFail, RuntimeError, ValueError)
