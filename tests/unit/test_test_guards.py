"""The guards of conftest.py bite."""

import asyncio
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockingError

from voice_agent.engines.admission import Lane, Priority

pytest_plugins = ["pytester"]


async def test_blocking_the_loop_in_our_code_is_refused() -> None:
    code = compile("def nap(): time.sleep(0.001)", _path_of_ours(), "exec")
    ours: dict[str, Any] = {"time": time}
    exec(code, ours)
    with pytest.raises(BlockingError):
        ours["nap"]()


def _path_of_ours() -> str:
    import voice_agent

    return f"{voice_agent.__path__[0]}/made_up.py"


async def test_a_lane_may_be_used_on_the_loop() -> None:
    lane = Lane("guarded", workers=2)
    results = await asyncio.gather(
        *(lane.run(lambda _stop: threading.current_thread().name, priority=Priority.FINAL, session=str(n % 3)) for n in range(50))
    )
    assert {name.split("-")[0] for name in results} == {"guarded"}
    await lane.aclose()


def test_only_this_machine_can_be_reached() -> None:
    with socket.socket() as client, pytest.raises(Exception, match="only this machine"):
        client.connect(("192.0.2.1", 80))
    with pytest.raises(Exception, match="only this machine"):
        socket.getaddrinfo("example.org", 443)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


async def test_only_this_machine_can_be_reached_from_a_loop() -> None:
    with pytest.raises(Exception, match="only this machine"):
        await asyncio.open_connection("192.0.2.1", 80)


LEAKY = """
import asyncio, threading, pytest

never = threading.Event()
forgotten = []

def test_thread():
    threading.Thread(target=never.wait, name="moonshine-0", daemon=True).start()

async def test_task():
    forgotten.append(asyncio.create_task(asyncio.sleep(3600), name="forgotten"))
"""

NEEDS_WEIGHTS = """
import pytest

@pytest.mark.engine
def test_weights(models_root):
    raise AssertionError("not reached")
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A test folder with our conftest and no weights."""
    monkeypatch.setenv("MODELS_DIR", str(pytester.path / "no-weights"))
    monkeypatch.setenv("CI", "")
    pytester.makeconftest((Path(__file__).parents[1] / "conftest.py").read_text())
    pytester.makepyprojecttoml('[tool.pytest.ini_options]\nasyncio_mode = "auto"\nmarkers = ["engine"]\n')
    return pytester


def test_a_thread_or_a_task_left_behind_is_told(project: pytest.Pytester) -> None:
    project.makepyfile(LEAKY)
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=2, errors=2)
    text = result.stdout.str()
    assert "threads left running: ['moonshine-0']" in text
    assert "tasks left running: {<Task pending name='forgotten'" in text


def test_a_test_without_its_weights_is_skipped_with_the_remedy(project: pytest.Pytester) -> None:
    project.makepyfile(NEEDS_WEIGHTS)
    result = project.runpytest_subprocess("-rs")
    result.assert_outcomes(skipped=1)
    assert "voice-agent models fetch" in result.stdout.str()


def test_in_ci_it_fails(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    project.makepyfile(NEEDS_WEIGHTS)
    result = project.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    assert "voice-agent models fetch" in result.stdout.str()
