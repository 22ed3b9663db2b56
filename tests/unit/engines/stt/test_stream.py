"""The streaming behaviour, with a recogniser that spells out the audio it is given."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import numpy as np
import pytest

from voice_agent.engines.admission import Lane, Priority
from voice_agent.engines.base import INPUT_RATE, Samples
from voice_agent.engines.stt.recogniser import Decoded, DecodeRequest, Stopped
from voice_agent.engines.stt.stream import FREEZE_AFTER, BufferedStream, warm_up
from voice_agent.engines.stt.windows import LONGEST_WINDOW
from voice_agent.errors import EngineFailed, EngineUnavailable

WORD_S, GAP_S = 0.4, 0.1


def word(number: int, *, level: float = 0.0) -> Samples:
    """Half a second: a level that tells the number (1 to 9), then silence."""
    samples = np.zeros(round((WORD_S + GAP_S) * INPUT_RATE), dtype=np.float32)
    samples[: round(WORD_S * INPUT_RATE)] = level or number / 10
    return samples


def words(*numbers: int) -> Samples:
    return np.concatenate([word(number) for number in numbers])


def spell(samples: Samples) -> str:
    """ "3 1" for the words 3 and 1, however little is there of them."""
    heard = np.rint(samples * 10).astype(int)
    edges = np.flatnonzero(np.diff(heard, prepend=0, append=0))
    return " ".join(str(heard[start]) for start, _end in pairwise(edges.tolist()) if heard[start])


class Speller:
    """A `Recogniser`. `requests` and `windows` (seconds) keep what was asked. While `held`, a decode lasts until it is stopped
    or released."""

    name = "speller"

    def __init__(self, *, serves_as_final: bool = True) -> None:
        self.serves_as_final = serves_as_final
        self.requests: list[DecodeRequest] = []
        self.windows: list[float] = []
        self.fail: Exception | None = None
        self.started = threading.Semaphore(0)
        self.released = threading.Event()
        self.released.set()

    def decode(self, samples: Samples, request: DecodeRequest, stop: Stopped) -> Decoded:
        self.requests.append(request)
        self.windows.append(samples.size / INPUT_RATE)
        self.started.release()
        while not stop() and not self.released.wait(0.001):
            pass
        if self.fail is not None:
            raise self.fail
        text = spell(samples)
        tokens = tuple(int(digit) for digit in text.split())
        return Decoded(text=text, language="en", logprob=-0.1, scored=1, tokens=tokens, serves_as_final=self.serves_as_final)


@pytest.fixture
def speller() -> Iterator[Speller]:
    speller = Speller()
    yield speller
    speller.released.set()


@pytest.fixture
async def lane() -> AsyncIterator[Lane]:
    lane = Lane("speller", limit=4)
    yield lane
    await lane.aclose()


@pytest.fixture
def stream(speller: Speller, lane: Lane) -> BufferedStream:
    return BufferedStream(speller, lane, session="one", hint="digits")


async def begun(speller: Speller) -> None:
    """Until a worker is inside `decode`."""
    await asyncio.to_thread(speller.started.acquire)


async def queued(lane: Lane, jobs: int, priority: Priority | None = None) -> None:
    """Lets the tasks run until so many jobs wait in the lane."""
    for _ in range(100):
        if lane.waiting(priority) == jobs:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"{lane.waiting(priority)} jobs wait in place of {jobs}")


async def hold(speller: Speller, lane: Lane) -> "asyncio.Task[object]":
    """Occupies the lane's only thread until `speller.released`."""
    speller.released.clear()
    entered = threading.Event()

    def job(_stop: object) -> None:
        entered.set()
        speller.released.wait()

    task: asyncio.Task[object] = asyncio.create_task(lane.run(job, priority=Priority.FINAL, session="holder"))
    await asyncio.to_thread(entered.wait)
    return task


# ---------------------------------------------------------------- texts


async def test_a_turn_from_nothing_to_its_final(stream: BufferedStream) -> None:
    assert (await stream.final()).text == ""
    partial = await stream.partial()
    assert partial is not None
    assert partial.text == ""
    stable = []
    for number in (1, 2, 3, 4, 5):
        stream.accept(word(number))
        partial = await stream.partial()
        assert partial is not None
        stable.append(partial.stable_words)
    assert partial.text == "1 2 3 4 5"
    assert stable == [0, 0, 1, 2, 3]
    final = await stream.final()
    assert (final.text, final.stable_words, final.audio_s) == ("1 2 3 4 5", 5, 2.5)
    assert final.language == "en"
    assert 0.0 < final.confidence <= 1.0


async def test_the_request_tells_what_the_stream_was_made_with(stream: BufferedStream, speller: Speller) -> None:
    stream.accept(words(1, 2))
    await stream.partial()
    stream.accept(words(3))
    await stream.final()
    first, second = speller.requests
    assert (first.session, first.hint, first.final, first.draft) == ("one", "digits", False, ())
    assert (second.final, second.draft) == (True, (1, 2))


