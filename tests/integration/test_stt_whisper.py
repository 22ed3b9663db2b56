"""Whisper on CTranslate2: a small trained model (tests/assets/tiny-whisper) that knows sentences spoken by espeak-ng."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.spoken import TINY_WHISPER, say, silence
from voice_agent.engines.base import INPUT_RATE, Samples, Transcript
from voice_agent.engines.stt import whisper
from voice_agent.engines.stt.recogniser import DecodeRequest
from voice_agent.engines.stt.whisper import Whisper, WhisperRecogniser
from voice_agent.engines.stt.whisper_decoder import DecoderOptions, WhisperDecoder
from voice_agent.errors import EngineUnavailable, ModelError

ENGLISH = [
    "Turn on the light in the kitchen.",
    "My name is Anna.",
    "What time is it in Paris?",
    "Set a timer for five minutes.",
    "Please call David.",
    "How is the weather in London today?",
    "Remember that I live in Berlin.",
    "What is three plus four?",
    "Thank you.",
    "Hello, my name is Maria.",
]
SPANISH = [
    "Hola, me llamo Carlos.",
    "¿Qué hora es en Madrid?",
    "Enciende la luz de la cocina.",
    "Mi color favorito es azul.",
    "Pon un temporizador de cinco minutos.",
]
SENTENCES = [("en", "en-us", text) for text in ENGLISH] + [("es", "es", text) for text in SPANISH]


@pytest.fixture
async def model() -> AsyncIterator[Whisper]:
    model = await asyncio.to_thread(whisper.load, TINY_WHISPER, device="cpu")
    yield model
    await model.aclose()


async def final(
    model: Whisper, samples: Samples, *, session: str = "one", language: str | None = None, hint: str = ""
) -> Transcript:
    stream = model.stream(session=session, language=language, hint=hint)
    stream.accept(samples)
    transcript = await stream.final()
    stream.close()
    return transcript


# ---------------------------------------------------------------- what it hears


@pytest.mark.parametrize("floor", [0.0, 8.0, 30.0], ids=["as long as the speech", "eight seconds", "thirty seconds"])
async def test_every_sentence_is_exact_and_its_language_right(floor: float) -> None:
    model = await asyncio.to_thread(whisper.load, TINY_WHISPER, device="cpu", window_floor_s=floor)
    for number, (language, voice, text) in enumerate(SENTENCES):
        transcript = await final(model, say(text, voice=voice), session=str(number))
        assert (transcript.text, transcript.language) == (text, language)
        assert 0.5 < transcript.confidence <= 1.0
    await model.aclose()


async def test_interim_texts_revise_themselves_on_the_way(model: Whisper) -> None:
    stream = model.stream(session="one", language="en")
    speech = say("Turn on the light in the kitchen.")
    texts = []
    for start in range(0, speech.size, 4096):
        stream.accept(speech[start : start + 4096])
        partial = await stream.partial()
        assert partial is not None
        texts.append(partial.text)
    assert texts[-1] == "Turn on the light in the kitchen."
    assert len(set(texts)) >= 3
    stream.close()


async def test_noise_and_silence_are_no_text(model: Whisper) -> None:
    noise = np.random.default_rng(1).standard_normal(2 * INPUT_RATE).astype(np.float32) * np.float32(0.003)
    assert (await final(model, noise)).text == ""
    assert (await final(model, silence(2.0))).text == ""


async def test_a_hint_is_taken(model: Whisper) -> None:
    assert (await final(model, say("My name is Anna."), hint="Anna, Paris")).text == "My name is Anna."
    long_hint = "Anna, David, Maria, Tom, Paris, London. " * 200
    assert (await final(model, say("My name is Anna."), hint=long_hint)).confidence > 0.0


# ---------------------------------------------------------------- language


async def test_the_language_is_detected_once_and_kept_for_the_session(model: Whisper) -> None:
    assert (await final(model, say(SPANISH[2], voice="es"), session="spanish")).language == "es"
    assert (await final(model, say("Thank you."), session="spanish")).language == "es"
    assert (await final(model, say("Thank you."), session="english")).language == "en"


async def test_a_given_language_is_not_detected(model: Whisper) -> None:
    assert (await final(model, say("My name is Anna."), language="es-MX")).language == "es"


async def test_a_language_that_the_model_lacks_is_declined(model: Whisper) -> None:
    assert model.capabilities.languages == ()
    with pytest.raises(EngineUnavailable) as caught:
        model.stream(session="one", language="fr")
    assert caught.value.code == "stt.unknown_language"


# ---------------------------------------------------------------- windows and retries


class Spy:
    """faster-whisper's model, with the lengths of the encoded windows."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.frames: list[int] = []

    def encode(self, features: NDArray[np.float32]) -> Any:
        self.frames.append(features.shape[-1])
        return self._model.encode(features)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


