"""Moonshine tiny-en (27 M parameters, English, MIT) on plain onnxruntime: the recogniser that is there on any machine.

Not the moonshine-voice library, whose transcriber returns freed memory when two threads use it, gives no probabilities and cannot
be cancelled; the text is the same. `load` is blocking.
"""

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from voice_agent.engines.admission import Lane
from voice_agent.engines.base import INPUT_RATE, Samples, SttCapabilities
from voice_agent.engines.onnx_session import onnx_errors, open_session
from voice_agent.engines.stt import moonshine_decoder
from voice_agent.engines.stt.buffer import voiced_seconds
from voice_agent.engines.stt.languages import primary
from voice_agent.engines.stt.moonshine_decoder import GreedyDecoder, Tokens
from voice_agent.engines.stt.moonshine_tokens import join, read_vocabulary
from voice_agent.engines.stt.recogniser import Decoded, DecodeRequest, Stopped
from voice_agent.engines.stt.stream import BufferedStream, warm_up
from voice_agent.errors import EngineFailed, EngineUnavailable

NAME, MODEL = "moonshine", "moonshine-tiny-en"
LANGUAGE = "en"
REMEDY = f"Run: voice-agent models fetch {MODEL}"

ENCODER_INPUTS = ("input_values", "attention_mask")

TOKENS_PER_SECOND, FEWEST_TOKENS = 8, 6
"""Cap of a text's length. The library's 6.5 a second cuts fast speech in short clips."""

GARBAGE_LOGPROB = -1.1
"""Mean log-probability under which a text is thrown away. Right texts measured -0.01 to -0.25; silence ("You") -1.19."""

SHORT_S, SHORT_GARBAGE_LOGPROB = 0.6, -0.8
"""The same for little speech: a tenth to four tenths of a second of real speech gave "I", "1", "I'm" at -0.98 to -1.7."""


class Moonshine:
    """An `SttModel`: one pair of onnxruntime sessions, `workers` threads."""

    name = NAME
    model = MODEL
    capabilities = SttCapabilities(languages=(LANGUAGE,))

    def __init__(self, encoder: Any, decoder: Any, vocabulary: tuple[bytes, ...], *, threads: int, workers: int) -> None:
        self._recogniser = MoonshineRecogniser(encoder, decoder, vocabulary)
        self._lane = Lane(NAME, workers=workers)
        self.detail = f"{workers} x {threads} CPU threads"

    def stream(self, *, session: str, language: str | None = None, hint: str = "") -> BufferedStream:
        """`hint` is not used: the model cannot be told words. Another language than English raises `EngineUnavailable`."""
        if language is not None and primary(language) != LANGUAGE:
            raise EngineUnavailable(
                f"{NAME} does not know the language {language!r}",
                engine=NAME,
                why="it knows English only",
                remedy="Use faster-whisper for other languages",
                code="stt.unknown_language",
            )
        return BufferedStream(self._recogniser, self._lane, session=session, language=LANGUAGE)

    async def warm_up(self) -> None:
        await warm_up(self._recogniser, self._lane)

    async def aclose(self) -> None:
        await self._lane.aclose()


def load(folder: Path, *, threads: int = 1, workers: int = 1) -> Moonshine:
    """From `encoder_model.ort`, `decoder_model_merged.ort` and `tokenizer.bin`. Blocking: 0.3 s.

    `threads` is for one transcript (one is best on a shared machine), `workers` is how many are made at the same time.
    Raises `ModelError`.
    """
    vocabulary = read_vocabulary(folder / "tokenizer.bin", model=MODEL, remedy=REMEDY)

    def open_file(file: str, inputs: tuple[str, ...]) -> Any:
        return open_session(folder / file, model=MODEL, inputs=inputs, remedy=REMEDY, threads=threads)

    encoder = open_file("encoder_model.ort", ENCODER_INPUTS)
    decoder = open_file("decoder_model_merged.ort", moonshine_decoder.INPUTS)
    return Moonshine(encoder, decoder, vocabulary, threads=threads, workers=workers)


class MoonshineRecogniser:
    """Audio to text on the calling thread."""

    name = NAME

    def __init__(self, encoder: Any, decoder: Any, vocabulary: tuple[bytes, ...]) -> None:
        self._encoder = encoder
        self._decoder = GreedyDecoder(decoder)
        self._vocabulary = vocabulary
        self._errors = onnx_errors()

    def decode(self, samples: Samples, request: DecodeRequest, stop: Stopped) -> Decoded:
        seconds = samples.size / INPUT_RATE
        cap = max(FEWEST_TOKENS, ceil(TOKENS_PER_SECOND * seconds))
        try:
            tokens = self._tokens(samples, cap, request.draft, stop)
        except self._errors as error:
            why = str(error).strip().partition("\n")[0]
            raise EngineFailed(f"{NAME} could not recognise the speech", engine=NAME, why=why) from error
        return Decoded(
            text="" if _garbage(tokens, samples) else join(self._vocabulary, tokens.ids),
            language=LANGUAGE,
            logprob=tokens.logprob,
            scored=tokens.scored,
            tokens=tuple(tokens.ids),
            serves_as_final=True,
        )

    def _tokens(self, samples: Samples, cap: int, draft: tuple[int, ...], stop: Stopped) -> Tokens:
        if stop():
            return Tokens()
        audio = np.ascontiguousarray(samples[np.newaxis])
        mask = np.ones(audio.shape, dtype=np.int64)
        hidden = self._encoder.run(None, dict(zip(ENCODER_INPUTS, (audio, mask), strict=True)))[0]
        return self._decoder.decode(hidden, mask, cap=cap, draft=draft, stop=stop)


def _garbage(tokens: Tokens, samples: Samples) -> bool:
    if tokens.scored == 0:
        return True
    mean = tokens.logprob / tokens.scored
    return mean < GARBAGE_LOGPROB or (mean < SHORT_GARBAGE_LOGPROB and voiced_seconds(samples) < SHORT_S)
