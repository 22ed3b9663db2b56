"""Moonshine on human speech."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import jiwer
import numpy as np
import pytest

from tests.spoken import Clip, clip, clips, plain, say, silence
from voice_agent.engines.base import INPUT_RATE, Samples, Transcript
from voice_agent.engines.stt import moonshine
from voice_agent.engines.stt.moonshine import Moonshine
from voice_agent.errors import EngineUnavailable, ModelError

pytestmark = pytest.mark.engine("moonshine-tiny-en")

MOST_WRONG = 0.08
"""Word error rate that the conversational clips must keep to."""


@pytest.fixture
def folder(models_root: Path) -> Path:
    return models_root / "moonshine-tiny-en"


@pytest.fixture
async def model(folder: Path) -> AsyncIterator[Moonshine]:
    model = await asyncio.to_thread(moonshine.load, folder)
    yield model
    await model.aclose()


async def whole(model: Moonshine, samples: Samples) -> Transcript:
    """The final of a turn that is there at once."""
    stream = model.stream(session="whole")
    stream.accept(samples)
    final = await stream.final()
    stream.close()
    return final


async def live(model: Moonshine, samples: Samples) -> Transcript:
    """The final of a turn that comes in steps of half a second, a partial after each."""
    stream = model.stream(session="live")
    for start in range(0, samples.size, 8192):
        stream.accept(samples[start : start + 8192])
        await stream.partial()
    stream.accept(silence(0.2))
    final = await stream.final()
    stream.close()
    return final


def errors(spoken: list[Clip], heard: list[str]) -> float:
    return float(jiwer.wer([plain(clip.transcript) for clip in spoken], [plain(text) for text in heard]))


async def test_word_error_rate_on_conversational_turns(model: Moonshine) -> None:
    turns = clips("aiewf_turn_")
    assert len(turns) == 6
    assert errors(turns, [(await whole(model, turn.samples())).text for turn in turns]) <= MOST_WRONG


async def test_word_error_rate_on_all_clips(model: Moonshine) -> None:
    spoken = clips()
    assert len(spoken) == 12
    finals = [await whole(model, one.samples()) for one in spoken]
    assert errors(spoken, [final.text for final in finals]) <= MOST_WRONG
    assert min(final.confidence for final in finals) > 0.7


async def test_partials_change_no_word_of_the_finals(model: Moonshine) -> None:
    turns = clips("aiewf_turn_") + clips("librivox")
    heard = [(await live(model, turn.samples())).text for turn in turns]
    alone = [(await whole(model, np.concatenate((turn.samples(), silence(0.2))))).text for turn in turns]
    assert [plain(text) for text in heard] == [plain(text) for text in alone]
    assert errors(turns, heard) <= MOST_WRONG


@pytest.mark.parametrize("seconds", [0.2, 0.5])
async def test_a_moment_of_noise_is_no_text(model: Moonshine, seconds: float) -> None:
    noise = np.random.default_rng(7).standard_normal(round(seconds * INPUT_RATE)).astype(np.float32) * np.float32(0.001)
    assert (await whole(model, noise)).text == ""


async def test_a_turn_of_one_word_is_heard(model: Moonshine) -> None:
    for word in ("Yes.", "No.", "Stop.", "Thank you.", "Okay."):
        assert (await whole(model, np.concatenate((silence(0.4), say(word), silence(0.2))))).text == word


async def test_silence_behind_speech_changes_nothing(model: Moonshine) -> None:
    speech = clip("child_dog")
    assert (await whole(model, np.concatenate((speech, silence(3.0))))).text == (await whole(model, speech)).text


async def test_a_minute_without_a_pause_keeps_its_words(model: Moonshine) -> None:
    spoken = [one for one in clips() if one.file != "jfk.wav"]
    joined = np.concatenate([one.samples() for one in spoken])
    final = await whole(model, joined)
    said = " ".join(plain(one.transcript) for one in spoken)
    assert jiwer.wer(said, plain(final.text)) <= 0.12
    assert final.audio_s == pytest.approx(joined.size / INPUT_RATE)


async def test_two_workers_give_the_texts_of_one(folder: Path, model: Moonshine) -> None:
    spoken = [one.samples() for one in clips("aiewf_turn_")]
    alone = [(await whole(model, samples)).text for samples in spoken]
    two = await asyncio.to_thread(moonshine.load, folder, workers=2)
    together = await asyncio.gather(*(whole(two, samples) for samples in spoken * 2))
    await two.aclose()
    assert [transcript.text for transcript in together] == alone * 2


async def test_other_languages_are_declined(model: Moonshine) -> None:
    assert (await whole(model, clip("turn_on_lamp"))).language == "en"
    model.stream(session="one", language="en-GB").close()
    with pytest.raises(EngineUnavailable) as caught:
        model.stream(session="one", language="es")
    assert caught.value.code == "stt.unknown_language"


async def test_warming_up(model: Moonshine) -> None:
    await model.warm_up()
    assert model.detail == "1 x 1 CPU threads"


@pytest.mark.parametrize("file", ["encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"])
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "junk"])
def test_damaged_weights_are_told(folder: Path, tmp_path: Path, file: str, damage: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    data = (folder / file).read_bytes()
    (copy / file).unlink()
    if damage != "missing":
        (copy / file).write_bytes({"empty": b"", "half": data[: len(data) // 2], "junk": b"junk" * 1000}[damage])
    with pytest.raises(ModelError) as caught:
        moonshine.load(copy)
    assert caught.value.code == ("model.missing" if damage == "missing" else "model.damaged")
    assert caught.value.remedy == "Run: voice-agent models fetch moonshine-tiny-en"


def test_the_encoder_in_place_of_the_decoder_is_told(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.copy(folder / "encoder_model.ort", copy / "decoder_model_merged.ort")
    with pytest.raises(ModelError, match="is another one"):
        moonshine.load(copy)
