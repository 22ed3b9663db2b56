"""Builds the two files beside it: a model of Kokoro's signature and a voices file, of 1 to 3 kB each.

    uvx --with onnx --with numpy python tests/assets/kokoro-stub/build.py

(any environment with `onnx` and `numpy` does; neither the product nor its tests need `onnx`.)

The model says a tone for each phoneme, three frames of 600 samples long at speed 1, and silence for punctuation, spaces and the
padding at both ends; so durations are right, and there is silence at the start and the end to be trimmed, as in the real one.
A voice's only trait is its mean, which shifts the tones: that makes blends measurable.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
FRAME = 600
FRAMES_PER_TOKEN = 3.0
LAST_SILENT = 16  # ids up to here are punctuation and the space
SAMPLE_RATE = 24_000
VOICES = {"af_heart": 0.0, "am_adam": 1.0, "bf_emma": 2.0, "ef_dora": 3.0, "ff_siwis": 4.0, "if_sara": 5.0, "pf_dora": 6.0}


def build_model() -> Any:
    onnx: Any = importlib.import_module("onnx")
    helper: Any = importlib.import_module("onnx.helper")
    numpy_helper: Any = importlib.import_module("onnx.numpy_helper")
    constants = {
        "three": np.array([FRAMES_PER_TOKEN], np.float32), "one": np.array([1.0], np.float32), "frame": np.array([FRAME], np.int64),
        "flat": np.array([-1], np.int64), "column": np.array([-1, 1], np.int64), "zero": np.array(0, np.int64),
        "step": np.array(1, np.int64), "last": np.array(LAST_SILENT, np.int64), "four": np.array(4.0, np.float32),
        "base": np.array(100.0, np.float32), "turn": np.array(2 * np.pi / SAMPLE_RATE, np.float32),
        "loud": np.array(0.3, np.float32),
        "scalar": np.array([], np.int64),
    }  # fmt: skip
    nodes: list[Any] = [
        ("Reshape", ["input_ids", "flat"], "ids"),
        ("Shape", ["ids"], "count"),
        ("Div", ["three", "speed"], "raw"),
        ("Round", ["raw"], "rounded"),
        ("Max", ["rounded", "one"], "atleast"),
        ("Cast", ["atleast"], "frames", {"to": onnx.TensorProto.INT64}),
        ("Expand", ["frames", "count"], "duration"),
        ("Mul", ["frames", "frame"], "each"),
        ("Concat", ["count", "each"], "grid", {"axis": 0}),
        ("Mul", ["count", "each"], "total1"),
        ("Reshape", ["total1", "scalar"], "total"),
        ("Range", ["zero", "total", "step"], "time"),
        ("Cast", ["time"], "timef", {"to": onnx.TensorProto.FLOAT}),
        ("Cast", ["ids"], "idsf", {"to": onnx.TensorProto.FLOAT}),
        ("Mul", ["idsf", "four"], "offset"),
        ("ReduceMean", ["style"], "mean", {"keepdims": 0}),
        ("Mul", ["mean", "base"], "shift"),
        ("Add", ["offset", "base"], "above"),
        ("Add", ["above", "shift"], "hertz"),
        ("Reshape", ["hertz", "column"], "hertz2"),
        ("Expand", ["hertz2", "grid"], "hertz3"),
        ("Reshape", ["hertz3", "flat"], "hertz4"),
        ("Greater", ["ids", "last"], "voiced"),
        ("Cast", ["voiced"], "voicedf", {"to": onnx.TensorProto.FLOAT}),
        ("Mul", ["voicedf", "loud"], "gain"),
        ("Reshape", ["gain", "column"], "gain2"),
        ("Expand", ["gain2", "grid"], "gain3"),
        ("Reshape", ["gain3", "flat"], "gain4"),
        ("Mul", ["timef", "turn"], "angle1"),
        ("Mul", ["angle1", "hertz4"], "angle"),
        ("Sin", ["angle"], "tone"),
        ("Mul", ["tone", "gain4"], "audio"),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **(extra[0] if extra else {})) for kind, inputs, output, *extra in nodes],
        "kokoro-stub",
        [
            helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, [1, "tokens"]),
            helper.make_tensor_value_info("style", onnx.TensorProto.FLOAT, [1, 256]),
            helper.make_tensor_value_info("speed", onnx.TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("audio", onnx.TensorProto.FLOAT, ["samples"]),
            helper.make_tensor_value_info("duration", onnx.TensorProto.INT64, ["tokens"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    (HERE / "kokoro-stub.onnx").write_bytes(build_model().SerializeToString())
    voices: dict[str, Any] = {name: np.full((1, 1, 256), value, np.float32) for name, value in VOICES.items()}
    with (HERE / "voices-stub.bin").open("wb") as file:
        np.savez_compressed(file, **voices)


if __name__ == "__main__":
    main()
