"""Opening an ONNX file on the CPU, for the engines whose model is one small graph."""

from pathlib import Path
from typing import Any

from voice_agent.errors import ModelError


def onnx_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises (its exceptions have no base of their own). Imports onnxruntime."""
    from onnxruntime.capi import onnxruntime_pybind11_state as ort

    return (
        ort.Fail, ort.InvalidArgument, ort.InvalidGraph, ort.InvalidProtobuf, ort.NoSuchFile, ort.NoModel, ort.NotImplemented,
        ort.RuntimeException, ort.EPFail,
    )  # fmt: skip


def open_session(path: Path, *, model: str, inputs: tuple[str, ...], remedy: str, threads: int = 1) -> Any:
    """An `InferenceSession` that takes exactly `inputs`, on `threads` threads that sleep while they have nothing to do.

    Raises `ModelError` when the file is missing, damaged, or of another model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only: what matters is raised, and standard error belongs to the command line
    if not path.is_file():
        raise ModelError(f"The model {model} is missing", why=f"no file {path}", remedy=remedy, code="model.missing")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except onnx_errors() as error:
        why = str(error).strip().partition("\n")[0]
        raise ModelError(f"The model {model} cannot be loaded", why=why, remedy=remedy, code="model.damaged") from error
    found = tuple(node.name for node in session.get_inputs())
    if found != inputs:
        why = f"{path.name} takes {', '.join(found)} in place of {', '.join(inputs)}"
        raise ModelError(f"The model {model} is another one", why=why, remedy=remedy, code="model.damaged")
    return session
