"""`voice-agent talk` as its user sees it: the real command, the embedded engines, human speech."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

SAMPLES = Path(__file__).parents[2] / "samples"
NAME, VOICE_AI = SAMPLES / "name.wav", SAMPLES / "voice-ai.wav"

STAGES = ["vad", "stt", "llm", "clause", "tts", "hold", "playout"]

engine = pytest.mark.engine


def talk(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from voice_agent.cli import main; main()", "talk", *map(str, words)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GROQ_", "OPENAI_", "STT_", "TTS_", "LLM_"))}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=clean | environment)


def turns(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@engine
def test_a_spoken_turn_is_reported_with_its_waterfall() -> None:
    (turn,) = turns(talk("--input", NAME, "--json"))

    assert turn["turn"] == 1
    assert "name is" in turn["user_text"]
    assert 0.5 < turn["confidence"] <= 1.0
    assert turn["language"] == "en"
    assert turn["reply_text"].startswith(turn["heard_text"])
    assert turn["heard_text"]
    assert not turn["interrupted"]
    assert turn["engines"]["stt"] == "moonshine (moonshine-tiny-en)"
    assert list(turn["waterfall_ms"]) == STAGES
    assert sum(turn["waterfall_ms"].values()) == pytest.approx(turn["voice_to_voice_ms"], abs=1.0)
    assert turn["speculation"]["hit"]


@engine
def test_a_barge_in_cuts_the_reply_at_a_word_and_is_answered(tmp_path: Path) -> None:
    recording = tmp_path / "talk.wav"
    first, second = turns(talk("--input", NAME, "--input", VOICE_AI, "--barge-in-after", "0.6", "--output", recording, "--json"))

    assert first["interrupted"]
    assert first["reply_text"].startswith(first["heard_text"])
    assert first["heard_text"] != first["reply_text"]
    assert "voice" in second["user_text"].lower()

    audio, rate = soundfile.read(recording)
    assert audio.shape[1] == 2
    left, right = (np.abs(audio[:, side]) > 0.02 for side in (0, 1))
    assert left.any()
    assert right.any()
    both = left & right  # they talk at once during the barge-in, but not for long
    assert 0 < both.sum() / rate < 1.5


@engine
def test_a_turn_by_text() -> None:
    (turn,) = turns(talk("--text", "What is the capital of France?", "--json"))

    assert turn["user_text"] == "What is the capital of France?"
    assert "Paris" in turn["heard_text"]


@engine
def test_people_see_partials_the_turn_the_reply_and_the_time() -> None:
    done = talk("--input", NAME)

    assert done.returncode == 0
    assert "  ... " in done.stdout
    assert "you: " in done.stdout
    assert "confidence" in done.stdout
    assert "agent: " in done.stdout
    assert " ms = vad " in done.stdout
    assert done.stderr == ""


@engine
def test_silence_is_refused_before_it_is_waited_for(tmp_path: Path) -> None:
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(16_000 * 600, dtype=np.int16), 16_000)

    done = talk("--input", silence)

    assert done.returncode == 1
    assert "holds no speech" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--text", " "], "is empty"),
        (["--text", "x" * 30_000], "too long"),
        (["--input", "nowhere.wav"], "no file"),
        (["--text", "hi", "--set", "stt.engines=deaf"], "faster-whisper, moonshine"),
        (["--text", "hi", "--set", "llm.engines=groq"], "GROQ_API_KEY"),
        (["--text", "hi", "--set", "tts.engines=espeak", "--voice", "nobody"], "Unknown voice"),
    ],
)
def test_what_cannot_be_is_one_clear_line(words: list[str], message: str) -> None:
    done = talk(*words)

    assert done.returncode == 1
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@engine
def test_a_server_that_is_not_there_ends_the_talk_with_the_reason() -> None:
    done = talk(
        "--text", "hi", LLM_ENGINES="openai-compatible", OPENAI_BASE_URL="http://127.0.0.1:9/v1", OPENAI_API_KEY="sk-very-secret"
    )

    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "very-secret" not in done.stderr + done.stdout
