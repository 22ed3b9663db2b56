"""Keys for programs that use the server from elsewhere: made and revoked by commands, checked at every request.

A key is "va_" and 32 random bytes. It is shown once; kept is its SHA-256, which is enough: a slow hash protects secrets that
people choose, and these cannot be guessed. The file belongs to the user alone (0600) and is replaced as a whole.
"""

import asyncio
import contextlib
import hashlib
import hmac
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_agent.errors import InputError, SettingsError

PREFIX = "va_"
KEY_BYTES = 32
DAY_S = 86_400

LOOK_AGAIN_S = 1.0
"""A revoked key is refused at the latest this long after it was revoked."""

MAX_KEY = 200
"""Characters of what is taken for a key at all."""

KeyState: TypeAlias = Literal["active", "expired", "revoked"]


class Key(BaseModel):
    """What is kept of a key. Times are Unix times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    key_id: str = Field(min_length=1, max_length=64)
    name: str = Field(default="", max_length=200)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    created: int
    expires: int | None = None
    revoked: int | None = None

    def state(self, now: float) -> KeyState:
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    keys: list[Key] = Field(default_factory=list)


def default_keys_file() -> Path:
    return Path(platformdirs.user_config_dir("voice-agent")) / "keys.json"


class KeyStore:
    """The keys in `path`; a file that is not there holds none. `clock` gives the Unix time.

    `create`, `revoke`, `all` and `has_active` read and write the file where they are called, for commands; `find` is for the
    server's loop and reads in a thread, and only when the file has changed.
    """

    def __init__(self, path: Path | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.path = path if path is not None else default_keys_file()
        self._clock = clock
        self._keys: list[Key] = []
        self._seen: tuple[int, ...] | None = None
        self._looked_at: float | None = None

    def create(self, name: str = "", *, expires_days: int | None = None) -> tuple[Key, str]:
        """A new key and its text, which is nowhere afterwards. Raises `SettingsError` when the file cannot be used."""
        text = PREFIX + secrets.token_urlsafe(KEY_BYTES)
        now = int(self._clock())
        key = Key(
            key_id=secrets.token_hex(4),
            name=name,
            sha256=_digest(text),
            created=now,
            expires=now + expires_days * DAY_S if expires_days is not None else None,
        )
        with self._changing() as file:
            file.keys.append(key)
        return key, text

    def revoke(self, key_id: str) -> Key:
        """Raises `InputError` for an id that no key has. Revoking twice keeps the first time."""
        with self._changing() as file:
            for index, key in enumerate(file.keys):
                if key.key_id == key_id:
                    revoked = key if key.revoked is not None else key.model_copy(update={"revoked": int(self._clock())})
                    file.keys[index] = revoked
                    return revoked
        raise InputError(f"There is no key {key_id!r}", remedy="`voice-agent keys list` shows them", code="access.unknown_key")

    def all(self) -> list[Key]:
        """Oldest first."""
        return self._read().keys

    def has_active(self) -> bool:
        now = self._clock()
        return any(key.state(now) == "active" for key in self.all())

    async def find(self, text: str) -> Key | None:
        """The active key that `text` is, None if it is none. A key that was made just now is found."""
        if not text.startswith(PREFIX) or len(text) > MAX_KEY:
            return None
        digest = _digest(text)
        now = self._clock()
        if self._looked_at is None or not 0 <= now - self._looked_at < LOOK_AGAIN_S:
            await self._look(now)
        found = self._match(digest)
        if found is None and self._looked_at != now:
            await self._look(now)
            found = self._match(digest)
        return found if found is not None and found.state(now) == "active" else None

    def _match(self, digest: str) -> Key | None:
        """Compares with every key, so that the time tells nothing."""
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    async def _look(self, now: float) -> None:
        self._looked_at = now
        await asyncio.to_thread(self._reload)

    def _reload(self) -> None:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            self._keys, self._seen = [], None
            return
        seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if seen != self._seen:
            self._keys, self._seen = self._read().keys, seen

    # ------------------------------------------------------------ the file

    def _read(self) -> _File:
        try:
            return _File.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return _File()
        except OSError as error:
            raise self._unusable(error.strerror or "it cannot be read") from error
        except ValidationError as error:
            raise self._unusable("it is damaged") from error

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_File]:
        """The file's content, written back when the block ends well; other processes wait."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _locked(self.path.with_suffix(".lock")):
                file = self._read()
                yield file
                self._write(file)
        except OSError as error:
            raise self._unusable(error.strerror or "it cannot be written") from error

    def _write(self, file: _File) -> None:
        part = self.path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.chmod(part, 0o600)  # a part file that was left behind may have other rights
            stream.write(file.model_dump_json(indent=1))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, self.path)

    def _unusable(self, why: str) -> SettingsError:
        return SettingsError(
            f"The keys in {self.path} cannot be used", why=why, remedy="Mend or remove that file", code="access.keys_unusable"
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if sys.platform == "win32":
    import msvcrt

    @contextlib.contextmanager
    def _locked(path: Path) -> Iterator[None]:
        with path.open("ab") as file:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            yield

else:
    import fcntl

    @contextlib.contextmanager
    def _locked(path: Path) -> Iterator[None]:
        """Until the block ends; the kernel frees it if the process dies."""
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
