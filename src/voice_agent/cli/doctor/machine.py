"""The hardware under the engines: processor, memory, GPU, sound device, disk. Everything here blocks."""

import os
import platform
import shutil
from pathlib import Path

import psutil

from voice_agent.cli.doctor.findings import Finding, State
from voice_agent.models.disk import megabytes

FEW_CORES = 2
"""Recognition and the language model work at the same time; with one core each waits for the other."""

LITTLE_MEMORY = 1_000_000_000
"""Bytes. All embedded engines need 700 MB."""

LITTLE_DISK = 1_000_000_000
"""Bytes. The embedded weights are 150 MB, Kokoro and Whisper base another 500 MB."""

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of version 2 and version 1: what a container may use."""

_NVIDIA_DRIVER = Path("/proc/driver/nvidia/gpus")


def processor(cores: int) -> Finding:
    """`cores`: those that this process may use."""
    facts = _processor_facts()
    model, flags = facts.get("model name") or platform.processor() or platform.machine(), facts.get("flags", "").split()
    avx2 = "avx2" in flags if flags else None
    told = "" if avx2 is None else ", AVX2" if avx2 else ", no AVX2"
    why, remedy = "", ""
    if avx2 is False:
        why, remedy = "without AVX2 the engines are several times slower", "Use a processor with AVX2 (made after 2013)"
    elif cores < FEW_CORES:
        why, remedy = "one core cannot recognise and answer at the same time", f"Give it {FEW_CORES} cores or more"
    return Finding(
        group="hardware",
        name="processor",
        state=State.NOT_THE_BEST if why else State.OK,
        detail=f"{cores} {'core' if cores == 1 else 'cores'}, {model}{told}",
        why=why,
        remedy=remedy,
        facts={"cores": cores, "model": model, "avx2": avx2},
    )


def _processor_facts() -> dict[str, str]:
    """The first processor of Linux's /proc/cpuinfo; nothing elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def memory() -> Finding:
    machine = psutil.virtual_memory()
    limit = _container_limit()
    total = machine.total if limit is None else min(machine.total, limit)
    free = min(machine.available, total)
    little = free < LITTLE_MEMORY
    return Finding(
        group="hardware",
        name="memory",
        state=State.NOT_THE_BEST if little else State.OK,
        detail=f"{megabytes(free)} of {megabytes(total)} free",
        why=f"{megabytes(free)} are free, the engines need {megabytes(LITTLE_MEMORY)}" if little else "",
        remedy="End other programs, or use smaller models" if little else "",
        facts={"total_bytes": total, "free_bytes": free},
    )


def _container_limit() -> int | None:
    for path in _CGROUP_LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        return int(text) if text.isdigit() else None  # "max"
    return None


def gpu() -> Finding:
    """As CTranslate2 sees it, which is what Whisper runs on. The other engines run on the processor."""
    import ctranslate2

    count = int(ctranslate2.get_cuda_device_count())
    unseen = count == 0 and _NVIDIA_DRIVER.is_dir() and any(_NVIDIA_DRIVER.iterdir())
    return Finding(
        group="hardware",
        name="gpu",
        state=State.NOT_THE_BEST if unseen else State.OK,
        detail=f"{count} with CUDA" if count else "none that CTranslate2 can use: all runs on the processor",
        why="this machine has a GPU, and CTranslate2 does not see it" if unseen else "",
        remedy="Install the CUDA 12 libraries: pip install nvidia-cublas-cu12 nvidia-cudnn-cu12" if unseen else "",
        facts={"count": count},
    )


def sound_device() -> Finding:
    """What `voice-agent talk` without files needs."""
    from voice_agent.transports.microphone import INSTALL, REMEDY

    try:
        import sounddevice

        devices = sounddevice.query_devices()
    except (ImportError, OSError) as error:  # OSError: PortAudio itself is missing
        return _no_sound(str(error), INSTALL)
    inputs = sum(device["max_input_channels"] > 0 for device in devices)
    outputs = sum(device["max_output_channels"] > 0 for device in devices)
    if not (inputs and outputs):
        return _no_sound("no device to record with" if outputs else "no sound device", REMEDY)
    detail = f"{inputs} to record with, {outputs} to play on"
    return Finding(
        group="hardware", name="sound device", state=State.OK, detail=detail, facts={"inputs": inputs, "outputs": outputs}
    )


def _no_sound(why: str, remedy: str) -> Finding:
    return Finding(
        group="hardware",
        name="sound device",
        state=State.UNAVAILABLE,
        detail=f"none ({why}): talk needs files or text",
        why=f"there is no microphone to talk through ({why})",
        remedy=remedy,
        facts={"inputs": 0, "outputs": 0},
    )


def disk(folder: Path) -> Finding:
    """Room in the models folder, which may not exist yet."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    writable = os.access(existing, os.W_OK)
    why, remedy = "", ""
    if not writable:
        why, remedy = f"{existing} cannot be written", "Give it the rights, or set MODELS_DIR to another folder"
    elif free < LITTLE_DISK:
        why, remedy = f"{megabytes(free)} are free in {folder}", "Free some space there, or set MODELS_DIR to a larger disk"
    return Finding(
        group="hardware",
        name="disk",
        state=State.NOT_THE_BEST if why else State.OK,
        detail=f"{megabytes(free)} free in {folder}" + ("" if writable else ", which cannot be written"),
        why=why,
        remedy=remedy,
        facts={"folder": str(folder), "free_bytes": free, "writable": writable},
    )
