"""What a stereo recording tells, and nothing else: pure functions on arrays. Logs explain a figure, they never make it.

Everything is at 24 kHz. A frame is 20 ms, looked at every 5 ms.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_agent.audio.pcm import Pcm16, Samples

RATE = 24_000
FRAME = RATE // 50
HOP = RATE // 200

AUDIBLE_DBFS = -45.0
"""Of a 20 ms frame of the agent: what is quieter is padding, not speech."""

AUDIBLE_AMPLITUDE = 32768.0 * 10.0 ** (AUDIBLE_DBFS / 20.0)

SPEECH_BAND_HZ = (300.0, 8000.0)
"""Of the person: below lies rumble, and a closing "s" lies high."""

SPEECH_BELOW_PEAK_DB = 35.0
SPEECH_ABOVE_NOISE_DB = 10.0
NOISE_PERCENTILE = 10.0
"""A frame of the clip is speech when its band is within 35 dB of the loudest frame and 10 dB above the noise, which is the level
that a tenth of the frames stay below. Checked against spectrograms: benchmarks/README.md."""

SPEECH_RUN = 3
"""Frames in a row (30 ms); one alone is a click."""

JOIN_S = 0.4
"""Gaps of the agent up to this are pauses within its speech (Full-Duplex-Bench 1.5 joins up to 0.5 s)."""

PAUSE_S = 0.1
"""An extra silence of the agent that a listener notices: words have shorter ones."""


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds on the recording's clock."""

    start_s: float
    end_s: float

    def shifted(self, by_s: float) -> "Span":
        return Span(self.start_s + by_s, self.end_s + by_s)


# ---------------------------------------------------------------- the agent


def audible_spans(agent: Pcm16, *, join_s: float = JOIN_S) -> list[Span]:
    """Where the agent is heard: from the first to the last sample that reaches -45 dBFS in frames that reach it; gaps up to
    `join_s` belong to a span."""
    if agent.size < FRAME:
        return []
    sound = agent.astype(np.float64)
    power = np.concatenate(([0.0], np.cumsum(sound * sound)))
    starts = np.arange(0, agent.size - FRAME + 1, HOP)
    loud = (power[starts + FRAME] - power[starts]) / FRAME >= AUDIBLE_AMPLITUDE**2
    spans: list[Span] = []
    for first, last in _runs(loud):
        begin, end = int(starts[first]), int(starts[last]) + FRAME
        heard = np.flatnonzero(np.abs(sound[begin:end]) >= AUDIBLE_AMPLITUDE)
        span = Span((begin + int(heard[0])) / RATE, (begin + int(heard[-1]) + 1) / RATE)
        if spans and span.start_s - spans[-1].end_s <= join_s:
            span = Span(spans.pop().start_s, span.end_s)
        spans.append(span)
    return spans


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of True."""
    edges = np.diff(np.concatenate(([False], flags, [False])).astype(np.int8))
    return list(zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True))


# ---------------------------------------------------------------- the person


def speech_bounds(clip: Samples) -> Span | None:
    """Acoustic begin and end of the speech in a clip at 24 kHz, by level; None when nothing stands out."""
    if clip.size < FRAME:
        return None
    hop = FRAME // 2
    frames = np.lib.stride_tricks.sliding_window_view(clip, FRAME)[::hop] * np.hanning(FRAME)
    frequencies = np.fft.rfftfreq(FRAME, 1.0 / RATE)
    low, high = SPEECH_BAND_HZ
    band = np.abs(np.fft.rfft(frames))[:, (frequencies >= low) & (frequencies <= high)]
    levels = 10.0 * np.log10(np.square(band).sum(axis=1) + 1e-9)
    # Digital silence around a clip says nothing of its noise.
    noise = float(np.percentile(levels[levels > -60.0], NOISE_PERCENTILE)) if (levels > -60.0).any() else 0.0
    peak = float(levels.max())
    floor = max(peak - SPEECH_BELOW_PEAK_DB, min(noise + SPEECH_ABOVE_NOISE_DB, peak - SPEECH_ABOVE_NOISE_DB))
    runs = [(first, last) for first, last in _runs(levels > floor) if last - first + 1 >= SPEECH_RUN]
    if not runs or peak <= -60.0:
        return None
    return Span(runs[0][0] * hop / RATE, (runs[-1][1] * hop + FRAME) / RATE)


# ---------------------------------------------------------------- both


@dataclass(frozen=True, slots=True)
class Answer:
    """`gap_s`: end of speech to the first audible sample of the agent behind it; None when it never came or was talking over
    the end. `cut_in_s`: how long before the end of speech the agent was first heard; None when it waited."""

    gap_s: float | None
    cut_in_s: float | None


def answer(agent: Sequence[Span], speech: Span) -> Answer:
    """How the agent took the turn `speech`. `agent` as `audible_spans` gives it."""
    early = [span.start_s for span in agent if span.end_s > speech.start_s and span.start_s < speech.end_s]
    talks_over_the_end = any(span.start_s < speech.end_s < span.end_s for span in agent)
    after = [span.start_s - speech.end_s for span in agent if span.start_s >= speech.end_s]
    return Answer(
        gap_s=None if talks_over_the_end or not after else after[0],
        cut_in_s=speech.end_s - min(early) if early else None,
    )


def stop_delay(agent: Sequence[Span], onset_s: float, *, until_s: float) -> float | None:
    """Seconds from the person's first sound to the agent's last audible sample; 0.0 if it was silent just then; None when it
    talked on up to `until_s`."""
    over = next((span for span in agent if span.start_s <= onset_s < span.end_s), None)
    if over is None:
        return 0.0
    return None if over.end_s >= until_s - JOIN_S else over.end_s - onset_s


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What a sound did to the agent's speech. `gap_s`: the longest silence that an undisturbed run does not have."""

    stopped: bool
    gap_s: float

    @property
    def audible(self) -> bool:
        return self.gap_s > PAUSE_S


def disturbance(agent: Pcm16, control: Pcm16, *, tail_s: float = 1.0) -> Disturbance:
    """Compares with a run of the same text without the sound. Both count from their first audible sample; `stopped`: the last
    `tail_s` of the recording are silent."""
    heard, undisturbed = _words_of(agent), _words_of(control)
    if not heard:
        return Disturbance(stopped=True, gap_s=0.0)
    natural, longest_s, later_s = _gaps(undisturbed), 0.0, 0.0
    for gap in _gaps(heard):
        extra_s = gap.end_s - gap.start_s - _natural(gap.shifted(-later_s), natural)
        later_s += max(0.0, extra_s)  # all that follows comes that much later
        longest_s = max(longest_s, extra_s)
    return Disturbance(stopped=agent.size / RATE - heard[-1].end_s >= tail_s, gap_s=longest_s)


def _words_of(agent: Pcm16) -> list[Span]:
    return audible_spans(agent, join_s=0.02)


def _gaps(spans: Sequence[Span]) -> list[Span]:
    """Silences, in seconds since the first sound."""
    if not spans:
        return []
    zero = spans[0].start_s
    return [Span(before.end_s - zero, after.start_s - zero) for before, after in itertools.pairwise(spans)]


def _natural(gap: Span, natural: Sequence[Span]) -> float:
    """Length of the undisturbed run's silence at the same place."""
    near = [other.end_s - other.start_s for other in natural if abs(other.start_s - gap.start_s) <= 0.06]
    return max(near, default=0.0)