async def test_a_final_is_free_where_nothing_is_new(stream: BufferedStream, speller: Speller) -> None:
    stream.accept(words(1, 2))
    final = await stream.final()
    again = await stream.final()
    assert (again.text, again.confidence, again.stable_words) == (final.text, final.confidence, 2)
    assert (again.queued_s, again.compute_s) == (0.0, 0.0)
    assert len(speller.requests) == 1


async def test_a_partial_of_the_same_audio_serves_as_the_final(stream: BufferedStream, speller: Speller) -> None:
    stream.accept(words(1, 2))
    await stream.partial()
    final = await stream.final()
    assert (final.text, final.stable_words) == ("1 2", 2)
    assert len(speller.requests) == 1


async def test_a_partial_made_otherwise_does_not(lane: Lane) -> None:
    speller = Speller(serves_as_final=False)
    stream = BufferedStream(speller, lane, session="one")
    stream.accept(words(1, 2))
    await stream.partial()
    await stream.final()
    assert [request.final for request in speller.requests] == [False, True]


async def test_silence_is_not_decoded(stream: BufferedStream, speller: Speller) -> None:
    stream.accept(np.zeros(INPUT_RATE, dtype=np.float32))
    assert (await stream.final()).text == ""
    stream.accept(np.full(INPUT_RATE, 5e-5, dtype=np.float32))
    assert (await stream.final()).text == ""
    assert speller.requests == []


# ---------------------------------------------------------------- who goes first


async def test_a_partial_is_skipped_while_a_final_of_any_session_waits(
    stream: BufferedStream, speller: Speller, lane: Lane
) -> None:
    holder = await hold(speller, lane)
    other = BufferedStream(speller, lane, session="two")
    other.accept(words(7))
    stream.accept(words(1))
    final = asyncio.create_task(other.final())
    await queued(lane, 1, Priority.FINAL)
    assert await stream.partial() is None
    speller.released.set()
    assert (await final).text == "7"
    await holder


async def test_the_final_goes_before_partials_that_came_earlier(speller: Speller, lane: Lane) -> None:
    holder = await hold(speller, lane)
    early, late = (BufferedStream(speller, lane, session=name) for name in ("early", "late"))
    early.accept(words(1))
    late.accept(words(2))
    partial = asyncio.create_task(early.partial())
    await queued(lane, 1, Priority.PARTIAL)
    final = asyncio.create_task(late.final())
    await queued(lane, 1, Priority.FINAL)
    speller.released.set()
    await asyncio.gather(holder, partial, final)
    assert [request.session for request in speller.requests] == ["late", "early"]


async def test_one_transcript_of_a_turn_at_a_time(stream: BufferedStream, speller: Speller) -> None:
    speller.released.clear()
    stream.accept(words(1))
    first = asyncio.create_task(stream.partial())
    await begun(speller)
    assert await stream.partial() is None
    speller.released.set()
    transcript = await first
    assert transcript is not None
    assert transcript.text == "1"


async def test_a_final_takes_the_place_of_its_own_partial(stream: BufferedStream, speller: Speller) -> None:
    speller.released.clear()
    stream.accept(words(1, 2))
    partial = asyncio.create_task(stream.partial())
    await begun(speller)
    stream.accept(words(3))
    final = asyncio.create_task(stream.final())
    assert await partial is None
    await begun(speller)
    speller.released.set()
    assert (await final).text == "1 2 3"
    assert speller.requests[1].draft == (1, 2), "what the partial had found is not lost"


async def test_a_running_partial_gives_way_to_a_final_of_another_session(
    stream: BufferedStream, speller: Speller, lane: Lane
) -> None:
    speller.released.clear()
    stream.accept(words(1, 2))
    partial = asyncio.create_task(stream.partial())
    await begun(speller)
    other = BufferedStream(speller, lane, session="two")
    other.accept(words(7))
    final = asyncio.create_task(other.final())
    assert await partial is None
    await begun(speller)
    speller.released.set()
    assert (await final).text == "7"


async def test_a_full_lane_skips_partials_and_refuses_finals(speller: Speller, lane: Lane) -> None:
    holder = await hold(speller, lane)
    streams = [BufferedStream(speller, lane, session=str(number)) for number in range(5)]
    for stream in streams:
        stream.accept(words(1))
    finals = [asyncio.create_task(stream.final()) for stream in streams[:4]]
    await queued(lane, 4)
    assert await streams[4].partial() is None
    with pytest.raises(EngineUnavailable) as caught:
        await streams[4].final()
    assert caught.value.code == "engine.overloaded"
    speller.released.set()
    await asyncio.gather(holder, *finals)


async def test_a_partial_pushed_out_of_a_full_lane_is_a_skipped_one(speller: Speller, lane: Lane) -> None:
    holder = await hold(speller, lane)
    streams = [BufferedStream(speller, lane, session=str(number)) for number in range(5)]
    for stream in streams:
        stream.accept(words(1))
    partials = [asyncio.create_task(stream.partial()) for stream in streams[:4]]
    await queued(lane, 4)
    final = asyncio.create_task(streams[4].final())
    assert await partials[3] is None
    speller.released.set()
    await asyncio.gather(holder, final, *partials)


# ---------------------------------------------------------------- ends


