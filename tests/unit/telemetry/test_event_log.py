"""The log of JSON lines: what is in the file, and that a disk in trouble troubles nobody else."""

import asyncio
import json
import logging
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from voice_agent.telemetry import event_log
from voice_agent.telemetry.event_log import EventLog, Line


class Numbers:
    """Encodes numbers; holds odd ones back until the next one."""

    def __init__(self) -> None:
        self.held: list[int] = []
        self.threads: set[str] = set()

    def begin(self) -> Iterable[Line]:
        return [{"header": True}]

    def push(self, item: int) -> Iterable[Line]:
        self.threads.add(threading.current_thread().name)
        self.held.append(item)
        return [] if item % 2 else self.finish()

    def finish(self) -> Iterator[Line]:
        while self.held:
            yield {"number": self.held.pop(0)}


def open_as(monkeypatch: pytest.MonkeyPatch, descriptor: int) -> None:
    """The log's file is this one."""
    monkeypatch.setattr(os, "open", lambda *_: descriptor)


def lines_of(log: EventLog[int]) -> list[Line]:
    assert log.path is not None
    return [json.loads(line) for line in log.path.read_text().splitlines()]


async def test_items_become_lines_in_order(tmp_path: Path) -> None:
    encoder = Numbers()
    log = EventLog(tmp_path / "new" / "folder", "one", encoder)
    for number in range(1, 6):
        log.append(number)
    await log.aclose()
    assert lines_of(log) == [{"header": True}, *({"number": number} for number in range(1, 6))]
    assert encoder.threads == {"event-log-one"}, "nothing is encoded on the loop's thread"


async def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "logs", "one", Numbers())
    await log.aclose()
    assert log.path == tmp_path / "logs" / "one.jsonl"
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700


async def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text("old")
    log = EventLog(tmp_path, "one", Numbers())
    await log.aclose()
    assert log.path == tmp_path / "one-2.jsonl"
    assert (tmp_path / "one.jsonl").read_text() == "old"


@pytest.mark.parametrize(("name", "file"), [("../../etc/x", "_etc_x"), ("a b/ü", "a_b_"), ("", "session"), ("x" * 500, "x" * 100)])
async def test_a_name_stays_in_the_folder(tmp_path: Path, name: str, file: str) -> None:
    log = EventLog(tmp_path, name, Numbers())
    await log.aclose()
    assert log.path == tmp_path / f"{file}.jsonl"


async def test_lines_are_written_while_the_log_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "FLUSH_S", 0.001)
    reading, writing = os.pipe()
    open_as(monkeypatch, writing)
    log = EventLog(tmp_path, "one", Numbers())
    log.append(2)
    with os.fdopen(reading) as file:  # a pipe, so that reading waits for what is written
        lines = [await asyncio.to_thread(file.readline) for _ in range(2)]
        assert list(map(json.loads, lines)) == [{"header": True}, {"number": 2}]
        await log.aclose()


async def test_what_comes_after_the_end_is_dropped(tmp_path: Path) -> None:
    log = EventLog(tmp_path, "one", Numbers())
    await log.aclose()
    log.append(2)
    await log.aclose()
    assert lines_of(log) == [{"header": True}]


class TestTrouble:
    """One warning that says what to do; the log's user sees nothing of it."""

    def told(self, caplog: pytest.LogCaptureFixture) -> str:
        [record] = caplog.records
        assert record.levelno == logging.WARNING
        return record.getMessage()

    async def test_no_folder(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "file").write_text("")
        log = EventLog(tmp_path / "file" / "logs", "one", Numbers())
        for number in range(5):
            log.append(number)
        await log.aclose()
        assert log.path is None
        assert "recording has stopped (Not a directory), the conversation goes on. Set LOG_EVENTS_DIR" in self.told(caplog)

    async def test_disk_full(self, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
        # The kernel's own full disk: opening works, every flush fails with ENOSPC.
        full = os.open("/dev/full", os.O_WRONLY)
        open_as(monkeypatch, full)
        log = EventLog(tmp_path, "one", Numbers())
        log.append(2)
        await log.aclose()
        assert "(No space left on device), the conversation goes on. Free some disk space" in self.told(caplog)

    async def test_a_disk_that_does_not_keep_up(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(event_log, "WAITING_LIMIT", 3)
        monkeypatch.setattr(event_log, "FLUSH_S", 3600.0)
        log = EventLog(tmp_path, "one", Numbers())
        for number in range(10):
            log.append(number)
        await log.aclose()
        assert "the disk does not keep up" in self.told(caplog)
        assert lines_of(log) == [{"header": True}]

    async def test_a_disk_that_hangs_does_not_hang_the_end(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(event_log, "CLOSE_TIMEOUT_S", 0.05)
        encoder, answers = Numbers(), threading.Event()
        monkeypatch.setattr(encoder, "begin", lambda: [{"header": answers.wait()}])
        log = EventLog(tmp_path, "one", encoder)
        await log.aclose()
        assert "the disk does not answer" in self.told(caplog)
        answers.set()
