"""Several language models as one: when one fails before it has said anything, the next one answers.

A model that failed rests for a while, so that the next turns do not wait for it again. The models belong to whoever loaded
them: closing the chain closes none of them.
"""

import contextlib
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from voice_agent.engines.base import LlmCapabilities, LlmDelta, LlmModel, LlmRequest, LlmSwitched, LlmUsage
from voice_agent.errors import EngineError, EngineFailed, EngineUnavailable

LONG_REST_S = 30.0
"""After a rate limit or where there was no connection: asking again at once would only cost time."""

SHORT_REST_S = 3.0
"""After a failure that may have been a single one (a slow answer, a 5xx, a cut). Doubled with each in a row."""

LONGEST_REST_S = 60.0

_ABOUT_THE_REQUEST = frozenset({"llm.prompt_too_long", "llm.refused_request", "llm.empty_answer"})
"""Failures that say nothing about the next request."""

_LONG = frozenset({"llm.rate_limited", "llm.unreachable"})


@dataclass(slots=True)
class _Link:
    model: LlmModel
    rests_until: float = -math.inf
    """On the chain's clock; infinite where only a person can mend it, as with a wrong key."""
    failures: int = 0
    """In a row."""
    reason: str = ""


class LlmChain:
    """`engines` in order of preference, at least one. `clock` counts seconds. `on_switch(engine, why)` is called when another
    engine is asked after a failure."""

    def __init__(
        self,
        engines: Sequence[LlmModel],
        *,
        clock: Callable[[], float] = time.monotonic,
        on_switch: Callable[[str, str], None] | None = None,
    ) -> None:
        if not engines:
            raise ValueError("a chain needs an engine")
        self._links = [_Link(model) for model in engines]
        self._clock = clock
        self._on_switch = on_switch

    @property
    def name(self) -> str:
        return self._first().name

    @property
    def model(self) -> str:
        return self._first().model

    @property
    def capabilities(self) -> LlmCapabilities:
        """Those of the model that would answer now; tools, if any of the healthy ones has them."""
        return replace(self._first().capabilities, tools=any(link.model.capabilities.tools for link in self._healthy()))

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmDelta, None]:
        """Raises what the last model raised once it has begun to speak; `EngineFailed` with all reasons when none did."""
        failed: list[EngineError] = []
        for link in self._candidates(request):
            if failed:
                if self._on_switch is not None:
                    self._on_switch(link.model.name, str(failed[-1]))
                yield LlmSwitched(engine=link.model.name, model=link.model.model, why=str(failed[-1]))
            begun = False
            try:
                async with contextlib.aclosing(_asked(link.model, request)) as deltas:
                    async for delta in deltas:
                        begun = begun or not isinstance(delta, LlmUsage)
                        yield delta
            except EngineError as error:
                self._rest(link, error)
                if begun:
                    raise
                failed.append(error)
            else:
                link.failures = 0
                return
        raise self._none_left(failed)

    async def warm(self, request: LlmRequest) -> None:
        await self._first().warm(request)

    async def aclose(self) -> None:
        """Nothing to end here."""

    def _first(self) -> LlmModel:
        return next(iter(self._healthy()), self._links[0]).model

    def _healthy(self) -> list[_Link]:
        now = self._clock()
        return [link for link in self._links if link.rests_until <= now]

    def _candidates(self, request: LlmRequest) -> list[_Link]:
        """In the order in which to ask: healthy ones first, where tools are wanted those that have them, then the one that has
        rested most. One that a person must mend is not asked."""
        now = self._clock()

        def place(link: _Link) -> tuple[bool, bool, float]:
            rest_s = max(link.rests_until - now, 0.0)
            return rest_s > 0, bool(request.tools) and not link.model.capabilities.tools, rest_s

        return sorted((link for link in self._links if link.rests_until < math.inf), key=place)

    def _rest(self, link: _Link, error: EngineError) -> None:
        link.reason = str(error)
        if error.code in _ABOUT_THE_REQUEST:
            return
        link.failures += 1
        link.rests_until = self._clock() + _rest_s(error, link.failures)

    def _none_left(self, failed: Sequence[EngineError]) -> EngineFailed:
        reasons = [str(error) for error in failed] or [link.reason for link in self._links]
        return EngineFailed(
            "No language model answers",
            engine="llm",
            why="; ".join(reason.rstrip(".") for reason in reasons),
            code="llm.all_failed",
            retryable=any(error.retryable for error in failed),
        )


def _asked(model: LlmModel, request: LlmRequest) -> AsyncGenerator[LlmDelta, None]:
    """The model's answer; without tools, where it has none."""
    if not model.capabilities.tools:
        request = replace(request, tools=(), tool_choice="auto")
    return cast("AsyncGenerator[LlmDelta, None]", model.stream(request))  # as the protocol promises


def _rest_s(error: EngineError, failures: int) -> float:
    if error.retry_after_s is not None:
        return error.retry_after_s
    if isinstance(error, EngineUnavailable) and not error.retryable:
        return math.inf
    if error.code in _LONG:
        return LONG_REST_S
    return min(SHORT_REST_S * 2.0 ** (failures - 1), LONGEST_REST_S)
