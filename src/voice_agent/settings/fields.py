"""Field types of the settings tree: how text from an environment or a flag becomes a value, and which values can be."""

import re
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr


def _items(value: object) -> object:
    """ "a, b,a" becomes ("a", "b"): the order counts, a repetition does not."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return value
    stripped = (part.strip() if isinstance(part, str) else part for part in parts)
    return tuple(dict.fromkeys(part for part in stripped if part != ""))


def _language(value: object) -> object:
    value = _lower(value)
    return None if value == "auto" else value


def _path(value: Path) -> Path:
    if "\0" in str(value):
        raise ValueError("holds a zero byte")
    return value.expanduser()


def _usable_key(key: SecretStr) -> SecretStr:
    """A key goes into an HTTP header; a line break or a blank in it is a slip of copy and paste."""
    text = key.get_secret_value().strip()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("holds blanks, line breaks or letters outside ASCII")
    return SecretStr(text)


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Items = BeforeValidator(_items)
"""A comma-separated list."""

ItemsOrOff = BeforeValidator(lambda value: () if isinstance(value, str) and value.strip().lower() == "off" else _items(value))
"""A comma-separated list, or "off" for none."""

AnyCase = BeforeValidator(_lower)

Threads: TypeAlias = Annotated[int, Field(ge=1, le=256)] | None
"""None: as many as suit the machine."""

LanguageCode: TypeAlias = Annotated[
    str,
    Field(pattern=r"^[a-z]{2,3}(-[a-z]{2,4})?$", json_schema_extra={"allowed": "a language code such as en or pt-br, or auto"}),
]

Language: TypeAlias = Annotated[LanguageCode | None, BeforeValidator(_language)]
"""None: detect it."""

HttpUrl: TypeAlias = Annotated[
    str, Field(pattern=r"^https?://[^\s/]+", json_schema_extra={"allowed": "an address that begins with http:// or https://"})
]

ApiKey: TypeAlias = Annotated[SecretStr, AfterValidator(_usable_key)] | None

UserPath: TypeAlias = Annotated[Path, AfterValidator(_path)] | None


def without_password(text: str) -> str:
    """ "http://me:secret@host" as "http://…@host"."""
    return re.sub(r"//[^/@\s]*@", "//…@", text)


def allowed(schema: dict[str, Any]) -> str:
    """What a field takes, in words, from its JSON Schema: "a whole number from 512 to 65536"."""
    if "allowed" in schema:
        return str(schema["allowed"])
    if "anyOf" in schema:
        return " or ".join(allowed(option) for option in schema["anyOf"] if option.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return "one of " + ", ".join(schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "array":
            return "a comma-separated list of " + allowed(schema["items"]).removeprefix("one of ")
        case "integer":
            return "a whole number" + _bounds(schema)
        case "number":
            return "a number" + _bounds(schema)
        case "boolean":
            return "on or off"
        case _ if schema.get("format") == "path":
            return "a path"
        case _:
            return "text" + (f" of at most {schema['maxLength']} characters" if "maxLength" in schema else "")


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}" if isinstance(high, float) else f" from {low} to {high}"
    parts = [
        f"{word} {bound:g}"
        for word, bound in (("at least", low), ("above", above), ("at most", high), ("below", below))
        if bound is not None
    ]
    return (" " + " and ".join(parts)) if parts else ""