async def test_cancelling_a_final_leaves_the_turn_as_it_was(stream: BufferedStream, speller: Speller) -> None:
    speller.released.clear()
    stream.accept(words(1, 2))
    final = asyncio.create_task(stream.final())
    await begun(speller)
    final.cancel()
    with pytest.raises(asyncio.CancelledError):
        await final
    speller.released.set()
    stream.accept(words(3))
    assert (await stream.final()).text == "1 2 3"


async def test_cancelling_a_partial_cancels_its_caller(stream: BufferedStream, speller: Speller) -> None:
    speller.released.clear()
    stream.accept(words(1))
    partial = asyncio.create_task(stream.partial())
    await begun(speller)
    partial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await partial


async def test_close_ends_pending_calls_and_forgets(stream: BufferedStream, speller: Speller, lane: Lane) -> None:
    holder = await hold(speller, lane)
    stream.accept(words(1))
    other = BufferedStream(speller, lane, session="two")
    other.accept(words(2))
    partial = asyncio.create_task(other.partial())
    await queued(lane, 1, Priority.PARTIAL)
    final = asyncio.create_task(stream.final())
    await queued(lane, 1, Priority.FINAL)
    stream.close()
    other.close()
    other.close()
    with pytest.raises(asyncio.CancelledError):
        await final
    assert await partial is None
    speller.released.set()
    await holder
    stream.accept(words(3))
    assert (await stream.final()).text == ""
    assert await stream.partial() is None
    assert speller.requests == []


async def test_after_the_engine_closed_calls_say_so(stream: BufferedStream, lane: Lane) -> None:
    stream.accept(words(1))
    await lane.aclose()
    with pytest.raises(EngineUnavailable):
        await stream.final()
    with pytest.raises(EngineUnavailable):
        await stream.partial()


async def test_a_failure_reaches_the_caller_and_the_turn_goes_on(stream: BufferedStream, speller: Speller) -> None:
    stream.accept(words(1, 2))
    speller.fail = EngineFailed("it broke", engine="speller")
    with pytest.raises(EngineFailed):
        await stream.final()
    speller.fail = None
    assert (await stream.final()).text == "1 2"


async def test_warming_up_is_one_background_decode(speller: Speller, lane: Lane) -> None:
    await warm_up(speller, lane)
    assert speller.windows == [4.0]


# ---------------------------------------------------------------- long turns


def numbers(count: int) -> list[int]:
    return [1 + index % 9 for index in range(count)]


async def test_a_long_turn_with_pauses_is_frozen_at_its_finals(stream: BufferedStream, speller: Speller) -> None:
    spoken = numbers(1200)  # ten minutes
    for index, number in enumerate(spoken, 1):
        stream.accept(word(number))
        if index % 8 == 0:  # a pause every 4 s
            transcript = await stream.final()
            assert transcript.text == " ".join(map(str, spoken[:index]))
            assert transcript.audio_s == index / 2
    assert max(speller.windows) <= FREEZE_AFTER / INPUT_RATE + 4.0
    assert all(len(request.context.split()) <= 1200 for request in speller.requests)


async def test_a_long_turn_without_a_pause_is_cut_between_words(stream: BufferedStream, speller: Speller) -> None:
    spoken = numbers(240)
    audio = words(*spoken)
    for start in range(0, audio.size, 4096):
        stream.accept(audio[start : start + 4096])
        await stream.partial()
    final = await stream.final()
    assert final.text == " ".join(map(str, spoken))
    assert final.audio_s == pytest.approx(120.0)
    assert max(speller.windows) <= LONGEST_WINDOW / INPUT_RATE
    assert len(speller.windows) < 2 * audio.size / 4096


async def test_minutes_at_once_are_cut_in_one_job(stream: BufferedStream, speller: Speller) -> None:
    spoken = numbers(240)
    stream.accept(words(*spoken))
    assert (await stream.final()).text == " ".join(map(str, spoken))
    assert max(speller.windows) <= LONGEST_WINDOW / INPUT_RATE
    assert speller.requests[1].context == speller.requests[1].context.strip() != ""
    decodes = len(speller.windows)
    stream.accept(words(3))
    assert (await stream.final()).text.endswith(f"{spoken[-1]} 3")
    assert len(speller.windows) == decodes + 1, "what was cut off is not decoded again"


async def test_frozen_words_are_stable_and_new_ones_are_not(stream: BufferedStream) -> None:
    spoken = numbers(16)
    stream.accept(words(*spoken))
    await stream.final()
    stream.accept(words(*numbers(6)))
    partial = await stream.partial()
    assert partial is not None
    assert partial.text.split()[:16] == [str(number) for number in spoken]
    assert partial.stable_words == 16


async def test_the_room_after_a_frozen_turn_is_not_decoded(stream: BufferedStream, speller: Speller) -> None:
    stream.accept(words(*numbers(22)))
    text = (await stream.final()).text
    decodes = len(speller.windows)
    stream.accept(np.full(INPUT_RATE, 0.01, dtype=np.float32))
    final = await stream.final()
    assert (final.text, len(speller.windows)) == (text, decodes)
    stream.accept(words(4))
    assert (await stream.final()).text == f"{text} 4"
