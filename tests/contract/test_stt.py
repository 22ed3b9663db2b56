"""What every speech-to-text engine keeps to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.spoken import TINY_WHISPER, clip, say, silence
from voice_agent.engines.base import INPUT_RATE, Samples, SttModel, SttStream, Transcript
from voice_agent.engines.fakes import FakeStt
from voice_agent.engines.stt import moonshine, whisper
from voice_agent.errors import EngineUnavailable


@dataclass(frozen=True, slots=True)
class Subject:
    """An engine, and a phrase that it is known to recognise."""

    model: SttModel
    speech: Samples
    text: str


def _fake(_models_root: Path) -> Subject:
    text = "one two three four five"
    seconds = np.arange(round(1.6 * INPUT_RATE), dtype=np.float32) / INPUT_RATE
    tone = (0.2 * np.sign(np.sin(2.0 * np.pi * 220.0 * seconds + 0.1))).astype(np.float32)
    return Subject(FakeStt([text] * 20), tone, text)


def _moonshine(models_root: Path) -> Subject:
    model = moonshine.load(models_root / "moonshine-tiny-en", workers=2)
    return Subject(model, clip("aiewf_turn_010"), "My name is Jennifer Smith.")


def _whisper(_models_root: Path) -> Subject:
    text = "What time is it in Paris?"
    return Subject(whisper.load(TINY_WHISPER, device="cpu", num_workers=2), say(text), text)


MAKERS = [
    pytest.param(_fake, id="fake"),
    pytest.param(_moonshine, id="moonshine", marks=pytest.mark.engine("moonshine-tiny-en")),
    pytest.param(_whisper, id="whisper"),
]


@pytest.fixture(params=MAKERS)
async def subject(request: pytest.FixtureRequest, models_root: Path) -> AsyncIterator[Subject]:
    make: Callable[[Path], Subject] = request.param
    subject = await asyncio.to_thread(make, models_root)
    yield subject
    await subject.model.aclose()


@pytest.fixture
def stream(subject: Subject) -> Iterator[SttStream]:
    stream = subject.model.stream(session="one")
    yield stream
    stream.close()


def blocks(samples: Samples, size: int) -> Iterator[Samples]:
    return (samples[start : start + size] for start in range(0, samples.size, size))


def check(transcript: Transcript) -> None:
    """What holds for any transcript."""
    assert 0.0 <= transcript.confidence <= 1.0
    assert 0 <= transcript.stable_words <= len(transcript.text.split())
    assert transcript.text == transcript.text.strip()
    assert len(transcript.language) == 2
    assert transcript.queued_s >= 0.0
    assert transcript.compute_s >= 0.0


def test_it_says_what_it_is(subject: Subject) -> None:
    assert subject.model.name
    assert subject.model.model
    assert all(len(language) == 2 for language in subject.model.capabilities.languages)


async def test_without_audio_there_is_no_text(stream: SttStream) -> None:
    final = await stream.final()
    check(final)
    assert (final.text, final.audio_s) == ("", 0.0)
    stream.accept(np.zeros(0, dtype=np.float32))
    partial = await stream.partial()
    assert partial is None or partial.text == ""


@pytest.mark.parametrize("seconds", [0.001, 0.3, 2.0, 10.0])
async def test_silence_is_no_text(stream: SttStream, seconds: float) -> None:
    stream.accept(silence(seconds))
    partial = await stream.partial()
    assert partial is None or partial.text == ""
    final = await stream.final()
    check(final)
    assert final.text == ""


@pytest.mark.parametrize("size", [160, 512, 4096, 1_000_000])
async def test_speech_is_recognised_however_it_is_cut(subject: Subject, stream: SttStream, size: int) -> None:
    for block in blocks(subject.speech, size):
        stream.accept(block)
    final = await stream.final()
    check(final)
    assert final.text == subject.text
    assert final.stable_words == len(subject.text.split())
    assert final.confidence > 0.5
    assert final.audio_s == pytest.approx(subject.speech.size / INPUT_RATE)


async def test_partials_grow_into_the_final(subject: Subject, stream: SttStream) -> None:
    partials: list[Transcript] = []
    for block in blocks(subject.speech, 4096):
        stream.accept(block)
        partial = await stream.partial()
        assert partial is not None, "nothing else is under way"
        check(partial)
        partials.append(partial)
    final = await stream.final()
    assert final.text == subject.text
    assert any(partial.text for partial in partials[:-1])
    assert any(partial.stable_words for partial in partials)


async def test_the_turn_may_go_on_after_a_final(subject: Subject, stream: SttStream) -> None:
    half = subject.speech.size * 6 // 10
    stream.accept(subject.speech[:half])
    first = await stream.final()
    check(first)
    assert first.text != subject.text
    stream.accept(subject.speech[half:])
    assert (await stream.final()).text == subject.text


async def test_a_final_can_be_asked_again(subject: Subject, stream: SttStream) -> None:
    stream.accept(subject.speech)
    first, second = await stream.final(), await stream.final()
    assert (first.text, first.confidence) == (second.text, second.confidence)


async def test_the_callers_array_is_its_own(subject: Subject, stream: SttStream) -> None:
    block = subject.speech.copy()
    stream.accept(block)
    block[:] = 0.0
    assert (await stream.final()).text == subject.text
    fixed = subject.speech.copy()
    fixed.setflags(write=False)
    stream.accept(fixed)
    await stream.final()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
async def test_samples_that_are_not_audio_do_no_harm(subject: Subject, stream: SttStream, bad: float) -> None:
    stream.accept(np.full(8000, bad, dtype=np.float32))
    check(await stream.final())
    broken = subject.speech.copy()
    broken[::1000] = bad
    stream.accept(broken)
    check(await stream.final())
    other = subject.model.stream(session="one")
    other.accept(subject.speech)
    assert (await other.final()).text == subject.text
    other.close()


async def test_cancelling_a_final_harms_nobody(subject: Subject, stream: SttStream) -> None:
    stream.accept(subject.speech)
    for _ in range(3):
        final = asyncio.create_task(stream.final())
        await asyncio.sleep(0)
        final.cancel()
        with pytest.raises(asyncio.CancelledError):
            await final
    assert (await stream.final()).text == subject.text


async def test_close_forgets(subject: Subject, stream: SttStream) -> None:
    stream.accept(subject.speech)
    await stream.final()
    stream.close()
    stream.close()
    stream.accept(subject.speech)
    assert (await stream.final()).text == ""
    partial = await stream.partial()
    assert partial is None or partial.text == ""


async def test_closing_ends_what_is_under_way(subject: Subject, stream: SttStream) -> None:
    stream.accept(subject.speech)
    partial, final = asyncio.create_task(stream.partial()), asyncio.create_task(stream.final())
    await asyncio.sleep(0)
    stream.close()
    results = await asyncio.gather(partial, final, return_exceptions=True)
    assert all(result is None or isinstance(result, Transcript | asyncio.CancelledError) for result in results)


async def test_sessions_at_the_same_time_do_not_mix(subject: Subject) -> None:
    async def turn(session: str) -> str:
        stream = subject.model.stream(session=session)
        for block in blocks(subject.speech, 8192):
            stream.accept(block)
            await stream.partial()
        text = (await stream.final()).text
        stream.close()
        return text

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        turns = [group.create_task(turn(f"session {number}")) for number in range(6)]
    assert [task.result() for task in turns] == [subject.text] * 6


async def test_closing_the_engine_ends_its_calls(subject: Subject, stream: SttStream) -> None:
    stream.accept(subject.speech)
    finals = [asyncio.create_task(stream.final())]
    await asyncio.sleep(0)
    await subject.model.aclose()
    await subject.model.aclose()
    for result in await asyncio.gather(*finals, return_exceptions=True):
        assert isinstance(result, Transcript | EngineUnavailable | asyncio.CancelledError)
