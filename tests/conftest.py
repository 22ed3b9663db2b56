"""What holds for every test: no network, no blocking of the loop, nothing left running, weights where a test needs them."""

import asyncio
import inspect
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from blockbuster import blockbuster_ctx

from voice_agent.models.catalogue import load_catalogue
from voice_agent.models.store import default_root

CI = os.environ.get("CI", "").lower() in {"1", "true"}

THREAD_GRACE_S = 2.0
"""An engine's `aclose()` has this long to end its threads (DESIGN.md)."""

hypothesis.settings.register_profile("here", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if CI else "here")


# ---------------------------------------------------------------- weights


@pytest.fixture(scope="session")
def models_root() -> Path:
    """The folder that holds one folder of weights per model."""
    return default_root()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`engine` tests need weights: those named by the marker, or all embedded ones. Without them: skipped here, failed in CI."""
    marker = item.get_closest_marker("engine")
    if marker is None:
        return
    wanted = marker.args or load_catalogue().embedded()
    missing = [name for name in wanted if not any((default_root() / name).glob("*"))]
    if missing:
        reason = f"weights of {', '.join(missing)} are missing: `voice-agent models fetch {' '.join(missing)}`"
        if CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


# ---------------------------------------------------------------- network


class NetworkUsed(Exception):
    """Not an OSError, so that no code takes it for a network that is merely down."""


def _check_local(address: Any) -> None:
    host = address[0] if isinstance(address, tuple) else "localhost"  # a path: a Unix socket
    if host not in {"", None, "127.0.0.1", "::1", "localhost", b"127.0.0.1", b"localhost"}:
        raise NetworkUsed(f"a test tried to reach {host!r}; only this machine may be reached")


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    real_connect, real_connect_ex, real_lookup = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def connect(self: socket.socket, address: Any) -> None:
        _check_local(address)
        real_connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        _check_local(address)
        return real_connect_ex(self, address)

    def lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        _check_local((host,))
        return real_lookup(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        patch.setattr(socket, "getaddrinfo", lookup)
        yield


# ---------------------------------------------------------------- blocking and leaks


@pytest.fixture(autouse=True, scope="session")
def _no_blocking() -> Iterator[None]:
    """A blocking call of voice_agent's code on a running loop raises `BlockingError`."""
    with blockbuster_ctx("voice_agent") as blocking:
        for method in ("acquire", "acquire_lock"):
            # A lane's lock is held for microseconds, never during a job.
            blocking.functions[f"threading.Lock.{method}"].can_block_in(
                "voice_agent/engines/admission.py", {"_admit", "_withdraw", "waiting", "forget", "aclose"}
            )
        yield


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """A test ends the threads that it started. Those of fixtures with a wider scope were there before; those of the loop's own
    executor are joined when the loop closes, which is later."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREAD_GRACE_S
    started = [thread for thread in threading.enumerate() if thread not in before and not thread.name.startswith("asyncio_")]
    for thread in started:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [thread.name for thread in started if thread.is_alive()]
    assert not left, f"threads left running: {left}"


@pytest.fixture
async def _no_task_left() -> AsyncIterator[None]:
    """A test ends the tasks that it started. For every async test, see below."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"tasks left running: {left}"


ONE_AT_A_TIME = ("integration", "conformance")
"""Folders whose tests run real servers and talks in real time: with `-n 2` they share one worker, the others take the second."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name in ONE_AT_A_TIME:
            item.add_marker(pytest.mark.xdist_group("the machine"))
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.fixturenames.insert(0, "_no_task_left")  # first, so that it looks when the other fixtures are done
