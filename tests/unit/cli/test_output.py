import io
import json

import pytest

from voice_agent.cli.output import WIDTH_WITHOUT_TERMINAL, console, print_json, print_line, print_table


def test_a_table_in_a_pipe_is_wide_and_prints_brackets_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "text"), [("a", "[bold]not markup[/bold]"), ("b", "word " * 20)])
    lines = capsys.readouterr().out.splitlines()
    assert any("[bold]not markup[/bold]" in line for line in lines)
    assert any("word " * 19 in line for line in lines)
    assert console(io.StringIO()).width == WIDTH_WITHOUT_TERMINAL


def test_a_line_is_never_broken(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("x " * 500, style="bold")
    assert capsys.readouterr().out.count("\n") == 1


def test_json_is_one_line_of_unicode(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": "¿qué?\n"})
    out = capsys.readouterr().out
    assert out == '{"text": "¿qué?\\n"}\n'
    assert json.loads(out) == {"text": "¿qué?\n"}
