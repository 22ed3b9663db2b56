"""Kokoro's loading path on a stub of its signature, its blends, and the times of its words."""

import asyncio
import io
from pathlib import Path

import numpy as np
import pytest

from voice_agent.engines.base import SpeechChunk, SpeechRequest
from voice_agent.engines.tts import kokoro
from voice_agent.engines.tts.kokoro_timing import even_edges, word_starts
from voice_agent.engines.tts.kokoro_voices import default_voice, parse_blend
from voice_agent.errors import EngineUnavailable, InputError, ModelError

STUB = Path(__file__).parents[3] / "assets" / "kokoro-stub"
MODEL, VOICES = STUB / "kokoro-stub.onnx", STUB / "voices-stub.bin"
KNOWN = ("af_heart", "am_adam", "bf_emma", "ef_dora")


async def speak(text: str, *, voice: str | None = None, language: str = "en", speed: float = 1.0) -> list[SpeechChunk]:
    engine = await asyncio.to_thread(kokoro.load, MODEL, VOICES, threads=1)
    try:
        request = SpeechRequest(text=text, voice=voice, language=language, speed=speed)
        return [chunk async for chunk in engine.speak(request, session="s")]
    finally:
        await engine.aclose()


def pitch(chunks: list[SpeechChunk]) -> float:
    """Mean frequency in Hz by zero crossings of the voiced samples."""
    audio = np.concatenate([chunk.pcm for chunk in chunks]).astype(np.float64)
    voiced = audio[np.abs(audio) > 0]
    return float(np.count_nonzero(np.diff(np.signbit(voiced))) / 2 / (voiced.size / 24_000))


async def test_a_blend_lies_between_its_voices() -> None:
    heart, adam, mixed = [pitch(await speak("Hello", voice=voice)) for voice in ("af_heart", "am_adam", "af_heart:0.7+am_adam:0.3")]
    assert adam - heart == pytest.approx(100, abs=5)  # the stub shifts by 100 Hz per unit of style
    assert mixed - heart == pytest.approx(30, abs=5)


async def test_word_times_follow_the_phoneme_durations() -> None:
    chunks = await speak("Hello there, world")
    words = [word for chunk in chunks for word in chunk.words]
    # 75 ms a phoneme: həlˈoʊ is 6, then a space; ðˈɛɹ is 4, a comma and a space.
    assert words[1].start_s == pytest.approx(7 * 0.075 + 0.015, abs=0.02)
    assert words[2].start_s == pytest.approx(13 * 0.075 + 0.015, abs=0.02)


async def test_the_language_chooses_the_voice() -> None:
    spanish, english = pitch(await speak("Hola", language="es")), pitch(await speak("Hola", language="en"))
    assert spanish > english + 100


async def test_an_unknown_language_is_for_another_engine() -> None:
    with pytest.raises(EngineUnavailable) as raised:
        await speak("Hallo", language="de")
    assert raised.value.code == "tts.unknown_language"


@pytest.mark.parametrize("speed", [float("nan"), 0.0, -1.0, 9.0, float("inf")])
async def test_an_impossible_speed_is_refused(speed: float) -> None:
    with pytest.raises(InputError) as raised:
        await speak("Hello", speed=speed)
    assert raised.value.code == "tts.bad_speed"


def test_blends_are_normalised() -> None:
    assert parse_blend("af_heart", KNOWN) == {"af_heart": 1.0}
    assert parse_blend("af_heart:7+am_adam:3", KNOWN) == pytest.approx({"af_heart": 0.7, "am_adam": 0.3})
    assert parse_blend(" af_heart + am_adam ", KNOWN) == {"af_heart": 0.5, "am_adam": 0.5}


@pytest.mark.parametrize(
    "voice", ["", "af_heart:", "af_heart:x", "af_heart:-1", "af_heart:0", "af_heart:nan", "af_heart+", "+".join(["af_heart"] * 9)]
)
def test_a_bad_blend_is_an_input_error(voice: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_blend(voice, KNOWN)
    assert raised.value.code == "tts.unknown_voice"


def test_an_unknown_voice_names_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean af_heart"):
        parse_blend("af_hart", KNOWN)


@pytest.mark.parametrize(
    ("language", "voice"), [("en", "af_heart"), ("en-GB", "bf_emma"), ("es-MX", "ef_dora"), ("de", None), ("fr", None)]
)
def test_default_voices(language: str, voice: str | None) -> None:
    assert default_voice(language, KNOWN) == voice


# ---------------------------------------------------------------- files


def other_model() -> bytes:
    """An ONNX file cut in the middle."""
    return MODEL.read_bytes()[:700]


def other_voices() -> bytes:
    file = io.BytesIO()
    np.savez(file, nobody=np.zeros(3, np.float32))
    return file.getvalue()


@pytest.mark.parametrize("content", [None, b"", b"not a model", other_model()], ids=["missing", "empty", "text", "cut"])
def test_a_bad_model_file_says_how_to_mend_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "kokoro.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="voice-agent models fetch kokoro-82m"):
        kokoro.load(path, VOICES, threads=1)


@pytest.mark.parametrize(
    "content", [None, b"", b"text", VOICES.read_bytes()[:600], other_voices()], ids=["missing", "empty", "text", "cut", "other"]
)
def test_a_bad_voices_file_says_how_to_mend_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "voices.bin"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="voice-agent models fetch kokoro-82m"):
        kokoro.load(MODEL, path, threads=1)


def test_a_gpu_that_is_not_there_is_told() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime can use a GPU")
    with pytest.raises(EngineUnavailable, match="GPU"):
        kokoro.load(MODEL, VOICES, threads=1, device="cuda")


# ---------------------------------------------------------------- word times


def test_equal_counts_are_paired() -> None:
    phonemes = "ab cd, ef"
    assert word_starts(["a", "b,", "c"], phonemes, even_edges(phonemes, 9.0)) == [0.0, 3.0, 7.0]


def test_words_that_the_phonemizer_joined_share_their_run() -> None:
    phonemes = "abcd, ef"
    assert word_starts(["of", "the,", "sea"], phonemes, even_edges(phonemes, 8.0)) == [0.0, 1.0, 6.0]


def test_marks_that_do_not_agree_fall_back_to_the_whole() -> None:
    phonemes = "ab cd"
    starts = word_starts(["a,", "b,", "c"], phonemes, even_edges(phonemes, 5.0))
    assert starts == sorted(starts)
    assert starts[0] == 0.0
