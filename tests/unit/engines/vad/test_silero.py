"""Silero's weights: where they are found, and what happens when they are not what they should be."""

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from voice_agent.engines.vad import silero
from voice_agent.errors import EngineUnavailable, ModelError


def test_the_weights_are_found_without_importing_their_package() -> None:
    code = "import sys; from voice_agent.engines.vad import silero; silero.load(); print('faster_whisper' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_file_with_one_wrong_byte_is_refused(tmp_path: Path) -> None:
    content = bytearray(silero.weights().read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "silero_vad_v6.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        silero.load(path)
    assert caught.value.code == "model.damaged"
    assert "faster-whisper" in caught.value.remedy


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        silero.load(tmp_path / "none.onnx")
    assert caught.value.code == "model.missing"


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ModelError, match="silero-vad-v6 is missing"):
        silero.weights()


async def test_a_stream_that_outlives_the_model_says_so() -> None:
    model = await asyncio.to_thread(silero.load)
    stream = model.stream()
    await model.aclose()
    with pytest.raises(EngineUnavailable):
        stream.probability(np.zeros(512, dtype=np.float32))
    with pytest.raises(EngineUnavailable):
        model.stream()
    await model.aclose()


@pytest.mark.parametrize("shape", [(0,), (1,), (511,), (513,), (1, 512)])
def test_a_window_of_another_size_is_a_mistake(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="512"):
        silero.load().stream().probability(np.zeros(shape, dtype=np.float32))


def test_stepping_gives_what_the_whole_file_gives() -> None:
    """The same graph over all windows in one call, with an own context, is the reference."""
    import onnxruntime

    samples = np.random.default_rng(5).standard_normal(512 * 40).astype(np.float32) * np.float32(0.1)
    windows = samples.reshape(-1, 512)
    context = np.zeros((40, 64), dtype=np.float32)
    context[1:] = windows[:-1, -64:]
    zeros = np.zeros((1, 1, 128), dtype=np.float32)
    session = onnxruntime.InferenceSession(str(silero.weights()), providers=["CPUExecutionProvider"])
    whole = session.run(["speech_probs"], {"input": np.concatenate((context, windows), axis=1), "h": zeros, "c": zeros})[0].reshape(
        -1
    )
    stream = silero.load().stream()
    assert [stream.probability(window) for window in windows] == pytest.approx(whole.tolist(), abs=1e-5)
