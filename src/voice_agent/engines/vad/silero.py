"""Voice activity with Silero v6 on onnxruntime.

The weights are `faster_whisper/assets/silero_vad_v6.onnx` (1.2 MB, MIT) of the faster-whisper 1.2.1 wheel, which is installed
anyway; the `silero-vad` package would bring torch. The file is found without importing faster-whisper and must have the
sha256 below. Its graph takes one window of 512 samples behind the last 64 of the window before, and an LSTM's h and c.
Another Silero (the v5 of other packages) gives other probabilities: do not mix them.
"""

import hashlib
import importlib.util
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voice_agent.audio.pcm import Samples
from voice_agent.engines.onnx_session import onnx_errors, open_session
from voice_agent.errors import EngineFailed, EngineUnavailable, ModelError

MODEL: Final = "silero-vad-v6"
WINDOW_SAMPLES: Final = 512
CONTEXT_SAMPLES: Final = 64
STATE_SHAPE: Final = (1, 1, 128)
SHA256: Final = "4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2"
REMEDY: Final = "Install the project again: pip install --force-reinstall faster-whisper==1.2.1"


def weights() -> Path:
    """Where the weights lie. Raises `ModelError` when faster-whisper is not installed."""
    package = importlib.util.find_spec("faster_whisper")
    folders = package.submodule_search_locations if package is not None else None
    if not folders:
        raise _unusable("missing", "faster-whisper is not installed")
    return Path(folders[0]) / "assets" / "silero_vad_v6.onnx"


def load(path: Path | None = None) -> "Silero":
    """Loads the weights (10 to 80 ms). `path` is for tests. Raises `ModelError` when they are missing or not the expected ones."""
    path = path or weights()
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise _unusable("missing", str(error)) from error
    if found != SHA256:
        raise _unusable("damaged", f"{path} has the sha256 {found[:12]}… in place of {SHA256[:12]}…")
    return Silero(open_session(path, model=MODEL, inputs=("input", "h", "c"), remedy=REMEDY))


def _unusable(how: str, why: str) -> ModelError:
    return ModelError(f"The model {MODEL} is {how}", why=why, remedy=REMEDY, code=f"model.{how}")


class Silero:
    """One onnxruntime session (about 10 MB) for all streams; a stream is 5 kB. Has no thread of its own."""

    name = "silero"
    model = MODEL
    window_samples = WINDOW_SAMPLES

    def __init__(self, session: Any) -> None:
        self._session: Any | None = session
        self._failures = onnx_errors()

    def stream(self) -> "SileroStream":
        return SileroStream(self)

    def run(self, binding: Any) -> None:
        """One step of a stream whose arrays are bound in `binding`."""
        if self._session is None:
            raise EngineUnavailable("silero is shut down", engine=self.name)
        try:
            self._session.run_with_iobinding(binding)
        except self._failures as error:
            raise EngineFailed("silero failed on a window", engine=self.name, why=str(error)) from error

    def binding(self) -> Any:
        if self._session is None:
            raise EngineUnavailable("silero is shut down", engine=self.name)
        return self._session.io_binding()

    async def aclose(self) -> None:
        self._session = None


class SileroStream:
    """All arrays are made once and bound by address, so a window costs no allocation: about 0.05 to 0.2 ms.

    The state is kept twice: a step reads one and writes the other.
    """

    def __init__(self, silero: Silero) -> None:
        self._silero = silero
        self._input: Samples = np.zeros((1, CONTEXT_SAMPLES + WINDOW_SAMPLES), dtype=np.float32)
        self._window: Samples = self._input[0, CONTEXT_SAMPLES:]
        self._states = [(_state(), _state()), (_state(), _state())]
        self._probability: Samples = np.zeros(1, dtype=np.float32)
        self._steps = [self._bind(reads, writes) for reads, writes in (self._states, self._states[::-1])]
        self._turn = 0

    def probability(self, window: Samples) -> float:
        """Speech probability of exactly 512 samples. Samples that are not finite count as silence; loud ones are clipped."""
        if window.shape != (WINDOW_SAMPLES,):
            raise ValueError(f"a window has shape ({WINDOW_SAMPLES},), not {window.shape}")
        self._input[0, :CONTEXT_SAMPLES] = self._input[0, -CONTEXT_SAMPLES:]
        window.clip(-1.0, 1.0, out=self._window)
        finite = np.isfinite(window)
        if not finite.all():
            self._window[~finite] = 0.0
        self._silero.run(self._steps[self._turn])
        self._turn = 1 - self._turn
        return float(self._probability[0])

    def reset(self) -> None:
        """As if nothing had been heard."""
        self._input.fill(0.0)
        for hidden, cell in self._states:
            hidden.fill(0.0)
            cell.fill(0.0)

    def _bind(self, reads: "_State", writes: "_State") -> Any:
        binding = self._silero.binding()
        inputs = {"input": self._input, "h": reads[0], "c": reads[1]}
        outputs = {"speech_probs": self._probability, "hn": writes[0], "cn": writes[1]}
        for name, array in inputs.items():
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in outputs.items():
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return binding


_State = tuple[NDArray[np.float32], NDArray[np.float32]]


def _state() -> NDArray[np.float32]:
    return np.zeros(STATE_SHAPE, dtype=np.float32)
