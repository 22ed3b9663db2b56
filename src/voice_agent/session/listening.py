"""One speaker's ears: audio in, events out. Feeds VAD, recogniser and turn detector; decides nothing about the conversation.

Audio is counted in samples of the speaker's stream; `at` of an event is that count on the session's clock. A gap in the stream
(muted, lost packets) is silence that was not sent.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from voice_agent.audio.framing import Framer
from voice_agent.audio.pcm import Samples
from voice_agent.audio.spectrum import brightness_db
from voice_agent.conversation import events as on
from voice_agent.conversation.segmentation import End, Onset, SegmentationSettings, SpeechSegmenter
from voice_agent.engines.base import INPUT_RATE, Engines, SttStream, Transcript, VadModel

PRE_ROLL_S = 0.56
"""Audio that is kept for the recogniser before the onset is known (which takes 64 ms of it): soft beginnings count."""

SECOND_LOOK_S = 1.2
"""So much of an utterance in which no word was recognised is kept for the next one: a short "I'm" before a pause means nothing
alone, and is the beginning of what follows."""

QUICK_FIRST_S, QUICK_STEP_S, QUICK_UNTIL_S = 0.192, 0.064, 0.45
"""Over the agent's voice: the first partial, the next ones, and how long into an utterance they come that fast. It must be known
soon whether someone interrupts; each costs about 15 ms of a core."""

HUM_DB = -20.0
"""Energy at 1-4 kHz against that below 800 Hz. A closed mouth (m, n, hm) stays below; speech does so for 150 ms at most."""

INAUDIBLE = 0.001
"""-60 dBFS at its peak: below the noise of any microphone that is on, and 20 dB below a whisper."""

GAP_S = 0.5
"""A stream that is this far behind the clock has a gap; less is jitter."""

TURN_WINDOW_S = 8.0
"""Smart Turn looks at the last 8 s."""

WATCHED_S = 4.0
"""`AudioAdvanced` is sent this long into a silence: no hold is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningSettings:
    """`chunk_samples`: a partial is made for each such amount of new speech (4096 = 256 ms)."""

    chunk_samples: int = 4096
    language: str | None = None
    hint: str = ""
    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    manual: bool = False
    """No VAD: everything belongs to the turn until it is committed or cleared."""


class Spawn(Protocol):
    """Runs a coroutine as a task of the session. If it breaks, `or_else` is posted (an `EngineError` is expected; anything
    else is logged too)."""

    def __call__(self, work: Coroutine[Any, Any, None], or_else: Callable[[str], on.Event] | None = None) -> object: ...


