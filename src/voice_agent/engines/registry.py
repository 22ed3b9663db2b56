"""Engine choice: the first engine that is ready serves new sessions, the others that are ready stand behind it.

A registry holds the engines of one kind in the order of the settings. It asks each for its state whenever a session begins, so
an engine whose weights have arrived meanwhile serves the next session; sessions that run keep what they began with.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from voice_agent.engines.base import Engine, EngineKind, EngineState, Fetching, Ready, Unavailable
from voice_agent.errors import EngineUnavailable, SettingsError, VoiceAgentError

LOAD_PATIENCE_S = 1.0
"""How long closing waits for an engine that is being loaded; one that comes later is closed as it comes."""

T = TypeVar("T", bound=Engine)
T_co = TypeVar("T_co", bound=Engine, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec(Generic[T_co]):
    """An engine that could be used.

    `name` as in the settings. `probe` tells its state without loading anything (files, keys, devices; well under a
    millisecond, since it runs on the loop). `load` makes the shared engine, off the loop where that takes long; it raises an
    error of errors.py when it cannot.
    """

    kind: EngineKind
    name: str
    probe: Callable[[], EngineState]
    load: Callable[[], Awaitable[T_co]]


class _Slot(Generic[T]):
    """One engine of a registry: loaded at most once, and what went wrong when it was tried last."""

    def __init__(self, spec: EngineSpec[T]) -> None:
        self.spec = spec
        self.engine: T | None = None
        self.failure: VoiceAgentError | None = None
        self.closed = False
        self._loading: asyncio.Task[None] | None = None

    def state(self) -> EngineState:
        """A loaded engine is ready or not as its probe says; one whose load failed is not, until a load succeeds."""
        state = self.spec.probe()
        if isinstance(state, Ready) and self.failure is not None:
            return Unavailable(reason=_reason(self.failure), remedy=self.failure.remedy)
        return state

    async def get(self) -> T | None:
        """The engine, loaded now if it is ready; None where it is not ready or does not load.

        The load belongs to the slot, not to the caller: a caller that is cancelled neither stops it nor makes the next one
        load a second time.
        """
        if self.closed or not isinstance(self.spec.probe(), Ready):
            return None
        if self.engine is None:
            if self._loading is None:
                self._loading = asyncio.create_task(self._load())
            await asyncio.shield(self._loading)
        return self.engine

    async def aclose(self) -> None:
        self.closed = True
        if self._loading is not None:
            await asyncio.wait({self._loading}, timeout=LOAD_PATIENCE_S)
        engine, self.engine = self.engine, None
        if engine is not None:
            await engine.aclose()

    async def _load(self) -> None:
        try:
            engine = await self.spec.load()
        except VoiceAgentError as error:
            self.failure = error
            return
        finally:
            self._loading = None
        self.failure = None
        if self.closed:
            await engine.aclose()
        else:
            self.engine = engine


class EngineRegistry(Generic[T]):
    """The engines of one kind, in order of preference."""

    def __init__(self, kind: EngineKind, specs: Sequence[EngineSpec[T]], *, order: Sequence[str] | None = None) -> None:
        """`order` names engines of `specs`, best first; None takes `specs` as they stand.

        Raises `SettingsError` for a name that no spec has, and for an empty order.
        """
        known = {spec.name: spec for spec in specs}
        names = list(dict.fromkeys(known if order is None else order))
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            what = f"Unknown {kind} engine: {', '.join(unknown)}" if unknown else f"No {kind} engine is named"
            allowed = ", ".join(known) or "none"
            raise SettingsError(what, remedy=f"{kind.upper()}_ENGINES takes a list of: {allowed}", code="settings.unknown_engine")
        self._kind = kind
        self._slots = [_Slot(known[name]) for name in names]
        self._closed = False

    def names(self) -> tuple[str, ...]:
        """Of the engines, in order."""
        return tuple(slot.spec.name for slot in self._slots)

    def states(self) -> dict[str, EngineState]:
        """Name to state now, in order."""
        return {slot.spec.name: slot.state() for slot in self._slots}

    async def choose(self, *, limit: int | None = None) -> list[T]:
        """The ready engines in order, at most `limit`: the first serves a new session, the rest are what it falls back to.

        Engines are loaded by the first call that needs them and shared afterwards. One that fails to load is passed over, and
        tried again by the next call. Raises `EngineUnavailable` when none is left, saying of each why and what mends it.
        """
        chosen: list[T] = []
        for slot in self._slots:
            if limit is not None and len(chosen) >= limit:
                break
            if (engine := await slot.get()) is not None:
                chosen.append(engine)
        if self._closed:
            raise self._shut_down()
        if not chosen:
            raise self._none_ready()
        return chosen

    def state(self, name: str) -> EngineState:
        """One engine's state now. Raises KeyError for a name that is not among `names`."""
        return self._slot(name).state()

    def loaded(self) -> dict[str, T]:
        """Name to engine of those that are loaded now."""
        return {slot.spec.name: slot.engine for slot in self._slots if slot.engine is not None}

    async def get(self, name: str) -> T:
        """One engine, loaded now if it is not yet, whatever the others are. The same object that `choose` gives.

        Raises what its load raised, `EngineUnavailable` when it is not ready, and KeyError as `state`.
        """
        slot = self._slot(name)
        engine = await slot.get()
        if engine is not None:
            return engine
        if self._closed:
            raise self._shut_down()
        if slot.failure is not None:
            raise slot.failure
        state = slot.state()
        raise EngineUnavailable(f"{name} is not ready", engine=name, why=_in_words(state), remedy=_remedy(state))

    def _slot(self, name: str) -> _Slot[T]:
        return {slot.spec.name: slot for slot in self._slots}[name]

    async def aclose(self) -> None:
        """Closes what was loaded, all of it even where one fails; refuses from now on. Idempotent."""
        self._closed = True
        outcomes = await asyncio.gather(*(slot.aclose() for slot in self._slots), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    def _shut_down(self) -> EngineUnavailable:
        return EngineUnavailable(f"The {self._kind} engines are shut down", engine=self._kind)

    def _none_ready(self) -> EngineUnavailable:
        states = self.states()
        remedies = list(dict.fromkeys(filter(None, map(_remedy, states.values()))))
        return EngineUnavailable(
            f"No {self._kind} engine is ready",
            engine=self._kind,
            why="; ".join(f"{name}: {_in_words(state)}" for name, state in states.items()),
            remedy=remedies[0] if len(remedies) == 1 else f"Any of these helps: {'; '.join(remedies)}" if remedies else "",
            retryable=any(isinstance(state, Fetching) for state in states.values()),
        )


def _in_words(state: EngineState) -> str:
    match state:
        case Ready():
            return "ready"
        case Fetching():
            return f"its weights are being fetched, {state.progress:.0%}"
        case Unavailable():
            return state.reason


def _remedy(state: EngineState) -> str:
    return state.remedy if isinstance(state, Unavailable) else ""


def _reason(error: VoiceAgentError) -> str:
    return f"{error.what}: {error.why}" if error.why else error.what
