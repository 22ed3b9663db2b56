"""A speaker's ears: utterances, the audio that the recogniser gets, gaps and clocks."""

from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from voice_agent.audio.pcm import Samples
from voice_agent.conversation import events as on
from voice_agent.engines.base import INPUT_RATE, Engines, Transcript
from voice_agent.engines.fakes import FakeLlm, FakeStt, FakeSttStream, FakeTts, FakeTurnDetector, FakeVad
from voice_agent.session.listening import GAP_S, Listener, ListeningSettings

WINDOW_S = 512 / INPUT_RATE


def loud(seconds: float) -> Samples:
    return np.asarray(0.1 * np.sin(np.arange(round(seconds * INPUT_RATE)) * 0.2), dtype=np.float32)


def quiet(seconds: float) -> Samples:
    return np.zeros(round(seconds * INPUT_RATE), dtype=np.float32)


class KeepingStt(FakeStt):
    """Keeps what each stream was given."""

    def __init__(self) -> None:
        super().__init__([])
        self.given: list[list[Samples]] = []

    def stream(self, *, session: str, language: str | None = None, hint: str = "") -> FakeSttStream:
        stream = _KeepingStream(self)
        self.given.append(stream.kept)
        return stream


class _KeepingStream(FakeSttStream):
    def __init__(self, model: FakeStt) -> None:
        super().__init__(model)
        self.kept: list[Samples] = []

    def accept(self, samples: Samples) -> None:
        self.kept.append(samples)

    async def final(self) -> Transcript:
        return Transcript(text="", confidence=1.0, language="en")


class Ears:
    def __init__(self, settings: ListeningSettings | None = None) -> None:
        self.stt = KeepingStt()
        self.now = 100.0
        self.events: list[on.Event] = []
        self.spawned = 0
        engines = Engines(vad=FakeVad(), stt=self.stt, turn=FakeTurnDetector(), llm=FakeLlm(), tts=FakeTts())
        self.listener = Listener(
            "user",
            session="s",
            engines=engines,
            settings=settings or ListeningSettings(),
            post=self.events.append,
            spawn=self._spawn,
        )

    def _spawn(self, work: Coroutine[Any, Any, None], or_else: Callable[[str], on.Event] | None = None) -> None:
        self.spawned += 1
        work.close()

    def hear(self, samples: Samples, *, block_s: float = 0.02, take_s: float | None = None) -> list[on.Event]:
        """In blocks, each of which takes as long as it lasts (or `take_s`)."""
        out: list[on.Event] = []
        step = round(block_s * INPUT_RATE)
        for start in range(0, samples.size, step):
            block = samples[start : start + step]
            self.now += block.size / INPUT_RATE if take_s is None else take_s
            out += self.listener.accept(block, self.now)
        self.events += out
        return out

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events if not isinstance(event, on.AudioAdvanced)]


def test_an_utterance_is_dated_on_the_sessions_clock() -> None:
    ears = Ears()
    ears.hear(np.concatenate([quiet(1.0), loud(0.8), quiet(0.5)]))
    start, stop = (event for event in ears.events if isinstance(event, on.SpeechStarted | on.SpeechStopped))
    assert start.at == pytest.approx(101.0, abs=WINDOW_S)
    assert stop.at == pytest.approx(101.8, abs=WINDOW_S)
    assert start.utterance_id == stop.utterance_id == 1


def test_the_recogniser_gets_the_moment_before_the_onset_and_the_pause() -> None:
    ears = Ears()
    audio = np.concatenate([quiet(2.0), loud(0.8), quiet(0.4)])
    ears.hear(audio)
    given = np.concatenate(ears.stt.given[0])
    loud_samples = int(np.count_nonzero(given))
    assert loud_samples == np.count_nonzero(audio)
    before = int(np.flatnonzero(given)[0]) / INPUT_RATE
    assert 0.3 < before < 0.6
    assert given.size / INPUT_RATE > before + 0.8 + 0.3


