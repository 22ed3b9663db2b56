"""One window of speech through Whisper: features, encoder on the speech's own length, greedy or beam decoding."""

import zlib
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_agent.engines.base import INPUT_RATE, Samples
from voice_agent.engines.stt.loops import cut_at_loop
from voice_agent.engines.stt.recogniser import DecodeRequest, Stopped

FRAMES_PER_SECOND = 100
FULL_WINDOW = 3000
"""Frames of 10 ms; 30 s is what Whisper was trained on and the most that its encoder takes."""

WINDOW_PAD_S = 1.0
"""Silence behind the speech, so that the model sees it end."""

LOW_LOGPROB, HIGH_COMPRESSION = -1.0, 2.4
"""A text below the one (mean log-probability) or above the other (zlib ratio: repetition) has failed. Whisper's own thresholds."""

NO_SPEECH = 0.6
"""Probability of "no speech" from which a text that has failed is taken for silence. Whisper's own threshold."""

TOKENS_PER_SECOND, FEWEST_TOKENS = 12, 16
"""Cap of a text's length. English needs about 4 tokens a second; languages that are rare in the vocabulary, three times that."""

MOST_HINT_TOKENS, MOST_CONTEXT_TOKENS = 60, 60
"""Of the 448 positions of the decoder, for the words to expect and for what was said before. Every one of them costs time."""

POSITIONS = 448


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderOptions:
    window_floor_s: float
    final_beam: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One decode of one window. `seconds` is the length of the audio."""

    text: str
    logprob: float
    scored: int
    no_speech: float
    language: str
    language_probability: float
    language_detected: bool
    seconds: float

    @property
    def mean(self) -> float:
        return self.logprob / self.scored if self.scored else -np.inf

    @property
    def repetitive(self) -> bool:
        return compression(self.text) > HIGH_COMPRESSION

    @property
    def doubtful(self) -> bool:
        return self.mean < LOW_LOGPROB or self.repetitive

    @property
    def silence(self) -> bool:
        return self.no_speech > NO_SPEECH and self.mean < LOW_LOGPROB

    def better(self, other: "Attempt") -> "Attempt":
        """The likelier one; a repetitive one only if both are."""
        return max((self, other), key=lambda attempt: (not attempt.repetitive, attempt.mean))


def compression(text: str) -> float:
    """How much zlib shortens the text: about 1 for speech, well above 2 for a phrase that is repeated many times."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


class WhisperDecoder:
    """`model` is a faster_whisper.WhisperModel, used for its features, its tokenizer and its CTranslate2 model."""

    def __init__(self, model: Any, options: DecoderOptions) -> None:
        self._model = model
        self._options = options

    @property
    def multilingual(self) -> bool:
        return bool(self._model.model.is_multilingual)

    def knows(self, language: str) -> bool:
        if not self.multilingual:
            return language == "en"
        in_vocabulary = self._model.hf_tokenizer.token_to_id(f"<|{language}|>") is not None
        return in_vocabulary and language in self._model.supported_languages

    def same_beam(self, *, final: bool) -> bool:
        """Whether this request is decoded with the beam of a final."""
        return final or self._options.final_beam == 1

    def decode(
        self, samples: Samples, request: DecodeRequest, *, language: str | None, stop: Stopped, full_window: bool = False
    ) -> Attempt | None:
        """None when `stop` was set before there was a text. `language` None: detect, from the same encoding."""
        if stop():
            return None
        encoded = self._model.encode(self._features(samples, full_window=full_window))
        if stop():
            return None
        found, probability = (language, 1.0) if language else self._detect(encoded)
        prompt, tokenizer = self._prompt(found, request)
        seconds = samples.size / INPUT_RATE
        cap = min(max(FEWEST_TOKENS, ceil(TOKENS_PER_SECOND * seconds)), POSITIONS - len(prompt))
        result = self._model.model.generate(
            encoded,
            [prompt],
            beam_size=self._options.final_beam if request.final else 1,
            max_length=len(prompt) + cap,
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        ids = result.sequences_ids[0]
        return Attempt(
            text=tokenizer.decode(cut_at_loop(ids)).strip(),
            # CTranslate2's score is the mean over the text tokens; the end token is part of the sum.
            logprob=result.scores[0] * len(ids),
            scored=len(ids) + 1,
            no_speech=result.no_speech_prob,
            language=found,
            language_probability=probability,
            language_detected=language is None,
            seconds=seconds,
        )

    def _features(self, samples: Samples, *, full_window: bool) -> NDArray[np.float32]:
        """Log-mel features (80 or 128, frames), followed by zeros up to the window's length as in faster-whisper."""
        mel: NDArray[np.float32] = self._model.feature_extractor(samples)[:, : ceil(samples.size * FRAMES_PER_SECOND / INPUT_RATE)]
        wanted = max(self._options.window_floor_s, mel.shape[1] / FRAMES_PER_SECOND + WINDOW_PAD_S) * FRAMES_PER_SECOND
        # An even number: the encoder halves it.
        frames = FULL_WINDOW if full_window else min(FULL_WINDOW, 2 * ceil(wanted / 2))
        mel = mel[:, :frames]
        return np.pad(mel, ((0, 0), (0, frames - mel.shape[1])))

    def _detect(self, encoded: Any) -> tuple[str, float]:
        if not self.multilingual:
            return "en", 1.0
        token, probability = self._model.model.detect_language(encoded)[0][0]
        return token.strip("<|>"), probability

    def _prompt(self, language: str, request: DecodeRequest) -> tuple[list[int], Any]:
        from faster_whisper.tokenizer import Tokenizer

        tokenizer = Tokenizer(self._model.hf_tokenizer, self.multilingual, task="transcribe", language=language)
        previous = [
            *tokenizer.encode(_before(request.hint))[:MOST_HINT_TOKENS],
            *tokenizer.encode(_before(request.context))[-MOST_CONTEXT_TOKENS:],
        ]
        start = [tokenizer.sot_prev, *previous] if previous else []
        return [*start, *tokenizer.sot_sequence, tokenizer.no_timestamps], tokenizer


def _before(text: str) -> str:
    """As it stands in Whisper's training data, where each word follows a space."""
    return f" {text.strip()}" if text.strip() else ""
