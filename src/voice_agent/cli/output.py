"""What commands print: tables and lines for people, JSON for programs. rich is imported when something is printed."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 160
"""Columns of a table that goes into a file or a pipe."""


def console(stream: TextIO | None = None) -> "Console":
    """A console on `stream` (stdout by default; pass `sys.stderr` for progress). Words in brackets are printed as they are."""
    from rich.console import Console

    stream = stream or sys.stdout
    width = None if stream.isatty() else WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """A table on stdout. The last column takes the lines it needs."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=index == 0)
    for row in rows:
        table.add_row(*map(Text, row))
    console().print(table)


def print_line(text: str = "", *, style: str | None = None) -> None:
    """A line on stdout, at once. `style` is one of rich's, such as "dim" or "bold green"."""
    console().print(text, style=style, soft_wrap=True)


def print_json(value: object) -> None:
    """One JSON value on one line of stdout, at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
