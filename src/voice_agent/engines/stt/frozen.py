"""The part of a turn that is not decoded any more. Values only."""

from dataclasses import dataclass, replace

from voice_agent.engines.base import INPUT_RATE, Transcript
from voice_agent.engines.stt.recogniser import Decoded
from voice_agent.engines.stt.stability import words_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """Text, score and length of the turn's beginning."""

    text: str = ""
    language: str = ""
    logprob: float = 0.0
    scored: int = 0
    samples: int = 0

    @property
    def words(self) -> int:
        return len(words_of(self.text))

    def then(self, decoded: Decoded, samples: int) -> "Frozen":
        """With the next window's text behind it."""
        if not decoded.text:
            return replace(self, samples=self.samples + samples)
        return Frozen(
            text=f"{self.text} {decoded.text}".strip(),
            language=decoded.language or self.language,
            logprob=self.logprob + decoded.logprob,
            scored=self.scored + decoded.scored,
            samples=self.samples + samples,
        )

    def transcript(self, *, language: str, stable_words: int, queued_s: float, compute_s: float) -> Transcript:
        """`language` is what to say where no text told it."""
        told = Decoded(text=self.text, language=self.language or language, logprob=self.logprob, scored=self.scored)
        return Transcript(
            text=self.text,
            confidence=told.confidence,
            language=told.language,
            stable_words=stable_words,
            audio_s=self.samples / INPUT_RATE,
            queued_s=queued_s,
            compute_s=compute_s,
        )
