"""The shell around every command: exit codes and one line for each failure. Real processes where the exit itself counts."""

import errno
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest
import typer

from voice_agent import cli
from voice_agent.errors import InputError, SettingsError


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        cli.main(words)
    code = exit_.value.code
    assert isinstance(code, int)
    return code


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException]:
    """A command `fail` that raises what the test puts in."""
    raised: dict[str, BaseException] = {}

    def fail() -> None:
        raise raised["error"]

    module = types.ModuleType("failing_command")
    module.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]  # find_spec only asks whether there is one
    vars(module)["fail"] = fail
    monkeypatch.setitem(sys.modules, "failing_command", module)
    monkeypatch.setitem(cli.COMMANDS, "fail", "failing_command:fail")
    return raised


class TestFailures:
    def test_an_error_of_ours_is_one_line(self, failing: dict[str, BaseException], capsys: pytest.CaptureFixture[str]) -> None:
        failing["error"] = InputError("x.wav is not audio", why="it is\nempty", remedy="Give a WAV file")
        assert run("fail") == 1
        assert capsys.readouterr().err == "error: x.wav is not audio (it is empty). Give a WAV file.\n"

    def test_also_out_of_a_task_group(self, failing: dict[str, BaseException], capsys: pytest.CaptureFixture[str]) -> None:
        failing["error"] = ExceptionGroup("tasks", [OSError("first"), ExceptionGroup("inner", [SettingsError("Not so")])])
        assert run("fail") == 1
        assert capsys.readouterr().err == "error: Not so.\n"

    def test_a_fault_of_ours_tells_the_place_and_not_the_text(
        self, failing: dict[str, BaseException], capsys: pytest.CaptureFixture[str]
    ) -> None:
        failing["error"] = ZeroDivisionError("a key, or what somebody said")
        assert run("fail") == 70
        told = capsys.readouterr().err
        assert told.startswith("internal error: ZeroDivisionError in cli/test_command_line.py:")
        assert told.endswith("Run it again with --debug for the details.\n")
        assert "somebody" not in told

    def test_debug_adds_the_traceback_wherever_it_stands(
        self, failing: dict[str, BaseException], capsys: pytest.CaptureFixture[str]
    ) -> None:
        for words in (("--debug", "fail"), ("fail", "--debug")):
            failing["error"] = ZeroDivisionError("the details")
            assert run(*words) == 70
            assert "ZeroDivisionError: the details" in capsys.readouterr().err

    def test_a_reader_that_has_gone_wants_to_hear_no_more(
        self, failing: dict[str, BaseException], capsys: pytest.CaptureFixture[str]
    ) -> None:
        failing["error"] = ExceptionGroup("tasks", [ExceptionGroup("inner", [BrokenPipeError(errno.EPIPE, "Broken pipe")])])
        assert run("fail") == 1
        assert capsys.readouterr().err == ""

    def test_a_disk_that_is_full(self, failing: dict[str, BaseException], capsys: pytest.CaptureFixture[str]) -> None:
        failing["error"] = OSError(errno.ENOSPC, "No space left on device")
        assert run("fail") == 1
        assert "no space left on device" in capsys.readouterr().err

    def test_interrupted_from_the_keyboard(self, failing: dict[str, BaseException]) -> None:
        failing["error"] = KeyboardInterrupt()
        assert run("fail") == 130

    def test_a_command_may_choose_its_code(self, failing: dict[str, BaseException]) -> None:
        failing["error"] = typer.Exit(3)
        assert run("fail") == 3


class TestUsage:
    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["setings"], "Did you mean 'settings'?"),
            (["settings", "--jsn"], "No such option: --jsn"),
        ],
    )
    def test_a_slip_is_told_without_a_traceback(self, words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(*words) == 2
        err = capsys.readouterr().err
        assert told in err
        assert "Traceback" not in err

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--version") == 0
        assert capsys.readouterr().out.startswith("voice-agent 0.")

    def test_help_lists_the_commands(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--help") == 0
        out = capsys.readouterr().out
        assert "settings" in out
        assert "models" in out


class TestSettings:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)

    def test_the_table_shows_values_and_sources_and_no_secret(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("GROQ_API_KEY", "gsk_never_to_be_seen")
        monkeypatch.setenv("SST_MODEL", "x")
        assert run("settings", "--set", "stt.model=small") == 0
        out = capsys.readouterr().out
        assert "never_to_be" not in out
        lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
        assert "small" in lines["STT_MODEL"]
        assert "flag" in lines["STT_MODEL"]
        assert "environment GROQ_API_KEY" in lines["GROQ_API_KEY"]
        assert "SST_MODEL in the environment is not a setting; STT_MODEL is." in out

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("settings", "--json", "--set", "tts.speed=1.25") == 0
        shown = {row["path"]: row for row in json.loads(capsys.readouterr().out)["settings"]}
        assert shown["tts.speed"]["value"] == "1.25"
        assert shown["tts.speed"]["origin"] == "flag"
        assert shown["stt.model"]["environment"] == "STT_MODEL"

    @pytest.mark.parametrize("assignment", ["stt.model", "=small", "stt.modle=small", "tts.speed=fast"])
    def test_an_assignment_that_cannot_be(self, assignment: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("settings", "--set", assignment) == 1
        err = capsys.readouterr().err
        assert err.startswith("error: ")
        assert err.count("\n") == 1


class TestProcess:
    """What can only be seen from outside."""

    COMMAND = (sys.executable, "-c", "from voice_agent.cli import main; main()")

    def test_a_reader_that_has_gone_is_no_error(self) -> None:
        with subprocess.Popen([*self.COMMAND, "settings"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == ""
            assert process.wait(20) in (0, 1)

    def test_a_command_imports_nothing_heavy_to_start(self) -> None:
        """Start-up time, as what is imported: figures in seconds would depend on the machine."""
        heavy = {"numpy", "onnxruntime", "ctranslate2", "faster_whisper", "xllamacpp", "kokoro_onnx", "openai", "groq", "rich"}
        code = f"import sys, voice_agent.cli as c; c.command_line(['settings']); print(sorted({heavy!r} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"
