"""Whisper on CTranslate2, with faster-whisper's features and tokenizer: the engine "faster-whisper".

faster-whisper's `transcribe()` is not used: it pads every window to 30 s (a 5 s window costs a tenth), encodes twice to detect
the language, and decodes lazily. Here each window is encoded once, as long as the speech, and decoded once at temperature 0.
`load` is blocking. No call can be cancelled inside CTranslate2, so every text is capped.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from voice_agent.engines.admission import Lane
from voice_agent.engines.base import Samples, SttCapabilities
from voice_agent.engines.stt.languages import SessionLanguages, primary
from voice_agent.engines.stt.recogniser import Decoded, DecodeRequest, Stopped
from voice_agent.engines.stt.stream import BufferedStream, warm_up
from voice_agent.engines.stt.whisper_decoder import Attempt, DecoderOptions, WhisperDecoder
from voice_agent.engines.stt.whisper_folder import check_folder, damaged
from voice_agent.errors import EngineFailed, EngineUnavailable

NAME = "faster-whisper"

Device = Literal["auto", "cpu", "cuda"]

DETECT_SECONDS = 1.0
"""Shorter speech does not settle a session's language: on less than a second detection is often wrong."""

SURE_LANGUAGE = 0.5
"""Probability from which a detected language is kept for the session (the threshold of Whisper's own long-form decoding)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the model runs."""

    device: Literal["cpu", "cuda"]
    compute_type: str

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"


class Whisper:
    """An `SttModel`: one CTranslate2 model, `num_workers` threads that use it at the same time."""

    name = NAME

    def __init__(self, decoder: WhisperDecoder, *, model: str, placement: Placement, cpu_threads: int, num_workers: int) -> None:
        self.model = model
        self.placement = placement
        self.capabilities = SttCapabilities(languages=() if decoder.multilingual else ("en",))
        where = "the GPU" if placement.on_gpu else f"{num_workers} x {cpu_threads} CPU threads"
        self.detail = f"{placement.compute_type} on {where}"
        self._decoder = decoder
        self._recogniser = WhisperRecogniser(decoder)
        self._lane = Lane(NAME, workers=num_workers)

    def stream(self, *, session: str, language: str | None = None, hint: str = "") -> BufferedStream:
        """`hint` goes into Whisper's prompt. A language that the model lacks raises `EngineUnavailable`."""
        code = None if language is None else primary(language)
        if code is not None and not self._decoder.knows(code):
            raise EngineUnavailable(
                f"{NAME} ({self.model}) does not know the language {language!r}",
                engine=NAME,
                remedy="Use a multilingual model, or leave the language to be detected",
                code="stt.unknown_language",
            )
        return BufferedStream(self._recogniser, self._lane, session=session, language=code, hint=hint)

    async def warm_up(self) -> None:
        await warm_up(self._recogniser, self._lane)

    async def aclose(self) -> None:
        await self._lane.aclose()


class WhisperRecogniser:
    """Audio to text on the calling thread. Knows which language each session speaks."""

    name = NAME

    def __init__(self, decoder: WhisperDecoder) -> None:
        self._decoder = decoder
        self._languages = SessionLanguages()

    def decode(self, samples: Samples, request: DecodeRequest, stop: Stopped) -> Decoded:
        try:
            return self._decode(samples, request, stop)
        except (RuntimeError, ValueError) as error:  # what CTranslate2 raises
            why = str(error).strip().partition("\n")[0]
            raise EngineFailed(f"{NAME} could not recognise the speech", engine=NAME, why=why) from error

    def _decode(self, samples: Samples, request: DecodeRequest, stop: Stopped) -> Decoded:
        language = request.language or self._languages.get(request.session)
        attempt = self._decoder.decode(samples, request, language=language, stop=stop)
        if attempt is None:
            return Decoded(text="", language=language or "")
        retried = request.final and attempt.doubtful and not stop()
        if retried:
            again = self._decoder.decode(samples, request, language=request.language, stop=stop, full_window=True)
            attempt = attempt if again is None else attempt.better(again)
        if request.final and request.language is None:
            self._remember(request.session, attempt)
        return Decoded(
            text="" if attempt.silence else attempt.text,
            language=attempt.language,
            logprob=attempt.logprob,
            scored=attempt.scored,
            serves_as_final=not attempt.doubtful and language is not None and self._decoder.same_beam(final=request.final),
        )

    def _remember(self, session: str, attempt: Attempt) -> None:
        enough = attempt.seconds >= DETECT_SECONDS and attempt.language_probability >= SURE_LANGUAGE
        if attempt.language_detected and enough and attempt.text and not attempt.silence:
            self._languages.set(session, attempt.language)


