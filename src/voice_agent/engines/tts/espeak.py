"""espeak-ng: speaks about 140 languages at once on any machine, understandable and mechanical. The engine that is always there.

First audio after about 1 ms, 200 to 300 times faster than speech, 22 050 Hz. Streams word by word; a stopped clause ends within
a millisecond. Word times come from the library's word events.
"""

from collections.abc import AsyncGenerator

import numpy as np

from voice_agent.engines.admission import Lane, Stop
from voice_agent.engines.base import Pcm16, SpeechChunk, SpeechRequest, TtsCapabilities, Word
from voice_agent.engines.tts.espeak_library import Library, library
from voice_agent.engines.tts.pieces import pieces
from voice_agent.engines.tts.silence import Pauses, first_audible, fit_tail, lead_samples
from voice_agent.engines.tts.speakable import Speakable, speakable
from voice_agent.engines.tts.streaming import Emit, speak_pieces
from voice_agent.engines.tts.timing import WordTimes
from voice_agent.engines.tts.voicing import check_speed, unknown_language, unknown_voice

PIECE_CHARS = 600
"""Text per job: about 40 s of speech, 200 ms of work at most before another session has its turn."""

_ALIASES = {"en": "en-us", "fr": "fr-fr", "zh": "cmn", "no": "nb"}
_SHOWN = (
    "en-us", "en-us+f2", "en-us+f3", "en-us+f4", "en-us+m3", "en-us+m7", "en-gb", "en-gb+f3", "en-gb-x-rp", "en-gb-scotland", "es",
    "es-419", "fr", "de", "it", "pt", "pt-br", "nl", "pl", "ru", "uk", "cs", "sv", "nb", "da", "fi", "el", "hu", "ro", "tr", "ar",
    "he", "hi", "bn", "ta", "id", "vi", "th", "ko", "ja", "cmn",
)  # fmt: skip
_ARTIFICIAL = frozenset({"eo", "ia", "io", "jbo", "lfn", "piqd", "py", "qdb", "qya", "sjn", "xex"})


def load(*, pauses: Pauses | None = None) -> "Espeak":
    """Blocking, a few milliseconds. Raises `EngineUnavailable`."""
    return Espeak(library(), pauses=pauses or Pauses())


class Espeak:
    """The shared model. A voice is a language tag, with a variant behind "+" where wanted: "en-us", "es+f3"."""

    name = "espeak"
    model = "espeak-ng"

    def __init__(self, native: Library, *, pauses: Pauses) -> None:
        self._native = native
        self._pauses = pauses
        self._variants = {variant.lower(): variant for variant in native.variants}
        self._lane = Lane("espeak")
        tags = {tag.split("-")[0] for tag in native.languages if tag not in _ARTIFICIAL}
        self.capabilities = TtsCapabilities(
            sample_rate=native.sample_rate,
            voices=tuple(voice for voice in _SHOWN if self._identifier(voice) is not None),
            languages=tuple(sorted(tags | {"zh"})),
        )

    def _identifier(self, voice: str) -> str | None:
        """What the library calls `voice`: "en-gb" is "gmw/en" to it."""
        tag, _, variant = voice.lower().replace("_", "-").partition("+")
        tag = _ALIASES.get(tag, tag)
        identifier = self._native.languages.get(tag)
        if identifier is None or ("+" in voice and variant not in self._variants):
            return None
        return f"{identifier}+{self._variants[variant]}" if variant else identifier

    def check_voice(self, voice: str) -> None:
        if self._identifier(voice) is None:
            hint = "any of its languages works, with a variant behind it such as +f2, +f3, +m3"
            raise unknown_voice(voice, self.capabilities.voices, hint=hint)

    def _voice_for(self, language: str) -> str:
        tag = language.lower().replace("_", "-")
        for candidate in (tag, tag.split("-")[0]):
            if self._identifier(candidate) is not None:
                return candidate
        raise unknown_language(language, self.capabilities.languages, engine=self.name)

    async def warm_up(self) -> None:
        """Reads the phoneme data and imports the number words, 10 and 70 ms which the first clause would pay; not heard."""
        async for _ in self.speak(SpeechRequest(text="1"), session="warm-up"):
            pass

    async def speak(self, request: SpeechRequest, *, session: str) -> AsyncGenerator[SpeechChunk, None]:
        speed = check_speed(request.speed)
        if request.voice is not None:
            self.check_voice(request.voice)
        voice = request.voice or self._voice_for(request.language)
        identifier = self._identifier(voice)
        assert identifier is not None  # checked above

        def synthesise(part: str, stop: Stop, emit: Emit) -> tuple[Word, ...]:
            speech = speakable(part, voice.partition("+")[0])
            clause = _Clause(speech, self._native.sample_rate, self._pauses.after(part) / speed, stop, emit)
            if speech.spoken_words:
                self._native.synthesise(speech.spoken, voice=identifier, speed=speed, on_audio=clause.take)
            return clause.finish()

        chunks = speak_pieces(self._lane, pieces(request.text, PIECE_CHARS), synthesise, session=session)
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    async def aclose(self) -> None:
        await self._lane.aclose()


class _Clause:
    """Blocks of audio and word events on their way to chunks: one chunk per original word, once it is complete."""

    def __init__(self, speech: Speakable, rate: int, pause_s: float, stop: Stop, emit: Emit) -> None:
        self._speech, self._rate, self._pause_s = speech, rate, pause_s
        self._stop, self._emit = stop, emit
        self._starts = speech.starts()
        self._times = WordTimes(speech)
        self._held: Pcm16 = np.zeros(0, dtype=np.int16)  # since the last chunk
        self._lead: int | None = None  # samples cut at the start; None until something is heard
        self._received = 0
        self._sent = 0

    def take(self, pcm: Pcm16, words: list[tuple[int, int]]) -> bool:
        """One block; True when it is to be the last."""
        self._received += pcm.size
        self._held = np.concatenate((self._held, pcm))
        if self._lead is None:
            self._find_start()
        for position, sample in words:
            self._word(self._speech.origins[self._speech.spoken_at(position, self._starts)], sample)
        return self._stop()

    def _find_start(self) -> None:
        audible = first_audible(self._held)
        if audible is not None:
            self._lead = lead_samples(audible, self._rate)
            self._held = self._held[self._lead :]

    def _word(self, origin: int, sample: int) -> None:
        """The audio of the original word `origin` begins at `sample`: the words before it are complete."""
        if self._lead is None or not self._times.has_speech(origin):
            return
        end = min(sample - self._lead, self._sent + self._held.size)
        if end > self._sent:
            self._send(self._held[: end - self._sent], self._times.until(origin, self._sent / self._rate, end / self._rate))

    def _send(self, pcm: Pcm16, words: tuple[Word, ...]) -> None:
        self._held = self._held[pcm.size :]
        self._sent += pcm.size
        self._emit(SpeechChunk(pcm=pcm, sample_rate=self._rate, words=words))

    def finish(self) -> tuple[Word, ...]:
        """Sends the rest. The words, where nothing was heard at all."""
        if self._lead is None:
            return self._times.rest(0.0, 0.0)
        if not self._stop():
            pcm, sound = fit_tail(self._held, self._rate, self._pause_s)
            start_s = self._sent / self._rate
            self._send(pcm, self._times.rest(start_s, start_s + sound / self._rate))
        return ()
