"""What the doctor finds, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

Group: TypeAlias = Literal["vad", "stt", "turn", "llm", "tts", "hardware", "settings", "weights", "network"]

Fact: TypeAlias = str | int | float | bool | None


class State(StrEnum):
    OK = "ok"
    NOT_THE_BEST = "not_the_best"
    """It works, and something could be better."""
    UNAVAILABLE = "unavailable"
    """It is not here: no weights, no key, no device."""
    FAILED = "failed"
    """It should work and does not."""

    @property
    def words(self) -> str:
        return self.value.replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's table.

    `ms` is what the probe was about (a final, a first token), not how long the doctor took. `why` and `remedy` tell what is
    not the best and what mends it. `facts` are the figures behind `detail`, for programs. `hung`: it did not end when it
    was told to. `blocks`: while it is so, no conversation is possible, whatever works besides.
    """

    group: Group
    name: str
    state: State
    ms: float | None = None
    detail: str = ""
    why: str = ""
    remedy: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    hung: bool = False
    blocks: bool = False

    @property
    def what(self) -> str:
        return f"{self.group} {self.name}"

    @property
    def works(self) -> bool:
        return self.state in (State.OK, State.NOT_THE_BEST)