def test_audio_is_counted_while_it_matters() -> None:
    ears = Ears()
    ears.hear(quiet(5.0))
    assert ears.events == []
    ears.hear(np.concatenate([loud(0.5), quiet(60.0)]))
    counted = [event.at for event in ears.events if isinstance(event, on.AudioAdvanced)]
    assert 105.0 < counted[0] < 105.2
    assert 107.0 < counted[-1] < 112.0
    assert counted == sorted(counted)


def test_partials_are_asked_for_as_speech_goes_on() -> None:
    ears = Ears(ListeningSettings(chunk_samples=4096))
    ears.hear(loud(0.2))
    assert ears.spawned == 0
    ears.hear(loud(0.2))
    assert ears.spawned == 1


def test_a_turn_that_ends_between_two_windows_of_an_onset_keeps_its_first_sound() -> None:
    ears = Ears()
    ears.hear(np.concatenate([loud(0.512), quiet(0.512)]), block_s=WINDOW_S)
    ears.hear(loud(WINDOW_S), block_s=WINDOW_S)
    ears.listener.end_turn()
    ears.hear(loud(0.512), block_s=WINDOW_S)
    second = np.concatenate(ears.stt.given[1])
    assert np.count_nonzero(second) == np.count_nonzero(loud(WINDOW_S)) + np.count_nonzero(loud(0.512))


def test_the_next_turn_has_nothing_of_the_last_one() -> None:
    ears = Ears()
    ears.hear(np.concatenate([loud(0.512), quiet(0.32)]))
    ears.listener.end_turn()
    ears.hear(np.concatenate([quiet(0.128), loud(0.512)]))
    second = np.concatenate(ears.stt.given[1])
    assert np.count_nonzero(second) == np.count_nonzero(loud(0.512))


def test_a_gap_ends_the_utterance() -> None:
    ears = Ears()
    ears.hear(loud(0.8))
    due_at = ears.listener.gap_deadline
    assert due_at is not None
    assert due_at - ears.now > GAP_S
    assert ears.listener.check_gap(ears.now + 0.1) == []
    [stopped] = ears.listener.check_gap(due_at)
    assert isinstance(stopped, on.SpeechStopped)
    assert ears.listener.gap_deadline is None
    ears.now += 2.0
    ears.hear(loud(0.8))
    assert ears.kinds() == ["SpeechStarted", "SpeechStarted"]


def test_after_a_gap_times_are_right_again() -> None:
    ears = Ears()
    ears.hear(quiet(1.0))
    ears.now += 10.0
    ears.hear(loud(0.5))
    [start] = [event for event in ears.events if isinstance(event, on.SpeechStarted)]
    assert start.at == pytest.approx(111.0, abs=0.1)


def test_a_burst_does_not_shift_the_clock_for_ever() -> None:
    """The stream stalls, then all of it comes at once: a gap was bridged that was none."""
    ears = Ears()
    ears.hear(quiet(1.0))
    ears.now += 2.0
    ears.hear(quiet(2.0), take_s=0.0)
    ears.hear(np.concatenate([quiet(0.5), loud(0.5)]))
    [start] = [event for event in ears.events if isinstance(event, on.SpeechStarted)]
    assert start.at == pytest.approx(103.5, abs=0.1)


def test_by_hand_everything_is_kept_and_nothing_is_decided() -> None:
    ears = Ears(ListeningSettings(manual=True))
    ears.hear(np.concatenate([quiet(1.024), loud(1.024)]))
    assert ears.events == []
    assert sum(kept.size for kept in ears.stt.given[0]) == round(2.048 * INPUT_RATE)


def test_a_final_of_nothing_is_empty() -> None:
    ears = Ears()
    ears.listener.request_final(4)
    assert ears.events == [on.TranscriptFinal(speaker="user", utterance_id=4, text="")]
    ears.hear(loud(0.5))
    assert [event.utterance_id for event in ears.events if isinstance(event, on.SpeechStarted)] == [5]
