"""Writes docs/reference/states.md from the tables in conversation/state.py.

python scripts/state_diagram.py          write it
python scripts/state_diagram.py --check  exit 1 if it is not up to date
"""

import ast
import inspect
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TypeVar

from voice_agent.conversation import state as states

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "states.md"

INTRODUCTION = """\
<!-- Written by scripts/state_diagram.py from src/voice_agent/conversation/state.py. Edit that, not this. -->

# States of a conversation

Two machines run side by side: one for each speaker, and one for the agent's reply. They meet in `conversation/machine.py`, which
decides when a trigger fires. A step that is not drawn here cannot happen: it raises `IllegalTransition`.
"""

State = TypeVar("State", bound=Enum)
Trigger = TypeVar("Trigger", bound=Enum)


def page() -> str:
    """The whole page."""
    parts = [
        INTRODUCTION,
        _section("Listening: one speaker's turn", states.LISTENING, states.Listening, states.Listening.QUIET),
        _section("Replying: the agent's reply", states.REPLYING, states.Replying, states.Replying.NONE),
    ]
    return "\n".join(parts)


def _section(title: str, table: Mapping[tuple[State, Trigger], State], kind: type[State], start: State) -> str:
    return "\n".join([f"## {title}", "", *_diagram(table, start), "", *_meanings(kind), "", *_rows(table), ""])


def _diagram(table: Mapping[tuple[State, Trigger], State], start: State) -> list[str]:
    arrows = [f"    {source.value} --> {target.value}: {trigger.value}" for (source, trigger), target in table.items()]
    return ["```mermaid", "stateDiagram-v2", f"    [*] --> {start.value}", *arrows, "```"]


def _meanings(kind: type[State]) -> list[str]:
    """A line for each state that state.py explains."""
    told = _docstrings(kind)
    return [f"- **{state.value}**: {told[state.name]}" for state in kind if state.name in told]


def _docstrings(kind: type[Enum]) -> dict[str, str]:
    """The string behind each member, read from the source."""
    [definition] = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for member, text in zip(definition.body, definition.body[1:], strict=False):
        match member, text:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(words))):
                found[name] = " ".join(words.split())
    return found


def _rows(table: Mapping[tuple[State, Trigger], State]) -> list[str]:
    rows = [f"| {source.value} | {trigger.value} | {target.value} |" for (source, trigger), target in table.items()]
    return ["| from | when | to |", "|---|---|---|", *rows]


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
