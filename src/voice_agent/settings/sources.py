"""Where a setting can come from: flags, the environment, a .env file. Each source gives entries; none of them judges values."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from voice_agent.errors import SettingsError
from voice_agent.settings.tree import Settings

PATHS: tuple[str, ...] = tuple(
    f"{group}.{name}" for group, field in Settings.model_fields.items() for name in getattr(field.annotation, "model_fields", {})
)
"""Every setting, such as "stt.model", in the order of the tree."""


def environment_name(path: str) -> str:
    """ "stt.model" is STT_MODEL. Group names have no underscore, so this can be turned round."""
    return path.replace(".", "_", 1).upper()


NAMES: dict[str, str] = {environment_name(path): path for path in PATHS}
"""STT_MODEL to "stt.model"."""

PREFIXES = tuple(f"{group.upper()}_" for group in Settings.model_fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One setting as one source gives it. `origin` is "environment STT_MODEL", ".env line 3" or "flag"."""

    path: str
    value: object
    origin: str


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.8)), None)


def from_flags(flags: Mapping[str, object]) -> Iterator[Entry]:
    """Entries of "stt.model"-like names. An empty value stands for the default."""
    for path, value in flags.items():
        if path not in PATHS:
            raise _unknown(f"{path} (flag)", closest(path.lower(), PATHS))
        yield Entry(path=path, value=value, origin="flag")


def from_environment(environment: Mapping[str, str]) -> Iterator[Entry]:
    """Names that are not ours are left alone: other software has such prefixes too. An empty value counts as not set."""
    for name, path in NAMES.items():
        if environment.get(name):
            yield Entry(path=path, value=environment[name], origin=f"environment {name}")


def from_dotenv(file: Path) -> Iterator[Entry]:
    """Entries of a .env file; none if there is no such file. The last line for a name counts; an empty value is not set.

    Raises `SettingsError` for a file that cannot be read, a line that is no assignment, and an unknown name with one of our
    prefixes (a .env file is written for us, so that is a slip). Names without such a prefix are left alone.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror or "unreadable"
        raise SettingsError(f"{file.name} cannot be read", why=why, remedy=f"Mend or remove {file}") from error
    if "\0" in text:
        raise SettingsError(f"{file.name} cannot be read", why="it is not a text file", remedy=f"Mend or remove {file}")
    for name, value, line in _assignments(text, file):
        if name in NAMES:
            if value:
                yield Entry(path=NAMES[name], value=value, origin=f"{file.name} line {line}")
        elif name.startswith(PREFIXES):
            raise _unknown(f"{name} ({file.name} line {line})", closest(name, NAMES))


def _assignments(text: str, file: Path) -> Iterator[tuple[str, str, int]]:
    from io import StringIO

    from dotenv.parser import parse_stream  # only for those who have a .env: 20 ms

    for binding in parse_stream(StringIO(text)):
        # A binding's text begins with the blank lines before it.
        blank = binding.original.string[: len(binding.original.string) - len(binding.original.string.lstrip())]
        line = binding.original.line + blank.count("\n")
        if binding.error or (binding.key in NAMES and binding.value is None):
            raise SettingsError(f"{file.name} line {line} is not a setting", remedy="Write NAME=value, or # before a comment")
        if binding.key is not None:
            yield binding.key, binding.value or "", line


def unknown_in_environment(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that looks as if it was meant for us and is none of ours. For people, never an error."""
    sentences = []
    for name in sorted(environment):
        if name in NAMES:
            continue
        meant = closest(name, NAMES)
        if meant is not None or name.startswith(PREFIXES):
            sentences.append(f"{name} in the environment is not a setting" + (f"; {meant} is." if meant else "."))
    return sentences


def _unknown(what: str, meant: str | None) -> SettingsError:
    return SettingsError(
        f"There is no setting named {what}",
        remedy=f"{meant} may be what was meant" if meant else "`voice-agent settings` lists them all",
        code="settings.unknown",
    )
