"""LiveKit's and pipecat's clients, as they are, against the running server; `make test-peers`.

Each needs an environment of its own (scripts/peers.sh), so the name of this file keeps it out of `make test`.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import microphone, script
from tests.conformance.microphone import speech
from tests.conformance.telling import measured
from tests.spoken import plain

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[2] / ".venv-peers"

RUN_S = 90.0

pytestmark = [pytest.mark.engine, pytest.mark.timeout(int(RUN_S) + 30), pytest.mark.parametrize("peer", ["livekit", "pipecat"])]


def talk(peer: str, url: str, scenario: str, folder: Path) -> Any:
    """The peer's own report of a talk."""
    clips = {"name": microphone.NAME, "second": microphone.SECOND, "lamp": microphone.LAMP}
    for name, clip in clips.items():
        (folder / name).write_bytes(speech(clip))
    task = {
        "url": url,
        "scenario": scenario,
        "clips": {name: str(folder / name) for name in clips},
        "tool": {"name": script.TOOL, "output": script.TOOL_OUTPUT},
    }
    python = ENVIRONMENTS / peer / "bin" / "python"
    assert python.is_file(), f"{python} is missing: scripts/peers.sh"
    command = [str(python), str(HERE / f"{peer}_talk.py"), json.dumps(task)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(next(line for line in reversed(ended.stdout.splitlines()) if line.startswith("{")))
    assert report["errors"] == []
    for what, seconds in report["measured_s"].items():
        measured(peer, what, seconds)
    return report


def test_voice_and_text(peer: str, embedded: str, tmp_path: Path) -> None:
    report = talk(peer, embedded, "voice", tmp_path)
    roles, texts = zip(*report["history"][-4:], strict=True)  # pipecat's begins with a greeting
    assert roles == ("user", "assistant", "user", "assistant")
    assert plain(texts[0]) == "my name is jennifer smith"
    assert texts[2] == "And what is your name?"
    assert all(texts)


def test_barge_in_and_tool(peer: str, scripted: str, tmp_path: Path) -> None:
    report = talk(peer, scripted, "tool", tmp_path)
    assert report["interruptions"] >= 1
    assert report["tool_runs"] == [script.TOOL_ARGUMENTS]
    script.check_history([tuple(turn) for turn in report["history"]], cuts=False)
    if peer == "livekit":  # pipecat does not tell
        assert 0 < report["truncated_ms"][0] < 5000
