"""Builds the settings tree and remembers where each value came from.

Flags win over the environment, that over .env, that over the defaults. This is our own 100 lines and not pydantic-settings
because of what it must tell (the line in .env, the closest name) and because that library takes 0.2 s to import, which every
command would pay.
"""

import functools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from voice_agent.errors import SettingsError
from voice_agent.settings import sources
from voice_agent.settings.fields import allowed, without_password
from voice_agent.settings.tree import Settings

SHOWN_CHARACTERS = 80
"""So much of a bad value is repeated in an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of `voice-agent settings`; `value` is safe to print."""

    path: str
    environment: str
    value: str
    origin: str
    allowed: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """The effective settings. `environment` is what they were read from, for `unknown()`."""

    values: Settings
    origins: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def origin(self, path: str) -> str:
        """ "default", "environment STT_MODEL", ".env line 3" or "flag"."""
        if path not in sources.PATHS:
            raise KeyError(path)
        return self.origins.get(path, "default")

    def rows(self) -> list[Setting]:
        """Every setting for people, in the order of the tree."""
        return [self._row(path) for path in sources.PATHS]

    def _row(self, path: str) -> Setting:
        schema = _schema(path)
        return Setting(
            path=path,
            environment=sources.environment_name(path),
            value=shown(_value(self.values, path)),
            origin=self.origin(path),
            allowed=allowed(schema),
            description=str(schema.get("description", "")),
        )

    def unknown(self) -> list[str]:
        """Sentences about variables of the environment that look like settings and are none."""
        return sources.unknown_in_environment(self.environment)


def load_settings(
    flags: Mapping[str, object] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    dotenv: Path | None = Path(".env"),
) -> LoadedSettings:
    """The effective settings from `flags` ("stt.model" to value), `env` (the process's by default) and `dotenv`.

    Raises `SettingsError`, one line with the name, the bad value (never a secret's) and what is allowed.
    """
    environment = dict(os.environ if env is None else env)
    layers: list[Iterable[sources.Entry]] = [
        sources.from_dotenv(dotenv) if dotenv is not None else (),
        sources.from_environment(environment),
        sources.from_flags(flags or {}),
    ]
    entries = {entry.path: entry for layer in layers for entry in layer}
    tree: dict[str, dict[str, object]] = {}
    for path, entry in entries.items():
        group, name = path.split(".")
        if entry.value != "":
            tree.setdefault(group, {})[name] = entry.value
    try:
        values = Settings.model_validate(tree)
    except ValidationError as error:
        raise _refusal(error, entries) from None  # the cause would hold the value, which may be a secret
    return LoadedSettings(values=values, origins={path: entry.origin for path, entry in entries.items()}, environment=environment)


def shown(value: object) -> str:
    """A value as it may be printed: no secret, no password within an address."""
    match value:
        case None:
            return ""
        case SecretStr():
            return "set (hidden)"
        case bool():
            return "on" if value else "off"
        case tuple():
            return ",".join(map(str, value)) or "off"
        case _:
            return without_password(str(value))


def _value(values: Settings, path: str) -> object:
    group, name = path.split(".")
    return getattr(getattr(values, group), name)


@functools.cache
def _schema(path: str) -> dict[str, Any]:
    """JSON Schema of one setting."""
    group, name = path.split(".")
    model = Settings.model_fields[group].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return dict(model.model_json_schema()["properties"][name])


def _refusal(error: ValidationError, entries: Mapping[str, sources.Entry]) -> SettingsError:
    """The first problem in words; people mend one at a time."""
    problem = error.errors(include_url=False, include_input=False)[0]
    path = ".".join(map(str, problem["loc"][:2]))
    if path not in sources.PATHS:  # two settings that do not go together; tree.py has written the sentence
        return SettingsError(problem["msg"].removeprefix("Value error, "))
    name, entry = sources.environment_name(path), entries[path]
    if _is_secret(path):
        return SettingsError(f"{name} ({entry.origin}) cannot be used", why=problem["msg"].removeprefix("Value error, "))
    text = shown(entry.value)
    text = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
    source = "" if entry.origin == f"environment {name}" else f" ({entry.origin})"
    return SettingsError(f"{name}={text!r}{source} is not possible", remedy=f"Allowed: {allowed(_schema(path))}")


def _is_secret(path: str) -> bool:
    return "password" in str(_schema(path).get("anyOf", ""))
