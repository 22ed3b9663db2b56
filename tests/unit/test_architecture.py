"""The borders of the architecture hold: who imports whom, how long a file is, what a lock file may name."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

LINES_OF_A_SOURCE = 500
"""Past this a file is usually two ideas."""

LINES_OF_A_TEST = 800


def test_the_layers_hold() -> None:
    done = subprocess.run([Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_is_too_long() -> None:
    budgets = [(path, LINES_OF_A_SOURCE) for path in SOURCES] + [(path, LINES_OF_A_TEST) for path in TESTS]
    long = [f"{path.relative_to(ROOT)}: {lines}" for path, budget in budgets if (lines := _lines(path)) > budget]
    assert not long


def _lines(path: Path) -> int:
    return path.read_text().count("\n")


def test_no_file_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    assert [path.name for path in SOURCES if path.stem in empty] == []


@pytest.mark.parametrize("name", ["run.txt", "dev.txt", "uv.txt"])
def test_the_locks_have_hashes_and_name_no_index(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    assert "://" not in text
    pinned = re.findall(r"^[a-z][\w.-]*==\S+", text, re.MULTILINE)
    assert pinned
    assert len(re.findall(r"^[a-z][\w.-]*==[^\n]*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(pinned)


def test_the_run_lock_holds_every_dependency_and_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = set(re.findall(r"^([a-z][\w.-]*)==", (ROOT / "requirements/run.txt").read_text(), re.MULTILINE))
    wanted = {re.split(r"[^\w.-]", dependency)[0] for dependency in project["dependencies"]}
    assert wanted <= locked
    assert "torch" not in locked


def test_the_samples_are_accounted_for() -> None:
    told = (ROOT / "samples/README.md").read_text() + (ROOT / "NOTICE").read_text()
    for sample in (ROOT / "samples").glob("*.wav"):
        assert f"`{sample.name}`" in told
        assert f"samples/{sample.name}" in told