class Listener:
    """Call `accept` with the speaker's audio, in order, on the loop; results of slower engines come through `post`."""

    def __init__(
        self,
        speaker: str,
        *,
        session: str,
        engines: Engines,
        settings: ListeningSettings,
        post: Callable[[on.Event], None],
        spawn: Spawn,
        over_agent: Callable[[], bool] = lambda: False,
        utterance_id: int = 0,
    ) -> None:
        """`over_agent` tells whether the agent is audible now. `utterance_id` is the last one of an earlier listener of this
        speaker."""
        self.speaker = speaker
        self.language = settings.language
        self.last_final: Transcript | None = None
        self._session = session
        self._engines = engines
        self._settings = settings
        self._post = post
        self._spawn = spawn
        self._over_agent = over_agent
        window = engines.vad.window_samples
        self._vad = engines.vad.stream()
        self._framer = Framer(window)
        self._segmenter = SpeechSegmenter(window, settings.segmentation)
        self._pre_roll = max(1, round(PRE_ROLL_S * INPUT_RATE / window))
        self._second_look = round(SECOND_LOOK_S * INPUT_RATE / window)
        self._before: deque[Samples] = deque(maxlen=self._pre_roll)
        self._turn: deque[Samples] = deque(maxlen=round(TURN_WINDOW_S * INPUT_RATE / window))
        self._stream: SttStream | None = None
        self.utterance_id = utterance_id
        self._origin_at: float | None = None
        self._position = 0  # samples accepted, gaps included
        self._silent_since: float | None = None
        self._unheard = 0  # samples since the last partial was asked for
        self._partial_runs = False
        self._onset = 0  # sample at which the utterance began
        self._humming = False

    def update(self, settings: ListeningSettings) -> None:
        """They hold from the next audio on."""
        if settings.language is not None or self._settings.language is not None:
            self.language = settings.language
        if settings.segmentation != self._settings.segmentation:
            self._segmenter.settings = settings.segmentation
        self._settings = settings

    # ------------------------------------------------------------ audio

    def accept(self, samples: Samples, now: float) -> Iterator[on.Event]:
        """Audio that ended (nearly) now. Costs one VAD call per window. Must be read to its end; what an event leads to is to be
        carried out before the next one is asked for, because a turn may end in the middle of a long block."""
        events: list[on.Event] = []
        self._bridge_gap(samples.size, now, events)
        self._position += samples.size
        yield from events
        for window in self._framer.push(samples):
            if self._settings.manual:
                self._keep(window.copy())
                self._segmenter.process(0.0)
            else:
                events = []
                self._sense(window, events)
                yield from events

    def _bridge_gap(self, arriving: int, now: float, events: list[on.Event]) -> None:
        if self._origin_at is None:
            self._origin_at = now - arriving / INPUT_RATE
        behind_s = now - self._at(self._position + arriving)
        if behind_s < 0.0 and self._stream is None and not self._segmenter.speaking:
            # Earlier audio was late, or this comes faster than it was spoken: between turns the clocks are put together again.
            self._origin_at += behind_s
        if behind_s > GAP_S:
            missing = round(behind_s * INPUT_RATE)
            self._position += missing
            self._vad.reset()
            if (end := self._segmenter.skip(missing)) is not None:
                self._ended(end, events)

    def check_gap(self, now: float) -> list[on.Event]:
        """Nothing has arrived for a while: an utterance that was going on has ended."""
        events: list[on.Event] = []
        if self._origin_at is not None and self._segmenter.speaking:
            self._bridge_gap(0, now, events)
        return events

    @property
    def gap_deadline(self) -> float | None:
        """When `check_gap` should be called if no audio comes."""
        if self._origin_at is None or not self._segmenter.speaking:
            return None
        return self._at(self._position) + GAP_S + 0.02

    def audio_ms(self, at: float) -> int:
        """A moment on the session's clock as milliseconds of this stream."""
        return 0 if self._origin_at is None else max(0, round((at - self._origin_at) * 1000.0))

    def _at(self, sample: int) -> float:
        return (self._origin_at or 0.0) + sample / INPUT_RATE

    def _sense(self, window: Samples, events: list[on.Event]) -> None:
        kept = window.copy()
        boundary = self._segmenter.process(self._probability(kept))
        if self._stream is not None:
            self._keep(kept)
        if self._stream is None or not self._segmenter.speaking:
            self._before.append(kept)  # also in a pause: the turn may be committed before an onset is known
        match boundary:
            case Onset():
                self._started(boundary, events)
            case End():
                self._ended(boundary, events)
            case None:
                pass
        if self._humming and self._over_agent():
            self._humming = brightness_db(kept, INPUT_RATE) < HUM_DB
        self._watch(events)
        if self._segmenter.speaking and self._stream is not None:
            self._unheard += 0 if isinstance(boundary, Onset) else kept.size
            if self._unheard >= self._partial_step():
                self._ask_partial()

    def _probability(self, window: Samples) -> float:
        """The VAD's, which is not asked about what nobody can hear: a muted or idle microphone costs nothing then."""
        if not self._segmenter.speaking and window.max() < INAUDIBLE and window.min() > -INAUDIBLE:
            return 0.0
        return self._vad.probability(window)

    def _keep(self, window: Samples) -> None:
        """To the recogniser and the turn detector."""
        if self._stream is None:
            self._open_stream()
        assert self._stream is not None
        self._stream.accept(window)
        self._turn.append(window)

    def _open_stream(self) -> None:
        self._stream = self._engines.stt.stream(session=self._session, language=self.language, hint=self._settings.hint)
        self._turn.clear()
        for earlier in self._before:
            self._stream.accept(earlier)
            self._turn.append(earlier)

    def _started(self, onset: Onset, events: list[on.Event]) -> None:
        if self._stream is None:
            self._open_stream()
        self._before = deque(maxlen=self._pre_roll)
        self.utterance_id += 1
        self._silent_since = None
        self._unheard = self._segmenter.position - onset.sample
        self._onset = onset.sample
        self._humming = True
        events.append(on.SpeechStarted(speaker=self.speaker, utterance_id=self.utterance_id, at=self._at(onset.sample)))

    def _ended(self, end: End, events: list[on.Event]) -> None:
        self._silent_since = self._at(end.sample)
        events.append(on.SpeechStopped(speaker=self.speaker, utterance_id=self.utterance_id, at=self._silent_since))

    def _partial_step(self) -> int:
        """New speech that is worth a partial, in samples."""
        chunk, spoken = self._settings.chunk_samples, self._segmenter.position - self._onset
        if not self._over_agent() or spoken >= QUICK_UNTIL_S * INPUT_RATE:
            return chunk
        first = round(QUICK_FIRST_S * INPUT_RATE)
        return first if self._unheard == spoken else min(chunk, round(QUICK_STEP_S * INPUT_RATE))

    def _watch(self, events: list[on.Event]) -> None:
        """Lets the conversation count audio while that matters to it."""
        at = self._at(self._segmenter.position)
        if self._segmenter.speaking or (self._silent_since is not None and at - self._silent_since < WATCHED_S):
            humming = self._humming and self._segmenter.speaking and self._over_agent()
            events.append(on.AudioAdvanced(speaker=self.speaker, at=at, humming=humming))

    # ------------------------------------------------------------ recognition

    def _ask_partial(self) -> None:
        if self._partial_runs or self._stream is None:
            return
        self._unheard = 0
        self._partial_runs = True
        self._spawn(self._partial(self._stream, self.utterance_id))

    async def _partial(self, stream: SttStream, utterance_id: int) -> None:
        try:
            transcript = await stream.partial()
        finally:
            self._partial_runs = False
        if transcript is not None and transcript.text:
            self._post(
                on.TranscriptPartial(
                    speaker=self.speaker,
                    utterance_id=utterance_id,
                    text=transcript.text,
                    stable_words=transcript.stable_words,
                    confidence=transcript.confidence,
                )
            )

    def request_final(self, utterance_id: int) -> None:
        """Of the open turn as it is; the answer is an event that names `utterance_id`."""
        self.utterance_id = max(self.utterance_id, utterance_id)
        if self._stream is None:
            self._post(on.TranscriptFinal(speaker=self.speaker, utterance_id=utterance_id, text=""))
            return
        self._spawn(
            self._final(self._stream, utterance_id),
            lambda code: on.TranscriptFailed(speaker=self.speaker, utterance_id=utterance_id, code=code),
        )
        if self._engines.turn is not None and not self._settings.manual:
            self._spawn(self._turn_probability(np.concatenate(self._turn), utterance_id))

    async def _final(self, stream: SttStream, utterance_id: int) -> None:
        transcript = await stream.final()
        self.last_final = transcript
        if transcript.text and self.language is None and transcript.language:
            self.language = transcript.language
        self._post(
            on.TranscriptFinal(
                speaker=self.speaker,
                utterance_id=utterance_id,
                text=transcript.text,
                confidence=transcript.confidence,
                language=transcript.language,
            )
        )

    async def _turn_probability(self, turn: Samples, utterance_id: int) -> None:
        assert self._engines.turn is not None
        probability = await self._engines.turn.probability(turn, session=self._session)
        self._post(on.TurnProbability(speaker=self.speaker, utterance_id=utterance_id, probability=probability))

    def end_turn(self, *, nothing_said: bool = False) -> None:
        """The turn was committed or discarded: its audio is forgotten, but for the end of one in which `nothing_said`."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
            if nothing_said:  # rolls on, and is gone if nothing follows soon
                self._before = deque(list(self._turn)[-self._second_look :], maxlen=self._second_look)
        self._turn.clear()
        self._unheard = 0

    def close(self) -> None:
        self.end_turn()


def holds_speech(vad: VadModel, samples: Samples) -> bool:
    """Whether a whole recording has an utterance in it. Blocking: about 2 ms for each second of audio."""
    stream, segmenter = vad.stream(), SpeechSegmenter(vad.window_samples)
    windows = Framer(vad.window_samples).push(samples)
    return any(isinstance(segmenter.process(stream.probability(window)), Onset) for window in windows)
