"""The documentation is true of the code: pages that are generated, codes, constants, commands and links."""

import ast
import importlib
import importlib.util
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

from voice_agent.cli import COMMANDS
from voice_agent.conversation.effects import Effect
from voice_agent.conversation.events import Event
from voice_agent.settings import load_settings
from voice_agent.settings.sources import PATHS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_pages", ROOT / "scripts" / "reference_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference_pages = load_script()


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


# ---------------------------------------------------------------- reference


@pytest.mark.parametrize("name", reference_pages.PAGES)
def test_a_generated_page_is_as_the_code_is(name: str) -> None:
    page = (reference_pages.REFERENCE / name).read_text()
    expected = reference_pages.with_part(page, reference_pages.PAGES[name]())
    assert page == expected, "run: python scripts/reference_pages.py"


def test_every_setting_is_in_the_reference() -> None:
    page = (DOCS / "reference/settings.md").read_text()
    assert [row.environment for row in load_settings(env={}, dotenv=None).rows() if f"`{row.environment}`" not in page] == []


def test_every_event_and_effect_is_in_the_reference() -> None:
    page = (DOCS / "reference/event-log.md").read_text()
    assert [kind.__name__ for kind in (*get_args(Event), *get_args(Effect)) if f"| `{kind.__name__}` |" not in page] == []


CODE = re.compile(r"(?:access|audio|engine|input|llm|log|model|reply|server|settings|stt|transport|tts|turn|vad)\.[a-z_]+")

NO_CODES = {*PATHS, "model.bin"}
"""Strings of that shape that are something else: settings, and a file of Whisper's."""


def codes_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
            yield node.value


def test_every_error_code_is_in_the_reference_and_no_other() -> None:
    page = (DOCS / "reference/errors.md").read_text()
    told = set(re.findall(r"^\|(?: `\w+`(?:, `\w+`)* \|)? `([a-z_.]+)` \|", page, re.MULTILINE))
    raised = {code for path in (ROOT / "src").rglob("*.py") for code in codes_of(path)} - NO_CODES
    assert sorted(raised - told) == [], "codes that docs/reference/errors.md does not tell"
    assert sorted(told - raised - {"internal"}) == [], "codes that nothing raises"


def test_the_constants_of_turn_taking_are_those_of_the_code() -> None:
    page = (DOCS / "explanation/turn-taking.md").read_text()
    rows = re.findall(r"^\| `([\w.]+)` \| ([\d.]+) \| `([\w/]+)\.py` \|$", page, re.MULTILINE)
    assert len(rows) > 10
    for name, value, file in rows:
        module = importlib.import_module("voice_agent." + file.replace("/", "."))
        first, *rest = name.split(".")
        holder = getattr(module, first)
        assert reduce(getattr, rest, holder() if rest else holder) == float(value), name


# ---------------------------------------------------------------- commands


def test_every_command_in_the_docs_exists() -> None:
    known = {name for name, _ in reference_pages.commands()} | set(COMMANDS)
    groups = {name.split()[0] for name in known if " " in name}
    for path, words in written_commands():
        name = words[0] if words[0] not in groups or len(words) == 1 else " ".join(words[:2])
        assert name in known, f"{named(path)}: voice-agent {' '.join(words)}"


def test_every_option_in_the_docs_exists() -> None:
    options = {
        name: {option for parameter in command.params for option in parameter.opts} for name, command in reference_pages.commands()
    }
    for path, words in written_commands():
        name = next((name for name in (" ".join(words[:2]), words[0]) if name in options), "")
        given = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--help", "--debug", "--version"}
        if name:
            assert given <= options[name], f"{named(path)}: voice-agent {' '.join(words)}"


def written_commands() -> Iterator[tuple[Path, list[str]]]:
    """What stands behind `voice-agent` in code spans and at the start of lines of code blocks, up to a wide gap or "|"."""
    for path in PAGES:
        for code in re.findall(r"`voice-agent ([^`\n]+)`|^(?:\.venv/bin/)?voice-agent ([^\n]+)$", path.read_text(), re.MULTILINE):
            words = re.split(r"\s{4,}| \| | …", "".join(code))[0].split()
            if words and re.fullmatch(r"[a-z]+", words[0]):
                yield path, words


def test_every_make_target_in_the_docs_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in PAGES:
        told = set(re.findall(r"`make ([a-z]+)|^make ([a-z]+)", path.read_text(), re.MULTILINE))
        assert {first or second for first, second in told} <= targets, named(path)


# ---------------------------------------------------------------- links and names

LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text()):
        if not target.startswith(("https://", "http://")):
            assert (path.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_files_that_are_named_exist(path: Path) -> None:
    """Paths in code spans that begin like ours: from the root, from the package, or within `engines/` and its neighbours."""
    homes = (ROOT, ROOT / "src/voice_agent", path.parent)
    for name in re.findall(
        r"`((?:src|tests|samples|docs|conversation|session|engines|models|settings|cli)/[\w./-]+)`", path.read_text()
    ):
        assert any((home / name).exists() for home in homes), name


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.suffix == ".md" and page.exists():
            seen.add(page)
            waiting += [(page.parent / target.partition("#")[0]).resolve() for target in LINK.findall(page.read_text())]
    assert [named(page) for page in PAGES if page not in seen] == []
