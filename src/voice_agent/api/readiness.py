"""Whether the server can take a session now. Loads the engines in the background, so that the first caller need not wait."""

import asyncio
import logging

from voice_agent.api.errors import known_error
from voice_agent.api.sessions import SessionRegistry
from voice_agent.assembly import Assembly
from voice_agent.engines.base import Engines, EngineState, Fetching, Ready, SupportsWarmUp, Unavailable
from voice_agent.errors import OverloadedError

logger = logging.getLogger(__name__)

RETRY_S = (1.0, 30.0)
"""Engines that are not there may come (weights are being fetched, a server is started): the first pause, which doubles up to the
second."""

NEEDED = ("vad", "stt", "llm", "tts")
"""Kinds without which there is no conversation; it can do without an end-of-turn model."""


class Readiness:
    """`reasons` is empty when a session can begin."""

    def __init__(self, assembly: Assembly, sessions: SessionRegistry) -> None:
        self._assembly = assembly
        self._sessions = sessions
        self._loaded = False
        self._failure = ""

    async def load(self) -> None:
        """Loads the engines that are ready and warms them up; tries again until it has succeeded once."""
        pause_s, longest_s = RETRY_S
        while True:
            try:
                await _warm_up(await self._assembly.engines())
            except Exception as error:  # whatever a vendor's library raises, the server goes on and tells why
                known = known_error(error)
                if known is None:
                    logger.exception("loading the engines failed")
                self._failure = str(known) if known is not None else "An engine failed to load; the server's log has the details."
            else:
                self._loaded, self._failure = True, ""
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)

    @property
    def loaded(self) -> bool:
        """Whether the engines are there."""
        return self._loaded

    def reasons(self) -> list[str]:
        """Why no session can begin, in sentences."""
        reasons = [f"{kind}: no engine is ready ({why})" for kind, why in self._missing().items()]
        if not self._loaded and not reasons:
            reasons.append(self._failure or "The engines are being loaded.")
        try:
            self._sessions.check_room()
        except OverloadedError as error:
            reasons.append(str(error))
        return reasons

    def _missing(self) -> dict[str, str]:
        """Kinds of which no engine is ready, and why."""
        missing: dict[str, str] = {}
        for kind, states in self._assembly.states().items():
            if kind in NEEDED and not any(isinstance(state, Ready) for state in states.values()):
                missing[kind] = "; ".join(f"{name}: {_words(state)}" for name, state in states.items())
        return missing


def _words(state: EngineState) -> str:
    match state:
        case Ready():
            return "ready"
        case Fetching():
            return f"its weights are being fetched, {state.progress:.0%}"
        case Unavailable():
            return f"{state.reason}, {state.remedy}" if state.remedy else state.reason


async def _warm_up(engines: Engines) -> None:
    """Those whose first use is slow."""
    kinds: tuple[object, ...] = (engines.vad, engines.stt, engines.turn, engines.llm, engines.tts)
    for engine in kinds:
        if isinstance(engine, SupportsWarmUp):
            await engine.warm_up()
