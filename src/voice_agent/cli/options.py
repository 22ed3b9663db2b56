"""Options that several commands share."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import typer

from voice_agent.errors import SettingsError
from voice_agent.settings import LoadedSettings, load_settings

SetOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting for this run, such as stt.model=small. Repeatable."),
]

JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def settings_with(assignments: Sequence[str] | None, **flags: object) -> LoadedSettings:
    """The effective settings with those of `--set` on top. `flags` are other options: `log__level="debug"` is log.level;
    None is one that was not given.

    Raises `SettingsError`.
    """
    given = {name.replace("__", "."): value for name, value in flags.items() if value is not None}
    for assignment in assignments or ():
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise SettingsError(f"--set {assignment!r} is not NAME=VALUE", remedy="Write for example --set stt.model=small")
        given[name.strip()] = value.strip()
    return load_settings(given)
