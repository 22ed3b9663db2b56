"""From probabilities to utterances."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from voice_agent.conversation.segmentation import End, Onset, SegmentationSettings, SpeechSegmenter

WINDOW = 512
SETTINGS = SegmentationSettings(threshold=0.5, release=0.35, onset_windows=2, release_windows=3)


def boundaries(probabilities: Iterable[float]) -> list[Onset | End]:
    segmenter = SpeechSegmenter(WINDOW, SETTINGS)
    return [boundary for p in probabilities if (boundary := segmenter.process(p)) is not None]


def test_boundaries_are_dated_back_to_where_they_began() -> None:
    assert boundaries([0, 0, 1, 1, 1, 0, 0, 0]) == [Onset(sample=2 * WINDOW), End(sample=5 * WINDOW)]


def test_a_click_is_no_onset() -> None:
    assert boundaries([0, 1, 0, 1, 0, 0]) == []


def test_a_short_gap_is_no_end() -> None:
    assert boundaries([1, 1, 0, 0, 1, 0, 0, 1]) == [Onset(sample=0)]


def test_between_the_thresholds_nothing_changes() -> None:
    assert boundaries([0.4] * 10) == []
    assert boundaries([1, 1] + [0.4] * 10) == [Onset(sample=0)]


def test_a_gap_in_the_stream_ends_an_utterance_where_it_began() -> None:
    segmenter = SpeechSegmenter(WINDOW, SETTINGS)
    segmenter.process(1.0)
    segmenter.process(1.0)
    assert segmenter.skip(5000) == End(sample=2 * WINDOW)
    assert not segmenter.speaking
    assert segmenter.position == 2 * WINDOW + 5000
    assert segmenter.skip(5000) is None


def test_half_an_onset_does_not_survive_a_gap() -> None:
    segmenter = SpeechSegmenter(WINDOW, SETTINGS)
    segmenter.process(1.0)
    segmenter.skip(5000)
    assert segmenter.process(1.0) is None


@given(st.lists(st.one_of(st.floats(0.0, 1.0), st.none()), max_size=200))
def test_onsets_and_ends_take_turns_and_time_goes_on(windows: list[float | None]) -> None:
    """None stands for a gap."""
    segmenter = SpeechSegmenter(WINDOW, SETTINGS)
    found = [segmenter.skip(1600) if window is None else segmenter.process(window) for window in windows]
    seen = [boundary for boundary in found if boundary is not None]
    assert all(isinstance(boundary, Onset if index % 2 == 0 else End) for index, boundary in enumerate(seen))
    samples = [boundary.sample for boundary in seen]
    assert samples == sorted(samples)
    assert segmenter.speaking == (len(seen) % 2 == 1)
