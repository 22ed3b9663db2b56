"""A file that is being written: hashed as it grows, and able to go on where an earlier attempt stopped."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from voice_agent.models.disk import BLOCK_BYTES, size_of

Algorithm: TypeAlias = Literal["sha256", "git-sha1"]


@dataclass(frozen=True, slots=True)
class Digest:
    """A hash that a file must have. "git-sha1" is git's own, over a header with the size: hubs give it for small files."""

    algorithm: Algorithm
    hex: str

    @classmethod
    def parse(cls, text: str) -> "Digest | None":
        """From a hub's entity tag: 64 hexadecimal digits are a sha256, 40 git's sha1, anything else says nothing."""
        value = text.strip().strip('"').lower()
        if set(value) - set("0123456789abcdef"):
            return None
        if len(value) == 64:
            return cls("sha256", value)
        return cls("git-sha1", value) if len(value) == 40 else None


@dataclass(frozen=True, slots=True)
class Validator:
    """What identifies the content that a half file is half of: the hub's own hash, and the storage's entity tag."""

    advertised: str = ""
    etag: str = ""


class PartFile:
    """Blocking: every method belongs in a thread. `total` is the whole file's size, which git's hash begins with."""

    def __init__(self, path: Path, *, total: int, resume: bool) -> None:
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(b"blob %d\0" % total, usedforsecurity=False)
        self.size = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        if resume:
            with path.open("rb") as earlier:
                while block := earlier.read(BLOCK_BYTES):
                    self._count(block)
        # Unbuffered, so that a full disk is known at the write and not at the close.
        self._file = path.open("ab" if resume else "wb", buffering=0)

    def write(self, block: bytes) -> None:
        view = memoryview(block)
        while view:
            view = view[self._file.write(view) :]
        self._count(block)

    def close(self) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def matches(self, digest: Digest) -> bool:
        return digest.hex == (self._sha256 if digest.algorithm == "sha256" else self._git).hexdigest()

    def _count(self, block: bytes) -> None:
        self._sha256.update(block)
        self._git.update(block)
        self.size += len(block)


def half_of(part: Path) -> tuple[int, Validator]:
    """How much of the file an earlier attempt left, and what that was half of. (0, …) when there is nothing to go on from."""
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        validator = Validator(str(note["advertised"]), str(note["etag"]))
    except (OSError, ValueError, KeyError, TypeError):
        return 0, Validator()
    return size_of(part) or 0, validator


def note_validator(part: Path, validator: Validator) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    _note(part).write_text(json.dumps({"advertised": validator.advertised, "etag": validator.etag}), encoding="utf-8")


def discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
