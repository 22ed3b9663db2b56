"""What the figures were measured on: without it they say nothing."""

import importlib.metadata
import os
import platform
import time
from pathlib import Path

import psutil

PACKAGES = (
    "voice-agent", "onnxruntime", "faster-whisper", "ctranslate2", "xllamacpp", "kokoro-onnx", "espeakng-loader", "numpy", "soxr"
)  # fmt: skip
"""Whose versions are told, by `bench conversation`."""

SERVER_PACKAGES = (
    "voice-agent",
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "websockets",
    "orjson",
    "pydantic",
    "onnxruntime",
    "numpy",
)
"""By `bench server`."""

BUSY = 0.5
"""Load average per core above which the figures are those of a machine that does something else."""


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def load_average() -> float | None:
    """Of the last minute; None where the system has none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


class Neighbours:
    """What else the machine does, since this was made."""

    def __init__(self) -> None:
        self._began, self._busy, self._own = time.perf_counter(), _busy_s(), _own_s()

    def cores(self) -> float:
        """Cores that other processes kept busy, on average."""
        others = _busy_s() - self._busy - (_own_s() - self._own)
        return max(0.0, others) / max(1e-3, time.perf_counter() - self._began)


def _busy_s() -> float:
    """Processor seconds of everybody since the machine started."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))


def _own_s() -> float:
    """Of this process and of its children that have ended."""
    times = psutil.Process().cpu_times()
    return float(times.user + times.system + getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0))


def facts(cores: int, packages: tuple[str, ...] = PACKAGES) -> dict[str, object]:
    """`cores`: those that this process may use."""
    return {
        "cpu": cpu_model(),
        "cores": cores,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: version for name in packages if (version := _version(name)) is not None},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
