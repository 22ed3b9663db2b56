"""What of Whisper needs no model: choosing between attempts, looking at a folder."""

from pathlib import Path

import pytest

from voice_agent.engines.stt.whisper_decoder import Attempt, compression
from voice_agent.engines.stt.whisper_folder import check_folder
from voice_agent.errors import ModelError


def attempt(text: str, mean: float, *, no_speech: float = 0.0) -> Attempt:
    return Attempt(
        text=text,
        logprob=mean * 10,
        scored=10,
        no_speech=no_speech,
        language="en",
        language_probability=1.0,
        language_detected=False,
        seconds=2.0,
    )


LOOP = "and then we go " * 30


def test_repetition_and_low_probability_make_a_text_doubtful() -> None:
    assert compression(LOOP) > 2.4 > compression("What time is it in Paris?") > 0.0
    assert compression("") == 0.0
    assert attempt(LOOP, -0.1).doubtful
    assert attempt("Paris.", -1.2).doubtful
    assert not attempt("Paris.", -0.9).doubtful


def test_silence_is_what_fails_and_sounds_like_it() -> None:
    assert attempt("Thank you.", -1.2, no_speech=0.9).silence
    assert not attempt("Thank you.", -0.2, no_speech=0.9).silence
    assert not attempt("Paris.", -1.2, no_speech=0.1).silence


def test_the_better_of_two() -> None:
    low, lower, loop = attempt("a", -1.1), attempt("b", -1.5), attempt(LOOP, -0.1)
    assert lower.better(low) is low
    assert low.better(loop) is low
    assert loop.better(lower) is lower


@pytest.mark.parametrize(
    ("name", "fetch"), [("whisper-small", "small"), ("small.en", "small.en"), ("turbo", "turbo"), ("my-model", "base")]
)
def test_a_model_that_is_not_there(tmp_path: Path, name: str, fetch: str) -> None:
    with pytest.raises(ModelError) as caught:
        check_folder(tmp_path / name)
    assert caught.value.code == "model.missing"
    assert caught.value.remedy == f"Run: voice-agent models fetch whisper-{fetch}"


def test_an_incomplete_folder_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(ModelError) as caught:
        check_folder(tmp_path)
    assert caught.value.why == "missing: config.json, tokenizer.json, vocabulary.json"
