"""Smart Turn's weights, when they are not what they should be."""

import subprocess
import sys
from pathlib import Path

import pytest

from voice_agent.engines.turn import smart_turn
from voice_agent.engines.vad import silero
from voice_agent.errors import ModelError


def refused(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        smart_turn.load(path)
    assert caught.value.remedy == "voice-agent models fetch smart-turn-v3.2"
    assert "smart-turn-v3.2" in caught.value.what
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_missing_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.onnx").code == "model.missing"
    assert refused(tmp_path).code == "model.missing"


@pytest.mark.parametrize("content", [b"", b"not a model at all", bytes(10_000)], ids=["empty", "text", "zeros"])
def test_a_damaged_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "smart-turn-v3.2-cpu.onnx"
    path.write_bytes(content)
    assert refused(path).code == "model.damaged"


def test_the_file_of_another_model() -> None:
    error = refused(silero.weights())
    assert error.code == "model.damaged"
    assert "input_features" in error.why


@pytest.mark.engine("smart-turn-v3.2")
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_that_was_half_fetched(share: float, models_root: Path, tmp_path: Path) -> None:
    whole = (models_root / "smart-turn-v3.2" / "smart-turn-v3.2-cpu.onnx").read_bytes()
    path = tmp_path / "half.onnx"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert refused(path).code == "model.damaged"


def test_importing_loads_no_runtime() -> None:
    modules = "voice_agent.engines.turn.smart_turn, voice_agent.engines.vad.silero"
    code = f"import sys, {modules}; print('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
