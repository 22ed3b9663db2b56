"""Fetching from a hub: a real HTTP server on this machine, which misbehaves."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
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
    path_of,
)
from voice_agent.errors import ModelError
from voice_agent.models import Catalogue, FetchProgress, ModelState, ModelStore


@pytest.fixture
async def hub() -> AsyncIterator[HubServer]:
    async with HubServer(files=hub_files()).running() as server:
        yield server


def store_at(hub: HubServer, root: Path, *, catalogue: Catalogue | None = None, token: str | None = None) -> ModelStore:
    return ModelStore(root, hub_url=hub.url, hub_token=token, catalogue=catalogue or hub_catalogue(), retry_pause_s=0.0)


async def refused(store: ModelStore) -> ModelError:
    """The error of a fetch that must fail and install nothing."""
    with pytest.raises(ModelError) as caught:
        await store.fetch("tiny")
    assert not list(store.folder("tiny").glob("*"))
    return caught.value


async def state_of(store: ModelStore) -> ModelState:
    return await asyncio.to_thread(store.state, "tiny")


def git_etag(content: bytes) -> str:
    whole = b"blob %d\0" % len(content) + content
    return f'"{hashlib.sha1(whole).hexdigest()}"'


def half(store: ModelStore) -> Path:
    return store.root / ".fetching" / "tiny" / "model.bin.part"


async def test_fetches_checks_and_installs(hub: HubServer, tmp_path: Path) -> None:
    store = store_at(hub, tmp_path)
    told: list[FetchProgress] = []
    folder = await store.fetch("tiny", told.append)
    assert folder == tmp_path / "tiny"
    assert (folder / "model.bin").read_bytes() == WEIGHTS
    assert (folder / "config.json").read_bytes() == CONFIG
    assert await state_of(store) is ModelState.PRESENT
    assert not (tmp_path / ".fetching" / "tiny").exists()
    assert [progress.phase for progress in told][-2:] == ["checking", "done"]
    done = [progress.bytes_done for progress in told if progress.phase == "downloading"]
    assert done == sorted(done)
    assert done[-1] == told[0].bytes_total == len(WEIGHTS) + len(CONFIG)


async def test_what_is_there_is_not_asked_for_again(hub: HubServer, tmp_path: Path) -> None:
    await store_at(hub, tmp_path).fetch("tiny")
    asked = len(hub.requests)
    await store_at(hub, tmp_path).fetch("tiny")
    assert len(hub.requests) == asked


async def test_broken_connection_goes_on_where_it_broke(hub: HubServer, tmp_path: Path) -> None:
    hub.cut_after = [100_000, 50_000]
    store = store_at(hub, tmp_path)
    await store.fetch("tiny")
    assert hub.ranges()[:3] == ["", "bytes=100000-", "bytes=150000-"]
    assert hub.requests[1].headers["if-range"] == hub.etag(WEIGHTS)
    assert (store.folder("tiny") / "model.bin").read_bytes() == WEIGHTS


async def test_connection_that_keeps_breaking_is_given_up_and_the_half_stays(hub: HubServer, tmp_path: Path) -> None:
    hub.cut_after = [1000] * 4
    store = store_at(hub, tmp_path)
    error = await refused(store)
    assert error.code == "model.interrupted"
    assert error.retryable
    assert half(store).stat().st_size == 4000
    assert await state_of(store) is ModelState.PARTIAL
    await store_at(hub, tmp_path).fetch("tiny")  # as another process would later
    assert hub.ranges()[4] == "bytes=4000-"
    assert await state_of(store) is ModelState.PRESENT


@pytest.mark.parametrize("pinned", [True, False])
async def test_file_that_is_whole_already_is_kept_when_another_failed(pinned: bool, hub: HubServer, tmp_path: Path) -> None:
    config = hub.files.pop(path_of("config.json"))
    store = store_at(hub, tmp_path, catalogue=hub_catalogue(pinned=pinned))
    await refused(store)
    hub.files[path_of("config.json")] = config
    await store.fetch("tiny")
    assert [request.path for request in hub.requests] == [path_of(f) for f in ("model.bin", "config.json", "config.json")]


async def test_server_that_ignores_ranges_is_read_from_the_beginning(hub: HubServer, tmp_path: Path) -> None:
    hub.cut_after = [100_000]
    hub.ignore_range = True
    store = store_at(hub, tmp_path)
    await store.fetch("tiny")
    assert (store.folder("tiny") / "model.bin").read_bytes() == WEIGHTS


async def test_entity_tag_that_changed_starts_over(hub: HubServer, tmp_path: Path) -> None:
    hub.cut_after = [1000] * 4
    store = store_at(hub, tmp_path)
    await refused(store)
    hub.etag = lambda content: f'"other-{len(content)}"'
    await store.fetch("tiny")
    assert hub.requests[4].headers["if-range"] != hub.etag(WEIGHTS)
    assert (store.folder("tiny") / "model.bin").read_bytes() == WEIGHTS


async def test_other_content_behind_a_weak_tag_starts_over(hub: HubServer, tmp_path: Path) -> None:
    hub.etag = lambda content: 'W/"weak"'
    hub.cut_after = [1000] * 4
    store = store_at(hub, tmp_path, catalogue=hub_catalogue(pinned=False))
    await refused(store)
    half(store).with_name("model.bin.part.json").write_text('{"advertised": "\\"' + "0" * 64 + '\\"", "etag": ""}')
    await store.fetch("tiny")
    assert hub.ranges()[4:6] == ["bytes=4000-", ""]


async def test_half_file_that_was_damaged_on_disk_is_fetched_anew(hub: HubServer, tmp_path: Path) -> None:
    hub.cut_after = [1000] * 4
    store = store_at(hub, tmp_path)
    await refused(store)
    half(store).write_bytes(b"x" * 4000)
    await store.fetch("tiny")
    assert hub.ranges()[4:6] == ["bytes=4000-", ""]
    assert (store.folder("tiny") / "model.bin").read_bytes() == WEIGHTS


async def test_half_file_that_is_longer_than_the_file_is_fetched_anew(hub: HubServer, tmp_path: Path) -> None:
    hub.cut_after = [1000] * 4
    store = store_at(hub, tmp_path)
    await refused(store)
    half(store).write_bytes(WEIGHTS + b"more")
    await store.fetch("tiny")
    assert hub.ranges()[4] == ""


async def test_range_that_cannot_be_given_starts_over(hub: HubServer, tmp_path: Path) -> None:
    hub.cut_after = [1000] * 4
    store = store_at(hub, tmp_path)
    await refused(store)
    hub.statuses = [416]
    await store.fetch("tiny")
    assert hub.ranges()[4:6] == ["bytes=4000-", ""]


async def test_wrong_hash_is_refused_and_nothing_stays(hub: HubServer, tmp_path: Path) -> None:
    hub.files[path_of("model.bin")] = WEIGHTS[:-1] + b"!"
    store = store_at(hub, tmp_path)
    error = await refused(store)
    assert error.code == "model.hash_mismatch"
    assert "model.bin" in error.what
    assert await state_of(store) is ModelState.MISSING


@pytest.mark.parametrize("content", [WEIGHTS + b"more", WEIGHTS[:-1]], ids=["larger", "smaller"])
async def test_wrong_size_is_refused_before_it_is_read(content: bytes, hub: HubServer, tmp_path: Path) -> None:
    hub.files[path_of("model.bin")] = content
    error = await refused(store_at(hub, tmp_path))
    assert error.code == "model.hash_mismatch"
    assert str(len(content)) in error.what


async def test_passing_failures_of_the_hub_are_waited_out(hub: HubServer, tmp_path: Path) -> None:
    hub.statuses = [503, 429, 500]
    hub.extra_headers = {"Retry-After": "0"}
    store = store_at(hub, tmp_path)
    await store.fetch("tiny")
    assert await state_of(store) is ModelState.PRESENT


async def test_hub_that_stays_broken_is_given_up(hub: HubServer, tmp_path: Path) -> None:
    hub.statuses = [503] * 10
    error = await refused(store_at(hub, tmp_path))
    assert error.retryable
    assert "503" in error.why


@pytest.mark.parametrize("status", [401, 403])
async def test_refusal_without_a_token_says_how_to_set_one(status: int, hub: HubServer, tmp_path: Path) -> None:
    hub.statuses = [status]
    error = await refused(store_at(hub, tmp_path))
    assert error.code == "model.forbidden"
    assert "set HF_TOKEN" in error.remedy


async def test_refused_token_is_sent_but_never_shown(hub: HubServer, tmp_path: Path) -> None:
    hub.statuses = [401]
    store = store_at(hub, tmp_path, token="hf_secret")
    error = await refused(store)
    assert hub.requests[0].headers["authorization"] == "Bearer hf_secret"
    assert "Check the token" in error.remedy
    assert "hf_secret" not in f"{error} {error!r} {vars(store)}"


async def test_token_stays_with_the_hub_when_it_redirects(hub: HubServer, tmp_path: Path) -> None:
    async with HubServer(files=hub_files(), linked_etag=None).running() as storage:
        hub.storage_url = storage.url
        storage.cut_after = [1000]
        store = store_at(hub, tmp_path, token="hf_secret", catalogue=hub_catalogue(pinned=False))
        await store.fetch("tiny")
    assert all("authorization" in request.headers for request in hub.requests)
    assert not any("authorization" in request.headers for request in storage.requests)
    assert storage.ranges()[:2] == ["", "bytes=1000-"]


async def test_hash_is_taken_from_the_answer_that_advertises_it(hub: HubServer, tmp_path: Path) -> None:
    """A repository that was renamed redirects once more, without a hash."""
    storage, renamed = HubServer(files=hub_files(), linked_etag=None), HubServer(files=hub_files())
    async with storage.running(), renamed.running():
        renamed.storage_url = storage.url
        hub.storage_url, hub.linked_etag = renamed.url, None
        await store_at(hub, tmp_path, catalogue=hub_catalogue(pinned=False)).fetch("tiny")


@pytest.mark.parametrize("token", ["two\nlines", "ключ"])
async def test_impossible_token_is_refused_unseen(token: str, hub: HubServer, tmp_path: Path) -> None:
    error = await refused(store_at(hub, tmp_path, token=token))
    assert error.code == "model.forbidden"
    assert token not in str(error)


async def test_missing_file_is_said(hub: HubServer, tmp_path: Path) -> None:
    del hub.files[path_of("model.bin")]
    error = await refused(store_at(hub, tmp_path))
    assert error.code == "model.not_found"
    assert not error.retryable


async def test_second_source_serves_when_the_first_does_not(hub: HubServer, tmp_path: Path) -> None:
    other = {**hub_source("config.json"), "hub": "nobody/nothing"}
    catalogue = catalogue_of(model_entry("tiny", [file_entry("config.json", CONFIG)], [other, hub_source("config.json")]))
    store = store_at(hub, tmp_path, catalogue=catalogue)
    await store.fetch("tiny")
    assert await state_of(store) is ModelState.PRESENT


async def test_all_sources_failed_names_each(hub: HubServer, tmp_path: Path) -> None:
    other = {**hub_source("config.json"), "hub": "nobody/nothing"}
    catalogue = catalogue_of(model_entry("tiny", [file_entry("config.json", CONFIG)], [other, hub_source("config.json")]))
    hub.files.clear()
    error = await refused(store_at(hub, tmp_path, catalogue=catalogue))
    assert "nobody/nothing" in error.why
    assert "someone/tiny" in error.why
    assert error.code == "model.not_found"


async def test_unreachable_hub_names_the_other_ways(tmp_path: Path) -> None:
    async with HubServer().running() as gone:
        pass  # its port is free again, and nobody listens
    error = await refused(store_at(gone, tmp_path))
    assert error.code == "model.hub_unreachable"
    assert error.retryable
    assert "MODELS_HUB_URL" in error.remedy
    assert str(tmp_path / "tiny") in error.remedy


async def test_a_hub_that_never_answers_is_not_waited_for_again_and_again(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice_agent.models.hub.TIMEOUT", httpx.Timeout(5.0, read=0.05))
    hub.silent = True
    store, told = store_at(hub, tmp_path), list[FetchProgress]()
    with pytest.raises(ModelError, match="it does not answer") as caught:
        await store.fetch("tiny", told.append)
    assert caught.value.code == "model.hub_unreachable"
    assert len(hub.requests) == 2
    assert [(progress.phase, progress.bytes_done) for progress in told] == [("downloading", 0)]  # somebody sees that it waits


@pytest.mark.parametrize("url", ["not an address", "ftp://127.0.0.1", "http://hub:port"])
async def test_impossible_address_is_refused(url: str, tmp_path: Path) -> None:
    error = await refused(ModelStore(tmp_path, hub_url=url, catalogue=hub_catalogue()))
    assert error.code == "model.hub_unreachable"


# ---------------------------------------------------------------- models whose hash the catalogue does not know


async def test_unpinned_file_must_have_the_hash_that_the_hub_advertises(hub: HubServer, tmp_path: Path) -> None:
    hub.linked_etag = lambda content: f'"{hashlib.sha256(b"other" + content).hexdigest()}"'
    error = await refused(store_at(hub, tmp_path, catalogue=hub_catalogue(pinned=False)))
    assert error.code == "model.hash_mismatch"


async def test_advertised_hash_is_kept_and_used_by_later_checks(hub: HubServer, tmp_path: Path) -> None:
    store = store_at(hub, tmp_path, catalogue=hub_catalogue(pinned=False))
    await store.fetch("tiny")
    assert (await store.verify("tiny")).state is ModelState.PRESENT
    (store.folder("tiny") / "model.bin").write_bytes(WEIGHTS[::-1])
    found = await store.verify("tiny")
    assert found.state is ModelState.DAMAGED
    assert found.problems == ("model.bin: wrong hash",)
    await store.fetch("tiny")
    assert (await store.verify("tiny")).problems == ()


async def test_gits_own_hash_serves_for_small_files(hub: HubServer, tmp_path: Path) -> None:
    hub.linked_etag = None
    hub.etag = git_etag
    store = store_at(hub, tmp_path, catalogue=hub_catalogue(pinned=False))
    await store.fetch("tiny")
    assert await state_of(store) is ModelState.PRESENT


async def test_hub_that_advertises_no_hash_is_refused(hub: HubServer, tmp_path: Path) -> None:
    hub.linked_etag = None
    hub.etag = lambda content: '"v1"'
    error = await refused(store_at(hub, tmp_path, catalogue=hub_catalogue(pinned=False)))
    assert error.code == "model.hash_unknown"


# ---------------------------------------------------------------- the disk


async def test_full_disk_is_one_clear_error_and_leaves_no_half(hub: HubServer, tmp_path: Path) -> None:
    store = store_at(hub, tmp_path)
    half(store).parent.mkdir(parents=True)
    half(store).symlink_to("/dev/full")  # every write there fails as on a full disk
    error = await refused(store)
    assert error.code == "model.disk_full"
    assert str(tmp_path) in error.why
    assert not half(store).is_symlink()


async def test_too_little_space_is_found_before_anything_is_fetched(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearly_full = shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000)  # what the real one returns
    monkeypatch.setattr(shutil, "disk_usage", lambda path: nearly_full)
    error = await refused(store_at(hub, tmp_path))
    assert error.code == "model.disk_full"
    assert "1000 bytes are free" in error.why
    assert hub.requests == []


# ---------------------------------------------------------------- several at once


async def test_two_fetches_at_once_download_once(hub: HubServer, tmp_path: Path) -> None:
    hub.gate = asyncio.Event()
    told: list[FetchProgress] = []
    waits = asyncio.Event()

    def second(progress: FetchProgress) -> None:
        told.append(progress)
        waits.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(store_at(hub, tmp_path).fetch("tiny"))
        await hub.half_sent.wait()
        group.create_task(store_at(hub, tmp_path).fetch("tiny", second))
        await waits.wait()
        hub.gate.set()
    assert [progress.phase for progress in told] == ["waiting", "done"]
    assert len(hub.requests) == 2  # one for each file


async def test_cancelled_fetch_keeps_its_half_and_frees_the_lock(hub: HubServer, tmp_path: Path) -> None:
    content = bytes(3 << 20)
    hub.files[path_of("model.bin")] = content
    hub.gate = asyncio.Event()
    catalogue = catalogue_of(model_entry("tiny", [file_entry("model.bin", content)], [hub_source("model.bin")]))
    store = store_at(hub, tmp_path, catalogue=catalogue)
    begun = asyncio.Event()
    fetching = asyncio.create_task(store.fetch("tiny", lambda progress: begun.set() if progress.bytes_done else None))
    await begun.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert await state_of(store) is ModelState.PARTIAL
    kept = half(store).stat().st_size
    hub.gate.set()
    await store.fetch("tiny")
    assert hub.ranges() == ["", f"bytes={kept}-"]
    assert (await store.verify("tiny")).problems == ()
