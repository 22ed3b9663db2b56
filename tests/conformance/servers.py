"""Servers as a user runs them, in processes of their own."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from voice_agent.models.store import default_root
from voice_agent.settings.sources import PREFIXES

ROOT = Path(__file__).parents[2]

START_S = 40.0
STOP_S = 10.0
POLL_S = 0.05

EMBEDDED = {"STT_ENGINES": "moonshine", "TTS_ENGINES": "espeak", "TURN_ENGINES": "smart-turn"}
"""The engines that are there on every machine, so that a test hears the same everywhere."""


@contextlib.contextmanager
def agent(folder: Path, **settings: str) -> Iterator[str]:
    """`voice-agent serve` with these settings and no others; yields its address ("http://127.0.0.1:…") once it is ready.

    It must end with code 0 and without an error in its log.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
    own = {"MODELS_DIR": str(default_root()), "MODELS_OFFLINE": "true", "SERVER_DRAIN_S": "0", "LOG_LEVEL": "info", **EMBEDDED}
    command = [str(Path(sys.executable).with_name("voice-agent")), "serve", "--port", "0"]
    with _process(command, folder, environment={**kept, **own, **settings}) as url:
        _wait_until_ready(url)
        yield url


@contextlib.contextmanager
def scripted_llm(folder: Path) -> Iterator[str]:
    """The language model of script.py; yields its address."""
    with _process([sys.executable, "-m", "tests.conformance.script"], folder, environment=dict(os.environ)) as url:
        yield url


@contextlib.contextmanager
def _process(command: list[str], folder: Path, *, environment: dict[str, str]) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / "output.txt"
    paths = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]  # for tests.conformance.script
    environment = {**environment, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200"}
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield _address(process, output)
    finally:
        process.terminate()
        try:
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    log = output.read_text()
    assert "Traceback" not in log, log
    assert code in (0, -15), f"it ended with {code}: {log}"


def _address(process: "subprocess.Popen[bytes]", output: Path) -> str:
    """From the line that tells it."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if found := re.search(r"Listening on (http\S+)", output.read_text()):
            return found[1]
        assert process.poll() is None, f"it ended at once: {output.read_text()}"
        time.sleep(POLL_S)
    raise AssertionError(f"it has not started within {START_S} s: {output.read_text()}")


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/ready").status_code == 200:
                return
        time.sleep(POLL_S)
    raise AssertionError(f"no session can begin within {START_S} s")
