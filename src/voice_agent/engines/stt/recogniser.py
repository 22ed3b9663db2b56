"""What one speech-to-text engine does on a worker thread; everything around it is stream.py."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp
from typing import Protocol, TypeAlias

from voice_agent.engines.base import Samples

Stopped: TypeAlias = Callable[[], bool]
"""Asked between the steps of a decode: true when it should end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRequest:
    """How to decode.

    `final`: the text will be acted on, so it may cost more. `language` None: detect. `hint`: words to expect. `context`: the
    text of the same turn before this audio. `draft`: tokens of an earlier transcript of the beginning of this audio, which
    an engine may check in place of finding them again; but for rounding, the text must not depend on it.
    """

    session: str
    final: bool
    language: str | None = None
    hint: str = ""
    context: str = ""
    draft: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """`logprob` is the sum over `scored` tokens. `serves_as_final`: a final request would have given the same."""

    text: str
    language: str
    logprob: float = 0.0
    scored: int = 0
    tokens: tuple[int, ...] = ()
    serves_as_final: bool = False

    @property
    def confidence(self) -> float:
        """exp of the mean log-probability, 0 where nothing was recognised."""
        return min(1.0, exp(self.logprob / self.scored)) if self.scored and self.text else 0.0


class Recogniser(Protocol):
    """Called from several threads at once."""

    @property
    def name(self) -> str: ...

    def decode(self, samples: Samples, request: DecodeRequest, stop: Stopped) -> Decoded:
        """The text of `samples`, which is never empty and only read. Blocking.

        Asks `stop` between its steps and returns early when it says so; what it returns then is only used as a draft.
        Raises `EngineFailed`.
        """
        ...
