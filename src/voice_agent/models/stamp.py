"""The note that is kept beside a model's files: which hashes were checked, and when each file was last changed.

With it, a start needs only a look at sizes and times. Where the catalogue knows no hash, the note holds the one that the hub
advertised when the model was fetched, and later checks use that.
"""

import contextlib
import json
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from voice_agent.models.catalogue import Model, ModelFile

STAMP_NAME = ".fetched.json"


class StampedFile(BaseModel):
    model_config = ConfigDict(frozen=True)

    bytes: int
    mtime_ns: int
    sha256: str


class Stamp(BaseModel):
    model_config = ConfigDict(frozen=True)

    source: str
    files: dict[str, StampedFile]

    def is_current(self, folder: Path, model: Model) -> bool:
        """Whether every file is as it was when its hash was checked."""
        return all(self._covers(folder / file.name, file) for file in model.files)

    def _covers(self, path: Path, file: ModelFile) -> bool:
        known = self.files.get(file.name)
        if known is None or file.sha256 not in (None, known.sha256):
            return False
        try:
            found = path.stat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (known.bytes, known.mtime_ns)

    def sha256(self, name: str) -> str | None:
        known = self.files.get(name)
        return known.sha256 if known else None


def read_stamp(folder: Path) -> Stamp | None:
    """None when there is none, or none that can be understood: the files are then checked anew."""
    try:
        return Stamp.model_validate(json.loads((folder / STAMP_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None


def write_stamp(folder: Path, hashes: dict[str, str], source: str) -> None:
    """Raises OSError. `hashes` maps each file's name to the sha256 that it was found to have."""
    files = {name: _stamped(folder / name, sha256) for name, sha256 in hashes.items()}
    _replace(folder, Stamp(source=source, files=files))


def try_write_stamp(folder: Path, hashes: dict[str, str], source: str) -> None:
    """For a folder that may be read-only: without the note, the hashes are computed again at the next start."""
    with contextlib.suppress(OSError):
        write_stamp(folder, hashes, source)


def distrust(folder: Path, stamp: Stamp, names: set[str]) -> None:
    """Notes that these files are not what they were, although their size and time are: the next fetch checks them anew."""
    files = {name: file.model_copy(update={"mtime_ns": 0}) if name in names else file for name, file in stamp.files.items()}
    with contextlib.suppress(OSError):
        _replace(folder, Stamp(source=stamp.source, files=files))


def _replace(folder: Path, stamp: Stamp) -> None:
    part = folder / f"{STAMP_NAME}.part"
    part.write_text(stamp.model_dump_json(indent=1), encoding="utf-8")
    os.replace(part, folder / STAMP_NAME)


def _stamped(path: Path, sha256: str) -> StampedFile:
    found = path.stat()
    return StampedFile(bytes=found.st_size, mtime_ns=found.st_mtime_ns, sha256=sha256)
