"""The tables, and the page that is drawn from them."""

import importlib.util
from collections.abc import Hashable, Mapping
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from voice_agent.conversation.state import (
    LISTENING,
    REPLYING,
    Hearing,
    IllegalTransition,
    Listening,
    Reply,
    Replying,
    Speaker,
    Turning,
)

ROOT = Path(__file__).parents[3]


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("state_diagram", ROOT / "scripts" / "state_diagram.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_drawn_from_the_tables() -> None:
    page = (ROOT / "docs" / "reference" / "states.md").read_text(encoding="utf-8")
    assert page == load_script().page(), "run: python scripts/state_diagram.py"


@pytest.mark.parametrize(("table", "start"), [(LISTENING, Listening.QUIET), (REPLYING, Replying.NONE)])
def test_every_state_is_reached_and_left(table: Mapping[tuple[Any, Any], Hashable], start: Enum) -> None:
    reached, front = {start}, [start]
    while front:
        state = front.pop()
        after = {target for (source, _), target in table.items() if source is state}
        front += [target for target in after if isinstance(target, Enum) and target not in reached]
        reached |= {target for target in after if isinstance(target, Enum)}
    assert reached == set(type(start))
    assert {source for source, _ in table} == set(type(start))


def test_every_trigger_is_used() -> None:
    assert {trigger for _, trigger in LISTENING} == set(Hearing)
    assert {trigger for _, trigger in REPLYING} == set(Turning)


def test_a_step_that_is_not_in_the_table_is_a_bug() -> None:
    with pytest.raises(IllegalTransition):
        Speaker(name="user").fire(Hearing.END)
    with pytest.raises(IllegalTransition):
        Reply().fire(Turning.AUDIBLE)