def load(
    model: Path | str,
    *,
    device: Device = "auto",
    compute_type: str | None = None,
    cpu_threads: int = 1,
    num_workers: int = 1,
    window_floor_s: float = 8.0,
    beam_size: int | None = None,
) -> Whisper:
    """From a folder in CTranslate2's form. Blocking: 0.1 to 5 s. Never downloads.

    `compute_type` None: int8 on the CPU, float16 on a GPU. Keep `cpu_threads` x `num_workers` at the number of cores; for
    several sessions workers are better than threads. `window_floor_s`: the shortest encoder window; real models repeat
    themselves in windows much shorter than what they were trained on (30 s), 8 to 10 s lost nothing. `beam_size` is for
    finals; None: 1 on the CPU, 5 on a GPU, where a beam costs next to nothing.
    Raises `ModelError` (missing, damaged), `EngineUnavailable` (no such device).
    """
    folder = check_folder(model)
    placement = _place(device, compute_type)
    engine, placement = _open(folder, placement, auto=device == "auto", cpu_threads=cpu_threads, num_workers=num_workers)
    options = DecoderOptions(window_floor_s=window_floor_s, final_beam=beam_size or (5 if placement.on_gpu else 1))
    decoder = WhisperDecoder(engine, options)
    return Whisper(decoder, model=folder.name, placement=placement, cpu_threads=cpu_threads, num_workers=num_workers)


def _place(device: Device, compute_type: str | None) -> Placement:
    import ctranslate2

    gpus = 0 if device == "cpu" else ctranslate2.get_cuda_device_count()
    if device == "cuda" and gpus == 0:
        raise EngineUnavailable(
            f"{NAME} finds no GPU",
            engine=NAME,
            why="device is cuda and CTranslate2 sees none",
            remedy="Install the NVIDIA driver, or set the device to cpu",
            code="stt.no_gpu",
        )
    if gpus:
        return Placement(device="cuda", compute_type=compute_type or "float16")
    return Placement(device="cpu", compute_type=compute_type or "int8")


def _open(folder: Path, placement: Placement, *, auto: bool, cpu_threads: int, num_workers: int) -> tuple[Any, Placement]:
    """faster-whisper's model object, and where it really runs: a GPU whose libraries are missing is passed over when `auto`."""
    from faster_whisper import WhisperModel

    try:
        model = WhisperModel(
            str(folder),
            device=placement.device,
            compute_type=placement.compute_type,
            cpu_threads=cpu_threads,
            num_workers=num_workers,
            local_files_only=True,
        )
        if placement.on_gpu:
            _try_gpu(model)
    except Exception as error:  # and nothing narrower: tokenizers raises bare `Exception` for a damaged tokenizer.json
        if placement.on_gpu and auto:
            cpu = Placement(device="cpu", compute_type="int8")
            return _open(folder, cpu, auto=False, cpu_threads=cpu_threads, num_workers=num_workers)
        raise damaged(folder, why=str(error).strip().partition("\n")[0]) from error
    return model, placement


def _try_gpu(model: Any) -> None:
    """CTranslate2 looks for cuBLAS only when it computes. Raises `RuntimeError` where it is missing."""
    features = np.zeros((model.feature_extractor.mel_filters.shape[0], 100), dtype=np.float32)
    model.encode(features)
