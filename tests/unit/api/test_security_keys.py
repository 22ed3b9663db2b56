import hashlib
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from voice_agent.api.keys import DAY_S, KeyStore
from voice_agent.errors import InputError, SettingsError


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> KeyStore:
    return KeyStore(tmp_path / "config" / "keys.json", clock=clock)


def test_only_the_hash_is_kept_and_only_for_the_user(store: KeyStore) -> None:
    key, text = store.create("laptop")
    assert text.startswith("va_")
    assert len(text) == 3 + 43
    content = store.path.read_text()
    assert text not in content
    assert text[3:] not in content
    assert hashlib.sha256(text.encode()).hexdigest() in content
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o600
    assert key.sha256 not in repr(key)


def test_list_and_revoke(store: KeyStore, clock: Clock) -> None:
    first, _ = store.create("one")
    second, _ = store.create("two", expires_days=1)
    assert [key.name for key in store.all()] == ["one", "two"]
    revoked = store.revoke(first.key_id)
    clock.now += 5
    assert store.revoke(first.key_id) == revoked
    assert [key.state(clock.now) for key in store.all()] == ["revoked", "active"]
    assert store.has_active()
    clock.now += DAY_S
    assert second.state(clock.now) == "expired"
    assert not store.has_active()
    with pytest.raises(InputError, match="keys list"):
        store.revoke("nobody")


@pytest.mark.parametrize("content", ["", "{", '{"keys": [{"key_id": "x"}]}', "\0\0", '{"keys": 7}'])
def test_a_damaged_file_is_told_and_left_alone(store: KeyStore, content: str) -> None:
    store.path.parent.mkdir()
    store.path.write_text(content)
    for use in (store.create, store.all, store.has_active):
        with pytest.raises(SettingsError, match=r"keys\.json"):
            use()
    assert store.path.read_text() == content


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be used"):
        KeyStore(tmp_path / "file" / "keys.json").create()


def test_many_at_once_lose_nothing(store: KeyStore) -> None:
    threads = [threading.Thread(target=lambda: [store.create() for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({key.key_id for key in store.all()}) == 20
    assert list(store.path.parent.glob("*.part")) == []


class TestFinding:
    @pytest.fixture
    def texts(self, store: KeyStore) -> list[str]:
        return [store.create(str(number), expires_days=number or None)[1] for number in range(3)]

    async def test_each_is_found_and_nothing_else(self, store: KeyStore, texts: list[str]) -> None:
        for number, text in enumerate(texts):
            found = await store.find(text)
            assert found is not None
            assert found.name == str(number)
        for wrong in ("", "va_", texts[0][:-1], texts[0] + "x", texts[0].upper(), "sk-" + texts[0], "va_" + "x" * 10_000):
            assert await store.find(wrong) is None

    async def test_an_expired_one_is_not(self, store: KeyStore, texts: list[str], clock: Clock) -> None:
        clock.now += DAY_S
        assert await store.find(texts[0]) is not None
        assert await store.find(texts[1]) is None
        assert await store.find(texts[2]) is not None

    async def test_changes_of_the_file_are_seen(self, store: KeyStore, texts: list[str], clock: Clock) -> None:
        other = KeyStore(store.path, clock=clock)  # as another process has it
        found = await store.find(texts[0])
        assert found is not None
        await _in_thread(lambda: other.revoke(found.key_id))
        clock.now += 1.0
        assert await store.find(texts[0]) is None
        made: list[str] = []
        await _in_thread(lambda: made.append(other.create()[1]))
        clock.now += 0.1  # within the second: a key that is not known is looked for at once
        assert await store.find(made[0]) is not None

    async def test_no_file_no_keys(self, store: KeyStore) -> None:
        assert await store.find("va_" + "x" * 43) is None

    async def test_a_damaged_file_is_our_fault_and_not_the_callers(self, store: KeyStore, texts: list[str]) -> None:
        await _in_thread(lambda: store.path.write_text(json.dumps({"keys": 1})))
        with pytest.raises(SettingsError):
            await store.find(texts[0])


async def _in_thread(work: object) -> None:
    import asyncio

    assert callable(work)
    await asyncio.to_thread(work)
