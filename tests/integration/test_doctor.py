"""`voice-agent doctor` as a person runs it: a process of its own, with the real embedded engines."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from voice_agent.settings.sources import NAMES

pytestmark = pytest.mark.engine

RUN = "from voice_agent.cli import main; main()"

HANGING_VAD = """
import threading
from voice_agent.cli.doctor import engines
from voice_agent.engines.vad import silero
silero.load = lambda: threading.Event().wait()
engines.PATIENCE = engines.Patience(load_s=6)
"""
"""Silero's load waits in its thread for ever, which nothing can end."""

SECRET = "gsk_never_to_be_seen"


def doctor(*words: str, cwd: Path, models: Path, before: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    """Outside nothing is asked: no fetch, and a hub that is not there."""
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    ours = {"MODELS_DIR": str(models), "MODELS_AUTO_FETCH": "off", "MODELS_HUB_URL": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, "-c", before + RUN, "doctor", *words],
        env=clean | ours | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def checks(told: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(check["group"], check["name"]): check for check in told["checks"]}


def test_a_conversation_is_possible_with_the_embedded_engines(models_root: Path, tmp_path: Path) -> None:
    done = doctor("--json", cwd=tmp_path, models=models_root)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["possible"] is True
    assert told["serving"].keys() == {"vad", "stt", "turn", "llm", "tts"}
    found = checks(told)
    vad, stt, llm, tts = (
        found[key]["facts"] for key in (("vad", "silero"), ("stt", "moonshine"), ("llm", "local"), ("tts", "espeak"))
    )
    assert vad["speech"] > 0.9
    assert vad["silence"] < 0.2
    assert (stt["words_understood"], stt["words_spoken"]) == (5, 5)
    assert stt["confidence"] > 0.7
    assert llm["demo"] is True
    assert llm["answer"]
    assert llm["tokens_per_s"] > 0.0
    assert tts["real_time_factor"] < 0.5
    assert 0.0 <= found["turn", "smart-turn"]["facts"]["probability"] <= 1.0
    assert found["stt", "moonshine"]["ms"] > 0.0
    assert found["llm", "groq"]["state"] == "unavailable"
    assert "GROQ_API_KEY" in found["llm", "groq"]["remedy"]
    assert found["network", "model hub"]["facts"]["reachable"] is False
    assert found["hardware", "processor"]["facts"]["cores"] >= 1


def test_the_table_tells_state_and_remedy(models_root: Path, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TTS_SPEED=1.1\n")
    done = doctor(cwd=tmp_path, models=models_root, SST_MODEL="x")
    assert done.returncode == 0, done.stderr
    assert "SST_MODEL in the environment is not a setting; STT_MODEL is." in done.stdout
    assert "1 from .env" in done.stdout
    assert "-> set GROQ_API_KEY in the environment or in .env" in done.stdout
    assert "A conversation is possible, with silero, " in done.stdout


def test_a_server_that_is_not_there(models_root: Path, tmp_path: Path) -> None:
    address = "http://me:password@127.0.0.1:9/v1"
    settings = {"LLM_ENGINES": "groq", "GROQ_API_KEY": SECRET, "GROQ_BASE_URL": address}
    done = doctor("--json", cwd=tmp_path, models=models_root, **settings)
    assert done.returncode == 1
    assert SECRET not in done.stdout + done.stderr
    assert "password" not in done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["possible"] is False
    (needed,) = told["needed"]
    assert needed["what"] == "llm groq"
    assert "cannot be reached at 127.0.0.1" in needed["why"]
    assert needed["remedy"] == "Check the network and GROQ_BASE_URL"
    assert checks(told)["stt", "moonshine"]["facts"]["words_understood"] == 5


def test_weights_that_are_missing(tmp_path: Path) -> None:
    done = doctor("--json", cwd=tmp_path, models=tmp_path / "empty", MODELS_OFFLINE="on")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    remedies = {needed["remedy"] for needed in told["needed"]}
    assert {"voice-agent models fetch moonshine-tiny-en", "voice-agent models fetch smollm2-135m"} <= remedies
    assert checks(told)["network", "model hub"]["remedy"] == "Set MODELS_OFFLINE=off"


def test_an_engine_that_hangs_does_not_keep_the_doctor(models_root: Path, tmp_path: Path) -> None:
    done = doctor("--json", cwd=tmp_path, models=models_root, before=HANGING_VAD)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    silero = checks(told)["vad", "silero"]
    assert silero["hung"] is True
    assert silero["why"] == "no answer within 6 s"
    assert checks(told)["tts", "espeak"]["state"] in ("ok", "not_the_best")
