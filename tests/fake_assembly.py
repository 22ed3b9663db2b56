"""An `Assembly` of fake engines: everything around the engines as in the product, no weights, no threads."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from voice_agent.assembly import Assembly
from voice_agent.engines.base import Engine, EngineKind, EngineState, LlmModel, Ready, SttModel, TtsModel, TurnDetector
from voice_agent.engines.fakes import FakeLlm, FakeStt, FakeTts, FakeTurnDetector, FakeVad
from voice_agent.engines.registry import EngineRegistry, EngineSpec
from voice_agent.models import ModelStore, load_catalogue
from voice_agent.settings import Settings

E = TypeVar("E", bound=Engine)

CATALOGUE = load_catalogue()
"""Read before a loop runs, which it would block."""


class FakeAssembly(Assembly):
    """`fake_stt`, `fake_llm` and `fake_tts` are the shared engines, for what they keep of the conversation. `engine_states`
    may be changed at any time: kind to the state that its only engine reports."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        stt: SttModel | None = None,
        llm: LlmModel | None = None,
        tts: TtsModel | None = None,
        turn: TurnDetector | None = None,
    ) -> None:
        self.fake_vad = FakeVad()
        self.fake_stt = stt or FakeStt(["hello there"])
        self.fake_llm = llm or FakeLlm()
        self.fake_tts = tts or FakeTts()
        self.fake_turn = turn or FakeTurnDetector()
        self.engine_states: dict[EngineKind, EngineState] = {}
        super().__init__(settings or Settings(), ModelStore(Path("/no-models"), offline=True, catalogue=CATALOGUE))

    def __post_init__(self) -> None:
        self.vad = EngineRegistry("vad", [self._spec("vad", self.fake_vad)])
        self.stt = EngineRegistry("stt", [self._spec("stt", self.fake_stt)])
        self.turn = EngineRegistry("turn", [self._spec("turn", self.fake_turn)])
        self.llm = EngineRegistry("llm", [self._spec("llm", self.fake_llm)])
        self.tts = EngineRegistry("tts", [self._spec("tts", self.fake_tts)])

    def _spec(self, kind: EngineKind, engine: E) -> EngineSpec[E]:
        async def load() -> E:
            return engine

        return EngineSpec(kind=kind, name=engine.name, probe=lambda: self.engine_states.get(kind, Ready()), load=load)

    def missing_models(self) -> list[str]:
        return []


def fake_assembly(
    settings: Settings | None = None,
    *,
    heard: Iterable[str | Exception] = ("hello there",),
    answer: Callable[..., str | Exception] | str = "I hear you.",
) -> FakeAssembly:
    """`heard`: what the recogniser makes of the turns, in order, over all sessions. `answer`: of the language model."""
    return FakeAssembly(settings, stt=FakeStt(heard), llm=FakeLlm(answer))