@pytest.fixture
def spy() -> Spy:
    from faster_whisper import WhisperModel

    return Spy(WhisperModel(str(TINY_WHISPER), device="cpu", compute_type="int8", cpu_threads=1))


def recogniser(spy: Spy, *, floor: float = 8.0, beam: int = 1) -> WhisperRecogniser:
    return WhisperRecogniser(WhisperDecoder(spy, DecoderOptions(window_floor_s=floor, final_beam=beam)))


def never() -> bool:
    return False


def request(*, final: bool, language: str | None = "en") -> DecodeRequest:
    return DecodeRequest(session="one", final=final, language=language)


@pytest.mark.parametrize(("seconds", "floor", "frames"), [(2.0, 8.0, 800), (2.0, 0.0, 300), (9.0, 8.0, 1000), (29.5, 8.0, 3000)])
def test_the_window_is_as_long_as_the_speech(spy: Spy, seconds: float, floor: float, frames: int) -> None:
    speech = np.resize(say("My name is Anna."), round(seconds * INPUT_RATE))
    recogniser(spy, floor=floor).decode(speech, request(final=False), never)
    assert spy.frames == [frames]


def test_a_doubtful_final_is_tried_again_in_the_full_window(spy: Spy) -> None:
    noise = np.random.default_rng(1).standard_normal(INPUT_RATE).astype(np.float32) * np.float32(0.2)
    recogniser(spy).decode(noise, request(final=False), never)
    assert spy.frames == [800]
    recogniser(spy).decode(noise, request(final=True), never)
    assert spy.frames == [800, 800, 3000]


def test_detection_and_decoding_share_one_encoding(spy: Spy) -> None:
    decoded = recogniser(spy).decode(say("My name is Anna."), request(final=True, language=None), never)
    assert (decoded.text, decoded.language, spy.frames) == ("My name is Anna.", "en", [800])


def test_only_what_a_final_would_repeat_serves_as_one(spy: Spy) -> None:
    speech = say("My name is Anna.")
    assert recogniser(spy).decode(speech, request(final=False), never).serves_as_final
    assert not recogniser(spy, beam=5).decode(speech, request(final=False), never).serves_as_final
    assert not recogniser(spy).decode(speech, request(final=False, language=None), never).serves_as_final


def test_a_stopped_decode_ends_before_the_encoder(spy: Spy) -> None:
    assert recogniser(spy).decode(say("Thank you."), request(final=True), lambda: True).text == ""
    assert spy.frames == []


# ---------------------------------------------------------------- loading


async def test_what_it_runs_on_is_told(model: Whisper) -> None:
    assert (model.name, model.model, model.detail) == ("faster-whisper", "tiny-whisper", "int8 on 1 x 1 CPU threads")
    await model.warm_up()


@pytest.mark.parametrize("name", ["base", "whisper-base", "no/such/folder", ""])
def test_a_name_is_never_downloaded(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="models fetch whisper-base"):
        whisper.load(name, device="cpu")


FILES = ["config.json", "model.bin", "tokenizer.json", "vocabulary.json"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "half"])
def test_damaged_weights_are_told(tmp_path: Path, file: str, damage: str) -> None:
    copy = tmp_path / "whisper-small"
    shutil.copytree(TINY_WHISPER, copy)
    data = (copy / file).read_bytes()
    (copy / file).unlink()
    if damage != "missing":
        (copy / file).write_bytes(data[: len(data) // 2] if damage == "half" else b"")
    with pytest.raises(ModelError) as caught:
        whisper.load(copy, device="cpu")
    assert caught.value.code == "model.damaged"
    assert caught.value.remedy == "Run: voice-agent models fetch whisper-small"


def test_a_gpu_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 0)
    with pytest.raises(EngineUnavailable) as caught:
        whisper.load(TINY_WHISPER, device="cuda")
    assert caught.value.code == "stt.no_gpu"


async def test_a_gpu_that_does_not_work_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    import ctranslate2

    if ctranslate2.get_cuda_device_count():
        pytest.skip("the GPU of this machine works")
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 1)
    model = await asyncio.to_thread(whisper.load, TINY_WHISPER)
    assert model.placement == whisper.Placement(device="cpu", compute_type="int8")
    assert (await final(model, say("Thank you."))).text == "Thank you."
    await model.aclose()
