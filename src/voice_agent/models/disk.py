"""The file system's side of fetching: threads for blocking work, free space, hashes, one owner at a time."""

import asyncio
import contextlib
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

from voice_agent.errors import ModelError

P = ParamSpec("P")
T = TypeVar("T")

BLOCK_BYTES = 1 << 20
"""One read or write. Large enough that a hop to a thread costs nothing beside it."""

SPARE_BYTES = 16 << 20
"""Left free beyond what is needed, so that a fetch never fills the disk to the last byte."""

LOCK_POLL_S = 0.2
"""How often a waiting process asks whether the other has finished; the kernel offers no asynchronous wait."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


async def in_thread(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs blocking work in a thread. When cancelled it still waits for the thread, which may hold a file open."""
    job = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait({job})
        if not job.cancelled():
            job.exception()  # nobody else will look at it
        raise


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(path: Path) -> int | None:
    """None when it is not a file or cannot be looked at."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def demand_space(folder: Path, needed: int, *, purpose: str) -> None:
    """Raises `ModelError` (code "model.disk_full") when `folder`'s disk has less than `needed` bytes free."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed + SPARE_BYTES:
        raise disk_full(
            f"fetch {purpose}", why=f"it needs {megabytes(needed + SPARE_BYTES)} in {folder}, {megabytes(free)} are free"
        )


def disk_full(deed: str, *, why: str) -> ModelError:
    return ModelError(
        f"There is not enough disk space to {deed}",
        why=why,
        remedy="Free some space there, or set MODELS_DIR to a folder on a larger disk",
        code="model.disk_full",
    )


@contextlib.contextmanager
def disk_errors(folder: Path, deed: str, needed: int) -> Iterator[None]:
    """Turns the file system's refusals into `ModelError`s that say where and how much."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(deed, why=f"it needs {megabytes(needed)} in {folder}, which is full") from error
        raise ModelError(
            f"The models folder {folder} cannot be used to {deed}",
            why=error.strerror or type(error).__name__,
            remedy="Give it the rights to be read and written, or set MODELS_DIR to a folder that has them",
            code="model.folder_unusable",
        ) from error


def megabytes(count: int) -> str:
    """Decimal, as disks and downloads are labelled."""
    if count >= 1_000_000_000:
        return f"{count / 1e9:.2f} GB"
    return f"{round(count / 1e6)} MB" if count >= 1_000_000 else f"{count} bytes"


@contextlib.asynccontextmanager
async def exclusive(path: Path, waiting: Callable[[], None]) -> AsyncIterator[None]:
    """Holds the lock file for one owner, of all processes and tasks. `waiting` is called once if another holds it.

    The kernel frees the lock when its owner dies, so a lock file left behind blocks nobody.
    """
    file = await in_thread(_open_lock, path)
    try:
        told = False
        while not _try_lock(file):
            if not told:
                waiting()
                told = True
            await asyncio.sleep(LOCK_POLL_S)
        yield
    finally:
        file.close()


def _open_lock(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def put_in_place(part: Path, target: Path) -> None:
    """Moves a finished file; whoever looks sees the old one or the new one, never half, also after a power failure."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, target)
