"""Times of spoken words, told for the words of the original text. Pure."""

from voice_agent.engines.base import Word
from voice_agent.engines.tts.speakable import Speakable


class WordTimes:
    """Of one piece of text; remembers up to which original word the times have been told."""

    def __init__(self, speech: Speakable) -> None:
        self._speech = speech
        self._weights = [0] * len(speech.words)
        for word, origin in zip(speech.spoken_words, speech.origins, strict=True):
            self._weights[origin] += len(word)
        self.next = 0
        """Index of the first original word that has no times yet."""

    def until(self, origin: int, start_s: float, end_s: float) -> tuple[Word, ...]:
        """The original words before `origin` that have no times yet. They share the span by their spoken length; a word that is
        not spoken (an emoji, a dash) gets no time of it."""
        indices = range(self.next, max(self.next, min(origin, len(self._weights))))
        total = sum(self._weights[index] for index in indices)
        words, at = [], start_s
        for index in indices:
            share = (end_s - start_s) * self._weights[index] / total if total else 0.0
            until = min(end_s, at + share)
            words.append(Word(text=self._speech.words[index], start_s=at, end_s=until))
            at = until
        self.next = indices.stop
        return tuple(words)

    def rest(self, start_s: float, end_s: float) -> tuple[Word, ...]:
        """All words that have no times yet."""
        return self.until(len(self._weights), start_s, end_s)

    def has_speech(self, origin: int) -> bool:
        """Whether any word from `next` to before `origin` is spoken."""
        return any(self._weights[self.next : origin])
